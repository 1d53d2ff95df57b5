#include "engine/model/device_kv_attention.hpp"

namespace tenon::engine::inline TENON_TARGET {

TENON_ENGINE_KV_NUMBERS(float)
TENON_ENGINE_KV_CODES(float)

}  // namespace tenon::engine::inline TENON_TARGET
