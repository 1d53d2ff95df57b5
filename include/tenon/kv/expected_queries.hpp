#pragma once
//  The queries that are still to come, as a Gaussian: what ExpectedAttention scores keys with.
//
//    mean'   = R mean,   covariance' = R covariance R',   R = mean_{n < horizon} rotation(position + n)
//
//  Mean and covariance are of a head's queries before the rotation, from a sample: those of the prompt, or of a
//  calibration. R turns each pair of columns by its mean angle and shortens it as far as the angles disagree.
//  attention_scores takes the mean as one query and the factors of the covariance as `spread`.
//
//  Source. Devoto et al. 2025, "Expected attention: KV cache compression by estimating attention from future queries
//  distribution".
//  Test tests/kv/expected_queries_test.cpp.   Page docs/operators/kv_scores.md.
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/position/rope_options.hpp>

#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace tenon {

/// A Gaussian per head: mean (heads, head_dim), and spread (heads, rank, head_dim) with covariance = sum_j spread[j]
/// spread[j]', dense. rank = head_dim.
struct expected_queries {
  index_t            heads = 0, head_dim = 0;
  std::vector<float> mean, spread;

  tensor_view<float const, 3> mean_view() const { return dense(mean.data(), index_t{1}, heads, head_dim); }  // as q
  tensor_view<float const, 3> spread_view() const { return dense(spread.data(), heads, head_dim, head_dim); }
};

/// What the queries at positions first..first+horizon-1 are like, given the queries of a sample
///
/// expected  becomes the Gaussian of each head; untouched where the call fails
/// q         (tokens, heads, head_dim)   f16 bf16 f32, finite, before the rotation; any strides; at least one token
/// cos_sin   (positions, rotary_dim)     f32: the table of rope; any strides
/// first     the first position that is still to come
/// horizon   how many of them; those that the table lacks do not count, at least one has to be there
/// style     of the rotation
///
/// Arithmetic  double; covariance over the sample's size, factored by Cholesky; a direction in which it has no extent,
///             up to 1e-12 of the largest, has none in the answer
/// Cost        tokens heads head_dim^2 + heads head_dim^3 / 3 multiplications
/// Errors      shape_mismatch(head_dim: less than rotary_dim), out_of_range(q: null or not finite, `got` its token;
///             tokens, first, horizon, rotary_dim: odd), misaligned
template <class Q>
status expect_queries(expected_queries& expected, tensor_view<Q, 3> q, tensor_view<float const, 2> cos_sin,
                      index_t first, index_t horizon = 512, rope_style style = rope_style::half_split) {
  extent   tokens{"tokens"}, heads{"heads"}, head_dim{"head_dim"}, positions{"positions"}, rotary{"rotary_dim"};
  contract check{"expect_queries"};
  check.shape(q, tokens, heads, head_dim)
      .shape(cos_sin, positions, rotary)
      .addressable(q, "q")
      .addressable(cos_sin, "cos_sin")
      .require(tokens.value >= 1, errc::out_of_range, "tokens", tokens.value, 1)
      .require(rotary.value % 2 == 0, errc::out_of_range, "rotary_dim", rotary.value, rotary.value - 1)
      .require(rotary.value <= head_dim.value, errc::shape_mismatch, "head_dim", head_dim.value, rotary.value)
      .require(first >= 0 && first < positions.value, errc::out_of_range, "first", first, positions.value)
      .require(horizon >= 1, errc::out_of_range, "horizon", horizon, 1);
  TENON_TRY(check.result);
  index_t const n = head_dim.value, half = rotary.value / 2;
  for (index_t t = 0; t < tokens.value; ++t)
    for (index_t h = 0; h < heads.value; ++h)
      for (index_t d = 0; d < n; ++d)
        check.require(std::isfinite(static_cast<float>(q(t, h, d))), errc::out_of_range, "q", t, tokens.value);
  TENON_TRY(check.result);

  // The mean rotation of every pair.
  index_t const       end = min(positions.value - first, horizon) + first;
  std::vector<double> cosine(static_cast<std::size_t>(half), 0), sine(cosine);
  for (index_t p = first; p < end; ++p)
    for (index_t i = 0; i < half; ++i) {
      cosine[static_cast<std::size_t>(i)] += static_cast<double>(cos_sin(p, i)) / static_cast<double>(end - first);
      sine[static_cast<std::size_t>(i)] += static_cast<double>(cos_sin(p, half + i)) / static_cast<double>(end - first);
    }
  auto const rotate = [&](double const* x, float* to) {
    for (index_t d = 2 * half; d < n; ++d) to[d] = static_cast<float>(x[d]);
    for (index_t i = 0; i < half; ++i) {
      index_t const a = style == rope_style::half_split ? i : 2 * i,
                    b = style == rope_style::half_split ? half + i : a + 1;
      double const c = cosine[static_cast<std::size_t>(i)], s = sine[static_cast<std::size_t>(i)];
      to[a] = static_cast<float>(x[a] * c - x[b] * s), to[b] = static_cast<float>(x[b] * c + x[a] * s);
    }
  };

  expected_queries    all{heads.value, n, {}, {}};
  std::vector<double> mean(static_cast<std::size_t>(n)), covariance(static_cast<std::size_t>(n * n)), column(mean);
  all.mean.resize(static_cast<std::size_t>(heads.value * n)),
      all.spread.resize(static_cast<std::size_t>(heads.value * n * n));
  for (index_t h = 0; h < heads.value; ++h) {
    auto const    at = [&](index_t t, index_t d) { return static_cast<double>(static_cast<float>(q(t, h, d))); };
    double* const m  = mean.data();
    double* const c  = covariance.data();
    for (index_t d = 0; d < n; ++d) {
      m[d] = 0;
      for (index_t t = 0; t < tokens.value; ++t) m[d] += at(t, d) / static_cast<double>(tokens.value);
    }
    double largest = 0;
    for (index_t i = 0; i < n; ++i)
      for (index_t j = 0; j <= i; ++j) {
        double sum = 0;
        for (index_t t = 0; t < tokens.value; ++t) sum += (at(t, i) - m[i]) * (at(t, j) - m[j]);
        c[i * n + j] = sum / static_cast<double>(tokens.value);
        if (i == j) largest = max(largest, c[i * n + j]);
      }
    // Cholesky, column by column; a pivot without extent leaves a column of zeros.
    for (index_t j = 0; j < n; ++j) {
      double pivot = c[j * n + j];
      for (index_t i = 0; i < j; ++i) pivot -= c[j * n + i] * c[j * n + i];
      double const root = pivot > 1e-12 * largest ? std::sqrt(pivot) : 0;
      for (index_t i = j + 1; i < n; ++i) {
        double sum = c[i * n + j];
        for (index_t k = 0; k < j; ++k) sum -= c[i * n + k] * c[j * n + k];
        c[i * n + j] = root > 0 ? sum / root : 0;
      }
      c[j * n + j] = root;
    }
    rotate(m, all.mean.data() + h * n);
    for (index_t j = 0; j < n; ++j) {
      for (index_t i = 0; i < n; ++i) column[static_cast<std::size_t>(i)] = i < j ? 0 : c[i * n + j];
      rotate(column.data(), all.spread.data() + (h * n + j) * n);
    }
  }
  expected = std::move(all);
  return {};
}

}  // namespace tenon
