#include "engine/model/device_packed_product.hpp"

namespace tenon::engine::inline TENON_TARGET {

TENON_ENGINE_PACKED_PRODUCT(float)

}  // namespace tenon::engine::inline TENON_TARGET
