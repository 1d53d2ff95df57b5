#pragma once
//  Whether a quantised matrix looks like the weights of a network: what tells a wrong reading of a file from a right one.
//
//  Most files that load and then produce nonsense were read in the wrong order, with the wrong zero points or with the
//  inverse of a scale. The values show it: weights have magnitudes between 1e-5 and 10, their codes average zero, and the
//  zero point of a group is near the mean of that group's codes and of no other's.
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/quantized_weight.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace tenon {

/// What is still taken for weights.
struct plausibility_limits {
  float smallest_median = 1e-5f;  // of |w|, zeros left out
  float largest_median  = 10;
  float mean_code       = 0.5f;  // |mean_code|; zero points off by one give 1
  float group_bias      = 2.5f;  // of groups with zero points; about 1 where they are right
  float zero_rows       = 0.5f;  // share
};

struct plausibility_report {
  char const* reason          = nullptr;  // the first thing that is wrong; null: nothing is
  index_t     bad_scales      = 0;        // NaN or infinite
  index_t     nan_codes       = 0;        // fp8
  index_t     negative_scales = 0;        // legal: quantisers with a signed scale make them
  index_t     zero_rows       = 0;
  float       median          = 0;  // of |w|, zeros left out
  float       percentile99    = 0;
  float       largest         = 0;
  float       mean_code       = 0;  // integers: mean of codes less zero points, without the largest of each group
  float       group_bias      = 0;  // zero points: rms mean of a group, over what independent codes would give
  float       lowest_code     = 0;  // symmetric integers: share of groups that use -8 or -128

  bool plausible() const { return reason == nullptr; }

  /// How the scales of a symmetric int4 or int8 matrix seem to be made, m being the largest |w| of a group.
  ///   m / 7 never uses -8, m / 7.5 does wherever the largest is negative, a signed scale in every group.
  char const* grid() const {
    return lowest_code < 0.02f ? "m / 7 or m / 127" : lowest_code < 0.9f ? "m / 7.5 or m / 127.5" : "signed";
  }
};

/// "plausible: median 0.0134, 99th percentile 0.052, largest 0.17, mean code 0.01"
inline std::string to_string(plausibility_report const& r) {
  char text[256];
  std::snprintf(text, sizeof text, ": median %.3g, 99th percentile %.3g, largest %.3g, mean code %.3g",
                static_cast<double>(r.median), static_cast<double>(r.percentile99), static_cast<double>(r.largest),
                static_cast<double>(r.mean_code));
  return (r.plausible() ? std::string("plausible") : std::string(r.reason)) + text;
}

namespace checkpoint {

/// |scale_of(w.scale) * number| of up to 65,536 codes that are not zero, from all over the matrix.
template <class F>
std::vector<float> sample_magnitudes(quantized_weight const& w, F const& scale_of) {
  constexpr index_t  most  = 65536;
  index_t const      count = w.rows * w.columns, step = (count / most) | 1;  // odd: no power of two of columns repeats
  std::vector<float> v;
  v.reserve(static_cast<std::size_t>(min(count, 2 * most)));
  for (index_t at = 0; at < count; at += step) {
    float const n = w.number(at / w.columns, at % w.columns);
    float const m = std::fabs(scale_of(w.scale(at / w.columns, at % w.columns)) * n);
    if (n != 0 && std::isfinite(m) && m != 0) v.push_back(m);
  }
  return v;
}

/// The value below which a share of v lies; 0 of nothing.
inline float percentile(std::vector<float>& v, double share) {
  if (v.empty()) return 0;
  auto const at = v.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(v.size() - 1));
  std::nth_element(v.begin(), at, v.end());
  return *at;
}

inline bool median_of_weights(float median, plausibility_limits const& limits = {}) {
  return median >= limits.smallest_median && median <= limits.largest_median;
}

}  // namespace checkpoint

