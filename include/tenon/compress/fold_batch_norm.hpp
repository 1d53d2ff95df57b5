#pragma once
//  A BatchNorm into the linear layer or the convolution next to it, offline: in inference it is one scale and one shift
//  per channel, which a weight and a bias can take.
//
//    behind:    y = norm(w x + b)    s[c] = gamma[c] / sqrt(variance[c] + eps)
//                                    w'[c, ...] = s[c] w[c, ...]
//                                    b'[c] = beta[c] + s[c] (b[c] - mean[c])
//    in front:  y = w norm(x) + b    w'[i, c] = w[i, c] s[c]
//                                    b'[i] = b[i] + sum_c w[i, c] (beta[c] - s[c] mean[c])
//
//  Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
//  2015.
#include <tenon/compress/fold_report.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace tenon {

/// A BatchNorm with its running statistics: norm(x)[c] = gamma[c] (x[c] - mean[c]) / sqrt(variance[c] + eps) + beta[c].
template <class N = float>
struct batch_norm {
  tensor_view<N const, 1> gamma    = {};  // (channels), or none: 1
  tensor_view<N const, 1> beta     = {};  // (channels), or none: 0
  tensor_view<N const, 1> mean     = {};  // (channels)
  tensor_view<N const, 1> variance = {};  // (channels), >= 0
  double eps = -1;  // to be given: frameworks differ (PyTorch 1e-5, Keras 1e-3), and a wrong one is hard to see
};

struct fold_batch_norm_options {
  bool    transposed = false;  // a transposed convolution's weight: (in, out / groups, ...), outputs on axis 1
  index_t groups     = 1;      // of a transposed convolution; otherwise nothing depends on it
};

namespace fold {

/// A BatchNorm as norm(x)[c] = beta[c] + scale[c] (x[c] - mean[c]).
struct scaled_shift {
  std::vector<double> scale, mean, beta;

  std::size_t channels() const { return scale.size(); }
  double      of(std::size_t c, double x) const { return beta[c] + scale[c] * (x - mean[c]); }
};

template <class N>
status read_batch_norm(char const* primitive, scaled_shift& to, batch_norm<N> const& norm, index_t channels) {
  contract c{primitive};
  c.require(norm.eps >= 0 && norm.eps <= std::numeric_limits<double>::max(), errc::out_of_range, "eps");
  vector(c, norm.gamma, channels, "gamma", true);
  vector(c, norm.beta, channels, "beta", true);
  vector(c, norm.mean, channels, "mean", false);
  vector(c, norm.variance, channels, "variance", false);
  TENON_TRY(c.result);
  auto const n = static_cast<std::size_t>(channels);
  to.scale.resize(n), to.mean.resize(n), to.beta.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    auto const   at       = static_cast<index_t>(i);
    double const variance = number(norm.variance(at));
    if (!(variance >= 0 && variance + norm.eps > 0)) return {errc::out_of_range, primitive, "variance", at, 0};
    to.scale[i] = number_or(1, norm.gamma, at) / std::sqrt(variance + norm.eps);
    to.mean[i]  = number(norm.mean(at));
    to.beta[i]  = number_or(0, norm.beta, at);
  }
  return {};
}

}  // namespace fold

