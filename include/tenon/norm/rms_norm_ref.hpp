#pragma once
//  The definition of rms_norm, in double precision.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/op/epilogue.hpp>

#include <cmath>

namespace tenon::ref {

/// y[t,h] = epilogue(x[t,h] * weight[h] / sqrt(mean_h(x[t,:]^2) + eps))
template <class Y, class X, class W, elementwise Epilogue>
void rms_norm(tensor_view<Y, 2> y, tensor_view<X, 2> x, tensor_view<W, 1> weight, float eps, Epilogue epilogue) {
  for (index_t t = 0; t < x.extent[0]; ++t) {
    double squares = 0;
    for (index_t h = 0; h < x.extent[1]; ++h) squares += std::pow(double(float(x(t, h))), 2);
    double const scale = 1 / std::sqrt(squares / double(x.extent[1]) + double(eps));
    for (index_t h = 0; h < x.extent[1]; ++h)
      y(t, h) = Y(epilogue(float(double(float(x(t, h))) * scale * double(float(weight(h)))), t, h));
  }
}

}  // namespace tenon::ref