/// Looks at all scales and at samples of the codes (at all of them for NaN and for rows of zeros).
///
/// Cost     one pass over the scales, one over fp8 codes, a few tens of thousands of codes otherwise.
/// Range    statistics of real weights: made-up matrices of a few codes may fail it. Another order of fields shows where
///          codes and zero points are read differently and groups are large; rows that change places with their scales and
///          zero points never show.
/// Test     tests/quant/import_plausibility_test.cpp.   Page docs/operators/import_weights.md.
inline plausibility_report weight_plausibility(quantized_weight const& w, plausibility_limits const& limits = {}) {
  plausibility_report r;
  for (float const s : w.scales) {
    float const scale = s * w.factor;
    r.bad_scales += !std::isfinite(scale), r.negative_scales += scale < 0;
  }
  if (w.format.code == weight_code::fp8)
    for (std::uint8_t const c : w.codes) r.nan_codes += (c & 0x7f) == 0x7f;
  for (index_t i = 0; i < w.rows; ++i) {
    index_t j = 0;
    while (j < w.columns && (w.scale(i, j) == 0 || w.number(i, j) == 0)) ++j;
    r.zero_rows += j == w.columns;
  }
  auto v         = checkpoint::sample_magnitudes(w, [](float s) { return s; });
  r.median       = checkpoint::percentile(v, 0.5);
  r.percentile99 = checkpoint::percentile(v, 0.99);
  r.largest      = v.empty() ? 0.f : *std::max_element(v.begin(), v.end());

  // Whole groups, evenly spread.
  bool const    integers = w.format.code == weight_code::int4 || w.format.code == weight_code::int8;
  index_t const group = w.format.group > 0 ? w.format.group : w.columns, count = w.groups(), all = w.rows * count;
  if (integers && w.columns > 0 && all > 0) {
    constexpr index_t most  = 4096;
    float const       floor = w.format.code == weight_code::int4 ? -8.f : -128.f;
    double            sum = 0, biases = 0, bias_noise = 0;
    index_t           codes = 0, groups = 0, floors = 0;
    for (index_t at = 0; at < all; at += (all / most) | 1) {
      index_t const i = at / count, first = at % count * group, last = min(first + group, w.columns);
      double        mean = 0, square = 0, extreme = 0;
      bool          uses_floor = false;
      for (index_t j = first; j < last; ++j) {
        float const n = w.number(i, j);
        mean += static_cast<double>(n), square += static_cast<double>(n) * static_cast<double>(n);
        if (std::fabs(static_cast<double>(n)) > std::fabs(extreme)) extreme = static_cast<double>(n);
        uses_floor = uses_floor || n == floor;
      }
      auto const length = static_cast<double>(last - first);
      sum += mean - extreme, codes += last - first - 1, ++groups, floors += uses_floor;
      biases += mean * mean / (length * length);
      bias_noise += (square - mean * mean / length) / (length * length);  // variance of a mean of independent codes
    }
    if (codes > 0) r.mean_code = static_cast<float>(sum / static_cast<double>(codes));
    if (w.format.zero_points && bias_noise > 0) r.group_bias = static_cast<float>(std::sqrt(biases / bias_noise));
    if (!w.format.zero_points) r.lowest_code = static_cast<float>(floors) / static_cast<float>(groups);
  }

  auto const wrong = [&](bool condition, char const* reason) {
    if (condition && r.reason == nullptr) r.reason = reason;
  };
  wrong(r.bad_scales > 0, "scales that are NaN or infinite");
  wrong(r.nan_codes > 0, "codes that are NaN");
  wrong(w.columns > 0 && static_cast<float>(r.zero_rows) > limits.zero_rows * static_cast<float>(w.rows),
        "rows of zeros");
  wrong(!v.empty() && r.median > limits.largest_median, "weights too large: is a scale its own inverse?");
  wrong(!v.empty() && r.median < limits.smallest_median, "weights too small: is a scale its own inverse?");
  wrong(std::fabs(r.mean_code) > limits.mean_code, "codes do not average zero: are the zero points off by one?");
  wrong(r.group_bias > limits.group_bias, "zero points are not those of their groups: is the order of fields another?");
  return r;
}

/// The share of weights that lie on the grid of `w` already, |weight / scale - nearest integer| < 1e-3: 1 for a matrix that
/// was quantised with these very scales (weights after fake quantisation), about 0.002 for any other. Integers only.
template <class T>
double on_grid_share(quantized_weight const& w, tensor_view<T, 2> weights) {
  index_t on = 0, all = 0;
  for (index_t i = 0; i < min(w.rows, weights.extent[0]); ++i)
    for (index_t j = 0; j < w.columns; ++j, ++all) {
      index_t const k = w.order.empty() ? j : w.order[static_cast<std::size_t>(j)];
      float const   s = w.scale(i, j), x = s == 0 ? 0.f : static_cast<float>(weights(i, k)) / s;
      on += std::fabs(x - std::nearbyint(x)) < 1e-3f;
    }
  return all == 0 ? 1 : static_cast<double>(on) / static_cast<double>(all);
}

}  // namespace tenon
