#include "engine/model/device_packed_product.hpp"

namespace tenon::engine::inline TENON_TARGET {

TENON_ENGINE_PACKED_PRODUCT(bf16)

}  // namespace tenon::engine::inline TENON_TARGET
