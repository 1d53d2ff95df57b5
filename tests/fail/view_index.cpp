// error: tenon::tensor_view: one index per axis
#include <tenon/core/tensor_view.hpp>
float f(tenon::tensor_view<float, 2> v) { return v(1); }
