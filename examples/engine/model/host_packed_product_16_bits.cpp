//  Both formats of 16 bits in one place: half the time to compile is that of the headers.
#include "engine/model/device_packed_product.hpp"

namespace tenon::engine::inline TENON_TARGET {

TENON_ENGINE_PACKED_PRODUCT(f16)
TENON_ENGINE_PACKED_PRODUCT(bf16)

}  // namespace tenon::engine::inline TENON_TARGET
