#pragma once
//  Stages of an epilogue that look along a row: sums of squares, a deferred RMSNorm, quantised stores.
//
//  The sums and maxima run over aligned runs of `segment` columns of D, in an order that does not depend on the kernel.
//
//  A norm whose sum rides on the products around it (y = x W1^T + r; z = RMSNorm(y) W2^T, the gain folded into W2):
//
//    gemm(where, y, x, w1, {}, epilogue::residual(r) | epilogue::row_square_sums(sums));
//    gemm(where, z, y, w2, {}, epilogue::deferred_rms(sums, n, eps));
//
//  because the factor of a row commutes with the product. Seen in Dao-AILab/quack, quack/epilogue (idea).
#include <tenon/core/nearest_code.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/op/epilogue_pipeline.hpp>

#include <cmath>
#include <cstdint>
#include <type_traits>

namespace tenon::epilogue {

/// Columns of D whose squares make one partial sum.
inline constexpr int sum_segment = 32;

/// Partial sums that row_square_sums leaves for each row of n columns.
TENON_HD constexpr index_t square_sums(index_t n) { return (n + sum_segment - 1) / sum_segment; }

/// v, unchanged; sums[row, s] = sum of v^2 over columns 32 s .. 32 s + 31 of D
struct row_square_sums_stage {
  static constexpr int segment = sum_segment;
  float*               sums;
  index_t              row_stride, segment_stride;

  template <class Segment, int N>
  TENON_HD void along(Segment const& all, float (&v)[N], index_t row, index_t column, int count) const {
    float sum = 0;
    TENON_UNROLL_DEVICE
    for (int e = 0; e < N; ++e) sum += e < count ? v[e] * v[e] : 0.f;
    sum = all.template sum<segment>(sum);
    if (count > 0 && all.template leads<segment>()) sums[row * row_stride + column / segment * segment_stride] = sum;
  }
};
/// sums (m, square_sums(n)) f32, any strides
constexpr row_square_sums_stage row_square_sums(tensor_view<float, 2> sums) {
  return {sums.data, sums.stride[0], sums.stride[1]};
}

/// v / sqrt(sum_s sums[row, s] / n + eps)
struct deferred_rms_stage {
  float const* sums;
  index_t      row_stride, segment_stride, segments;
  float        columns, eps;

  TENON_HD float row_term(index_t row, int first, int step) const {
    float sum = 0;
    for (index_t s = first; s < segments; s += step) sum += sums[row * row_stride + s * segment_stride];
    return sum;
  }
  TENON_HD float           row_value(float sum) const { return 1.f / ::sqrtf(sum / columns + eps); }
  TENON_HD constexpr float with_row(float v, index_t, index_t, float value) const { return v * value; }
};
/// sums (m, square_sums(n)) as row_square_sums left them; n: columns of the normalised matrix
template <class T>
constexpr deferred_rms_stage deferred_rms(tensor_view<T, 2> sums, index_t n, float eps) {
  static_assert(std::is_same_v<std::remove_const_t<T>, float>, "tenon::epilogue::deferred_rms: sums are f32");
  return {sums.data, sums.stride[0], sums.stride[1], sums.extent[1], static_cast<float>(n), eps};
}

/// v (1 / scale), scale[row, s] = max |v| over columns G s .. G s + G - 1 of D / largest_code: the bits of quantize_rows
/// with groups of G. D is of Code and rounds.
template <row_code Code, int G>
struct quantize_stage {
  static_assert(G == 32 || G == 64 || G == 128, "tenon::epilogue::quantize: groups of 32, 64 or 128 columns");
  static constexpr int segment = G;
  float*               scales;
  index_t              row_stride, group_stride;

  template <class Segment, int N>
  TENON_HD void along(Segment const& all, float (&v)[N], index_t row, index_t column, int count) const {
    float most = 0;
    TENON_UNROLL_DEVICE
    for (int e = 0; e < N; ++e) {
      float const magnitude = v[e] < 0 ? -v[e] : v[e];
      if (e < count && most == most && !(magnitude <= most)) most = magnitude;  // a NaN stays
    }
    most                = all.template largest<segment>(most);
    float const scale   = most / largest_code<Code>;
    float const inverse = most > 0 ? 1.f / scale : 0.f;
    if (count > 0 && all.template leads<segment>()) scales[row * row_stride + column / segment * group_stride] = scale;
    TENON_UNROLL_DEVICE
    for (int e = 0; e < N; ++e) v[e] *= inverse;
  }
};
/// Dynamic quantisation by groups of G columns: D is of Code (int8_t or e4m3), scales (m, ceil(n / G)) f32.
template <row_code Code, int G = 128>
constexpr quantize_stage<Code, G> quantize(tensor_view<float, 2> scales) {
  return {scales.data, scales.stride[0], scales.stride[1]};
}

}  // namespace tenon::epilogue
