// One configuration of every norm operator.
#include <tenon/norm/add_rms_norm.hpp>
#include <tenon/norm/rms_norm.hpp>

using tenon::bf16, tenon::tensor_view;

tenon::status norm(tenon::context const& where, tensor_view<bf16, 2> x, tensor_view<bf16, 2> y,
                   tensor_view<bf16 const, 1> weight) {
  TENON_TRY(tenon::rms_norm(where, y, x, weight));
  return tenon::add_rms_norm(where, y, x, x, weight);
}
