#pragma once
//  The definitions of rms_norm_quantize and add_rms_norm_quantize, in double precision.
#include <tenon/core/tensor_view.hpp>
#include <tenon/norm/add_rms_norm_ref.hpp>
#include <tenon/norm/rms_norm_ref.hpp>
#include <tenon/op/epilogue.hpp>
#include <tenon/quant/quantize_rows_ref.hpp>

#include <vector>

namespace tenon::ref {

/// quantize_rows(rms_norm(x))
template <row_code Code, class X, class W>
void rms_norm_quantize(tensor_view<Code, 2> codes, tensor_view<float, 2> scales, tensor_view<X, 2> x,
                       tensor_view<W, 1> weight, float eps, int group = 0, float scale = 0) {
  std::vector<float> y(static_cast<std::size_t>(x.size()));
  auto const         normed = dense(y.data(), x.extent[0], x.extent[1]);
  rms_norm(normed, x, weight, eps, identity{});
  quantize_rows(codes, scales, normed, group, scale);
}

/// residual += x, rounded to R;  quantize_rows(rms_norm(residual))
template <row_code Code, class R, class X, class W>
void add_rms_norm_quantize(tensor_view<Code, 2> codes, tensor_view<float, 2> scales, tensor_view<R, 2> residual,
                           tensor_view<X, 2> x, tensor_view<W, 1> weight, float eps, int group = 0, float scale = 0) {
  std::vector<float> y(static_cast<std::size_t>(x.size()));
  auto const         normed = dense(y.data(), x.extent[0], x.extent[1]);
  add_rms_norm(normed, residual, x, weight, eps, identity{});
  quantize_rows(codes, scales, normed, group, scale);
}

}  // namespace tenon::ref