/// norm(layer(x)) as one layer: w'[c, ...] = s[c] w[c, ...], b'[c] = beta[c] + s[c] (b[c] - mean[c])
///
/// w_out     the shape of w           f32 f64 f16 bf16, any strides; w itself, or memory that overlaps no input
/// bias_out  (out)                    f32 f64 f16 bf16; always written: the folded layer has a bias even if the layer
///                                    had none
/// w         (out, ...), rank 2 to 5  a linear layer (out, in), a convolution OIHW, OHWI or alike, with any groups:
///                                    outputs are axis 0. Transposed convolutions: (in, out / groups, ...), options
/// bias      (out), or no_bias        f32 f64 f16 bf16
/// norm      gamma, beta, mean, variance (out), eps
///
/// Arithmetic  double, rounded once to the element of w_out and of bias_out.
/// Cost        two passes over w, the first of which only checks; a few vectors of length out.
/// Errors      out_of_range(eps: not given, negative; variance: negative, NaN, or 0 without an eps; gamma, beta, mean,
///             bias: not finite; `got` names the channel each time), out_of_range(w: the first result that its storage
///             cannot hold; `got` is its index on axis 0, `want` its place behind that), shape_mismatch, misaligned.
///             Nothing is written then.
/// Test tests/compress/fold_batch_norm_test.cpp.   Page docs/operators/folds.md.
template <fold_element W, int Rank, fold_element B, fold_element FromW, fold_element FromB, fold_element N>
status fold_batch_norm(tensor_view<W, Rank> w_out, tensor_view<B, 1> bias_out, tensor_view<FromW, Rank> w,
                       tensor_view<FromB, 1> bias, batch_norm<N> const& norm,
                       fold_batch_norm_options const& options = {}) {
  static_assert(Rank >= 2 && Rank <= 5, "tenon::fold_batch_norm: a weight has rank 2 to 5");
  constexpr char const* name = "fold_batch_norm";
  contract              c{name};
  fold::same_shape(c, w_out, w, "w_out")
      .addressable(w, "w")
      .addressable(w_out, "w_out")
      .require(options.groups >= 1, errc::out_of_range, "groups", options.groups, 1)
      .require(!options.transposed || options.groups <= max(w.extent[0], index_t{1}), errc::out_of_range, "groups",
               options.groups, w.extent[0])
      .require(options.groups < 1 || !options.transposed || w.extent[0] % options.groups == 0, errc::shape_mismatch,
               "groups", w.extent[0], options.groups);
  TENON_TRY(c.result);
  index_t const out       = options.transposed ? w.extent[1] * options.groups : w.extent[0];
  index_t const group_ins = max(w.extent[0] / options.groups, index_t{1});  // transposed: inputs of a group
  c.require(bias_out.extent[0] == out, errc::shape_mismatch, "bias_out", bias_out.extent[0], out)
      .addressable(bias_out, "bias_out");
  fold::vector(c, bias, out, "bias", true);
  TENON_TRY(c.result);
  fold::scaled_shift s;
  TENON_TRY(fold::read_batch_norm(name, s, norm, out));

  std::vector<double> shifted(s.channels());
  for (std::size_t i = 0; i < shifted.size(); ++i)
    shifted[i] = s.of(i, fold::number_or(0, bias, static_cast<index_t>(i)));
  auto const w_value = [&](index_t const* i) {
    index_t const channel = options.transposed ? i[0] / group_ins * w.extent[1] + i[1] : i[0];
    return s.scale[static_cast<std::size_t>(channel)] * fold::number(fold::at(w, i));
  };
  return fold::store_layer(name, w_out, w_value, bias_out, shifted);
}

/// w norm(x) + b as one linear layer: w'[i, c] = w[i, c] s[c], b'[i] = b[i] + sum_c w[i, c] (beta[c] - s[c] mean[c])
///
/// w_out     (out, in)        f32 f64 f16 bf16, any strides; w itself, or memory that overlaps no input
/// bias_out  (out)            f32 f64 f16 bf16; always written
/// w         (out, in)        f32 f64 f16 bf16, any strides
/// bias      (out), or no_bias
/// norm      gamma, beta, mean, variance (in), eps
///
/// Not for a convolution with padding: its zeros come behind the norm and would have to become its shift. Without
/// padding, a convolution is a linear layer over patches.
///
/// Arithmetic  double, sums by ascending c; rounded once to the element of w_out and of bias_out.
/// Cost        three passes over w, the first two of which write nothing; a few vectors.
/// Errors      as of fold_batch_norm; `got` of gamma, beta, mean and variance is an input.
/// Test tests/compress/fold_batch_norm_test.cpp.   Page docs/operators/folds.md.
template <fold_element W, fold_element B, fold_element FromW, fold_element FromB, fold_element N>
status fold_leading_batch_norm(tensor_view<W, 2> w_out, tensor_view<B, 1> bias_out, tensor_view<FromW, 2> w,
                               tensor_view<FromB, 1> bias, batch_norm<N> const& norm) {
  constexpr char const* name = "fold_leading_batch_norm";
  contract              c{name};
  index_t const         out = w.extent[0], in = w.extent[1];
  fold::same_shape(c, w_out, w, "w_out")
      .addressable(w, "w")
      .addressable(w_out, "w_out")
      .require(bias_out.extent[0] == out, errc::shape_mismatch, "bias_out", bias_out.extent[0], out)
      .addressable(bias_out, "bias_out");
  TENON_TRY(c.result);
  fold::vector(c, bias, out, "bias", true);
  TENON_TRY(c.result);
  fold::scaled_shift s;
  TENON_TRY(fold::read_batch_norm(name, s, norm, in));

  std::vector<double> shifted(static_cast<std::size_t>(out));
  for (index_t i = 0; i < out; ++i) {
    double sum = 0;
    for (index_t j = 0; j < in; ++j) sum += fold::number(w(i, j)) * s.of(static_cast<std::size_t>(j), 0);
    shifted[static_cast<std::size_t>(i)] = fold::number_or(0, bias, i) + sum;
  }
  auto const w_value = [&](index_t const* i) {
    return fold::number(w(i[0], i[1])) * s.scale[static_cast<std::size_t>(i[1])];
  };
  return fold::store_layer(name, w_out, w_value, bias_out, shifted);
}

}  // namespace tenon
