#pragma once
//  The definition of add_rms_norm, in double precision.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/norm/rms_norm_ref.hpp>
#include <tenon/op/epilogue.hpp>

namespace tenon::ref {

/// residual[t,h] += x[t,h], rounded to R;  y = rms_norm(residual)
template <class Y, class R, class X, class W, elementwise Epilogue>
void add_rms_norm(tensor_view<Y, 2> y, tensor_view<R, 2> residual, tensor_view<X, 2> x, tensor_view<W, 1> weight,
                  float eps, Epilogue epilogue) {
  for (index_t t = 0; t < x.extent[0]; ++t)
    for (index_t h = 0; h < x.extent[1]; ++h)
      residual(t, h) = R(float(double(float(residual(t, h))) + double(float(x(t, h)))));
  rms_norm(y, residual, weight, eps, epilogue);
}

}  // namespace tenon::ref
