// error: tenon::contract::shape: one named extent per axis
#include <tenon/core/contract.hpp>
bool f(tenon::tensor_view<float, 2> v) {
  tenon::extent rows{"rows"};
  return tenon::contract{"f"}.shape(v, rows).result.ok();
}
