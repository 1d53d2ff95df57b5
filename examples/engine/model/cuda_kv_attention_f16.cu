#include "engine/model/device_kv_attention.hpp"

namespace tenon::engine::inline TENON_TARGET {

TENON_ENGINE_KV_NUMBERS(f16)

}  // namespace tenon::engine::inline TENON_TARGET
