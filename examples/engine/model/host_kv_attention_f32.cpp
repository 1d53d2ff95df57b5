#include "engine/model/device_kv_attention.hpp"

namespace tenon::engine::inline TENON_TARGET {

TENON_ENGINE_KV_NUMBERS(float)
TENON_ENGINE_KV_CODES(float)
TENON_ENGINE_KV_COPIES(float)
TENON_ENGINE_KV_COPIES(bf16)
TENON_ENGINE_KV_COPIES(f16)
TENON_ENGINE_KV_COPIES(kv_fp8)
TENON_ENGINE_KV_COPIES(kv_int8)
TENON_ENGINE_KV_COPIES(kv_int4)

}  // namespace tenon::engine::inline TENON_TARGET
