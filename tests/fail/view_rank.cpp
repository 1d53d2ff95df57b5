// error: tenon::tensor_view: Rank must be in [1, 6]
#include <tenon/core/tensor_view.hpp>
tenon::tensor_view<float, 7> v;
