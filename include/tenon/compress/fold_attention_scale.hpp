#pragma once
//  The factor of attention's scores into what makes the queries, offline: softmax(scale q k') with q' = scale q and a
//  scale of 1.
//
//    W_q' = scale W_q,  b_q' = scale b_q        where queries pass a norm instead: g' = scale g
//
//  Rotary positions are linear, so it does not matter that they come in between. A norm of the queries would divide the
//  factor away again; then it goes into that norm's gain.
#include <tenon/compress/fold_report.hpp>
#include <tenon/compress/scale_pair.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <type_traits>

namespace tenon {

/// w'[i, j] = scale w[i, j], bias'[i] = scale bias[i]; attention then runs with a scale of 1
///
/// report  what rounding has changed: exact where scale is a power of two, as 1 / sqrt(head_dim) is for head_dim 16, 64
///         and 256. Written when the call succeeds
/// w       (q_heads * head_dim, hidden)  f32 f64 f16 bf16, any strides; changed in place. Without a norm behind it
/// bias    (q_heads * head_dim), or no_bias   changed in place
/// scale   finite and not 0
///
/// Arithmetic  double, rounded once to the element of w and of bias.
/// Cost        two passes over w, the first of which only checks.
/// Errors      out_of_range(scale; w, bias: `got` and `want` are row and column of the first result that its storage
///             cannot hold), shape_mismatch(bias), unsupported(bias: read-only), misaligned. Nothing is written then.
/// Test tests/compress/fold_attention_scale_test.cpp.   Page docs/operators/folds.md.
template <fold_element W, fold_element B>
requires(!std::is_const_v<W>) status
    fold_attention_scale(fold_report& report, tensor_view<W, 2> w, tensor_view<B, 1> bias, double scale) {
  extent   out{"out"}, hidden{"hidden"};
  contract c{"fold_attention_scale"};
  c.shape(w, out, hidden).addressable(w, "w").require(std::isfinite(scale) && scale != 0, errc::out_of_range, "scale");
  fold::optional_bias(c, bias, out.value, "bias");
  TENON_TRY(c.result);
  return fold::scale_rows_and_columns(c.primitive, {"w", "bias", ""}, report, w, bias, tensor_view<float, 2>{},
                                      std::vector<double>(static_cast<std::size_t>(out.value), scale),
                                      [](index_t j) { return j; });
}

/// g'[d] = scale g[d], for queries that pass a norm: (head_dim), or as many as the norm has. With unit_offset the
/// stored gain is w of g = 1 + w, and w' = scale (1 + w) - 1, which is seldom exact.
///
/// Errors  out_of_range(scale; gain: the first that is not finite, or has no room in its storage), misaligned.
/// Test tests/compress/fold_attention_scale_test.cpp.   Page docs/operators/folds.md.
template <fold_element G>
requires(!std::is_const_v<G>) status
    fold_attention_scale(fold_report& report, tensor_view<G, 1> gain, double scale, bool unit_offset = false) {
  contract c{"fold_attention_scale"};
  c.require(std::isfinite(scale) && scale != 0, errc::out_of_range, "scale");
  fold::vector(c, gain, gain.extent[0], "gain", false);
  TENON_TRY(c.result);
  double const offset = unit_offset ? 1 : 0;
  fold_report  done;
  for (bool const write : {false, true})
    for (index_t d = 0; d < gain.extent[0]; ++d) {
      double const g = offset + fold::number(gain(d)), meant = scale * g - offset;
      G const      to = fold::rounded<G>(meant);
      if (!fold::finite(to)) return {errc::out_of_range, c.primitive, "gain", d, 0};
      if (write)
        gain(d) = to, done.add(meant, unit_offset ? meant - fold::number(to) : std::fma(scale, g, -fold::number(to)));
    }
  report = done;
  return {};
}

}  // namespace tenon
