#pragma once
//  Healing: after a cut, the weights of the next linear layer are fitted again on calibration rows, in closed form.
//
//    refit            W' = argmin |A W'^T - R|^2 + lambda m |W' - W0|^2,   m = mean of diag(A'A)
//    refit_survivors  the same for a layer that lost inputs: its targets are the outputs it had with all of them
//
//  The ridge pulls towards the weights that were there, not towards zero: where rows say nothing, nothing changes.
//
//  Sources. ReplaceMe (Shopkhoev et al., 2025) replaces dropped blocks by a linear map fitted so; fitting the whole
//  layer before the cut instead, for blocks, sublayers and widths alike, is ours. The mean of what a cut removes, moved
//  into a bias: An et al., "Fluctuation-based adaptive structured pruning (FLAP)", 2024.
#include <tenon/compress/cholesky.hpp>
#include <tenon/compress/gram.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace tenon {

/// What a refit did: squared errors of the outputs over all calibration rows.
struct refit_report {
  double before = 0;  // of the weights as they were, refit_survivors: of the ones that are left
  double after  = 0;  // of the new ones
};

namespace calibration {

/// Mean of diagonal(0) .. diagonal(n - 1); 1 where all is zero, so that a ridge is one.
template <class Diagonal>
double mean_diagonal(index_t n, Diagonal&& diagonal) {
  double sum = 0;
  for (index_t j = 0; j < n; ++j) sum += diagonal(j);
  return sum > 0 ? sum / static_cast<double>(n) : 1.;
}

/// Whether v is within f32.
inline bool fits_float(double v) { return std::abs(v) <= static_cast<double>(std::numeric_limits<float>::max()); }

}  // namespace calibration

/// out = argmin over W of  sum over rows |W a - r|^2 + ridge * mean(diag A'A) * |W - w|^2
///
/// out    (outputs, inputs)  f32, any strides; may be w's memory with w's strides. Untouched where the call fails
/// w      (outputs, inputs)  f32, any strides, every value finite: the weights so far
/// gram   of the rows a      gram_statistics with columns = inputs
/// cross  of a and r         cross_statistics of the same rows
/// ridge                     > 0; 1e-3 by default
///
/// Arithmetic  double, rounded once to f32
/// Cost        inputs^3 / 6 + inputs^2 outputs multiplications, the same again for the report; allocates inputs^2 +
///             inputs outputs doubles
/// Errors      shape_mismatch(outputs, inputs, rows), out_of_range(ridge; w: `got` the row, `want` the column; pivot:
///             the input at which the Cholesky factor fails: raise the ridge; out: a result outside f32), misaligned
/// Test tests/compress/least_squares_test.cpp.   Page docs/operators/healing.md.
inline status refit(tensor_view<float, 2> out, tensor_view<float const, 2> w, gram_statistics const& gram,
                    cross_statistics const& cross, double ridge = 1e-3, refit_report* report = nullptr) {
  extent   outputs{"outputs"}, inputs{"inputs"};
  contract c{"refit"};
  c.shape(w, outputs, inputs)
      .shape(out, outputs, inputs)
      .addressable(w, "w")
      .addressable(out, "out")
      .require(gram.columns == inputs.value, errc::shape_mismatch, "inputs", gram.columns, inputs.value)
      .require(cross.inputs == inputs.value, errc::shape_mismatch, "inputs", cross.inputs, inputs.value)
      .require(cross.outputs == outputs.value, errc::shape_mismatch, "outputs", cross.outputs, outputs.value)
      .require(cross.rows == gram.rows, errc::shape_mismatch, "rows", cross.rows, gram.rows)
      .require(ridge > 0 && std::isfinite(ridge), errc::out_of_range, "ridge");
  TENON_TRY(c.result);
  TENON_TRY(calibration::all_finite("refit", "w", w));

  index_t const       m = outputs.value, n = inputs.value;
  double const        pull = ridge * calibration::mean_diagonal(n, [&](index_t j) { return gram(j, j); });
  std::vector<double> l(static_cast<std::size_t>(n * n)), b(cross.products);
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j <= i; ++j) l[static_cast<std::size_t>(i * n + j)] = gram(j, i) + (i == j ? pull : 0.);
  for (index_t o = 0; o < m; ++o)
    for (index_t i = 0; i < n; ++i) b[static_cast<std::size_t>(o * n + i)] += pull * static_cast<double>(w(o, i));
  status s = cholesky(dense(l.data(), n, n));
  if (!s.ok()) {
    s.primitive = "refit";
    return s;
  }
  TENON_TRY(cholesky_solve(dense(static_cast<double const*>(l.data()), n, n), dense(b.data(), m, n)));
  for (index_t o = 0; o < m; ++o)
    for (index_t i = 0; i < n; ++i)
      if (!calibration::fits_float(b[static_cast<std::size_t>(o * n + i)]))
        return {errc::out_of_range, "refit", "out", o, i};

  // |W a - r|^2 = W A'A W' - 2 W A'R + r^2
  auto const error = [&](auto const& weight) {
    std::vector<double> v(static_cast<std::size_t>(m * n));
    double              mixed = 0;
    for (index_t o = 0; o < m; ++o)
      for (index_t i = 0; i < n; ++i) {
        auto const at = static_cast<std::size_t>(o * n + i);
        v[at]         = static_cast<double>(weight(o, i));
        mixed += v[at] * cross.products[at];
      }
    return max(output_error(gram, v) - 2 * mixed + cross.target_squares, 0.);
  };
  if (report) report->before = error(w);
  for (index_t o = 0; o < m; ++o)
    for (index_t i = 0; i < n; ++i) out(o, i) = static_cast<float>(b[static_cast<std::size_t>(o * n + i)]);
  if (report) report->after = error(out);
  return {};
}

struct refit_survivors_options {
  double ridge = 1e-3;  // of the mean of diag(H_kk)
  bool   fit   = true;  // false: the weights that are left stay as they are; with a bias this is FLAP's compensation
};

/// A layer that keeps the inputs `kept` of its n, so that its outputs stay as near as they can to what they were:
///
///   out  = W_k + W_d H_dk (H_kk + ridge mean(diag H_kk))^-1        H = A'A, k: kept inputs, d: dropped ones
///   bias += (W - out on k) mean(a)                                 where a bias is given; H is then of a - mean(a)
///
/// out      (outputs, kept)    f32, any strides; shares no memory with w
/// bias     (outputs) or none  f32: added to
/// w        (outputs, inputs)  f32, any strides, every value finite
/// gram     of all inputs      gram_statistics with columns = inputs
/// kept     (kept)             which inputs stay, ascending
/// options  ridge, fit
///
/// Arithmetic  double, rounded once to f32
/// Cost        kept^3 / 6 + outputs kept (kept + dropped) multiplications, and outputs inputs^2 / 2 for the report;
///             allocates kept^2 + outputs kept doubles
/// Errors      shape_mismatch(outputs, inputs, kept), out_of_range(kept: `got` is the entry that does not ascend or is
///             no input; ridge; w; rows: a bias needs some; pivot: raise the ridge; out, bias: the first result outside
///             f32), misaligned. Nothing is written then.
/// Test tests/compress/least_squares_test.cpp.   Page docs/operators/healing.md.
inline status refit_survivors(tensor_view<float, 2> out, tensor_view<float, 1> bias, tensor_view<float const, 2> w,
                              gram_statistics const& gram, std::vector<index_t> const& kept,
                              refit_survivors_options const& options = {}, refit_report* report = nullptr) {
  bool const    with_bias = bias.data != nullptr;
  index_t const k         = static_cast<index_t>(kept.size());
  extent        outputs{"outputs"}, inputs{"inputs"}, width{"kept", k};
  contract      c{"refit_survivors"};
  c.shape(w, outputs, inputs).shape(out, outputs, width).addressable(w, "w").addressable(out, "out");
  if (with_bias) c.shape(bias, outputs).addressable(bias, "bias");
  c.require(gram.columns == inputs.value, errc::shape_mismatch, "inputs", gram.columns, inputs.value)
      .require(options.ridge > 0 && std::isfinite(options.ridge), errc::out_of_range, "ridge")
      .require(!with_bias || gram.rows > 0, errc::out_of_range, "rows", gram.rows, 1);
  for (index_t i = 0; i < k && c.result.ok(); ++i) {
    index_t const at = kept[static_cast<std::size_t>(i)];
    c.require(at >= (i > 0 ? kept[static_cast<std::size_t>(i - 1)] + 1 : 0) && at < inputs.value, errc::out_of_range,
              "kept", at, inputs.value);
  }
  TENON_TRY(c.result);
  TENON_TRY(calibration::all_finite("refit_survivors", "w", w));

  index_t const        m = outputs.value, n = inputs.value;
  std::vector<index_t> dropped;
  for (index_t j = 0, next = 0; j < n; ++j) {
    if (next < k && kept[static_cast<std::size_t>(next)] == j) ++next;
    else dropped.push_back(j);
  }
  // With a bias, means are its business, and what is left to fit is how inputs vary together.
  auto const h = [&](index_t i, index_t j) {
    double const all = gram(i, j);
    return with_bias ? all - gram.sum[static_cast<std::size_t>(i)] * gram.mean(j) : all;
  };

  std::vector<double> fitted(static_cast<std::size_t>(m * k));
  if (options.fit) {
    double const        pull = options.ridge * calibration::mean_diagonal(k, [&](index_t i) {
                          index_t const j = kept[static_cast<std::size_t>(i)];
                          return h(j, j);
                        });
    std::vector<double> l(static_cast<std::size_t>(k * k));
    for (index_t i = 0; i < k; ++i)
      for (index_t j = 0; j <= i; ++j)
        l[static_cast<std::size_t>(i * k + j)] =
            h(kept[static_cast<std::size_t>(j)], kept[static_cast<std::size_t>(i)]) + (i == j ? pull : 0.);
    for (index_t const d : dropped)
      for (index_t i = 0; i < k; ++i) {
        double const both = h(d, kept[static_cast<std::size_t>(i)]);
        for (index_t o = 0; o < m; ++o)
          fitted[static_cast<std::size_t>(o * k + i)] += static_cast<double>(w(o, d)) * both;
      }
    status s = cholesky(dense(l.data(), k, k));
    if (!s.ok()) {
      s.primitive = "refit_survivors";
      s.got = kept[static_cast<std::size_t>(s.got)], s.want = n;
      return s;
    }
    TENON_TRY(cholesky_solve(dense(static_cast<double const*>(l.data()), k, k), dense(fitted.data(), m, k)));
  }
  for (index_t o = 0; o < m; ++o)
    for (index_t i = 0; i < k; ++i) {
      double& v = fitted[static_cast<std::size_t>(o * k + i)];
      v += static_cast<double>(w(o, kept[static_cast<std::size_t>(i)]));
      if (!calibration::fits_float(v)) return {errc::out_of_range, "refit_survivors", "out", o, i};
    }

  std::vector<double> biases;
  for (index_t o = 0; o < m && with_bias; ++o) {
    double moved = 0;
    for (index_t j = 0; j < n; ++j) moved += static_cast<double>(w(o, j)) * gram.mean(j);
    for (index_t i = 0; i < k; ++i)
      moved -= static_cast<double>(static_cast<float>(fitted[static_cast<std::size_t>(o * k + i)])) *
               gram.mean(kept[static_cast<std::size_t>(i)]);
    biases.push_back(static_cast<double>(bias(o)) + moved);
    if (!calibration::fits_float(biases.back())) return {errc::out_of_range, "refit_survivors", "bias", o, 0};
  }

  // Errors of the outputs, with what a bias makes up for: the constant part of each row of d is d mean(a).
  auto const error = [&](bool plain) {
    std::vector<double> d(static_cast<std::size_t>(m * n));
    double              constant = 0;
    for (index_t o = 0; o < m; ++o) {
      double* const row = d.data() + o * n;
      for (index_t j = 0; j < n; ++j) row[j] = static_cast<double>(w(o, j));
      for (index_t i = 0; i < k; ++i) {
        index_t const at = kept[static_cast<std::size_t>(i)];
        row[at] -= plain ? static_cast<double>(w(o, at))
                         : static_cast<double>(static_cast<float>(fitted[static_cast<std::size_t>(o * k + i)]));
      }
      double mean = 0;
      for (index_t j = 0; j < n; ++j) mean += row[j] * gram.mean(j);
      constant += mean * mean * static_cast<double>(gram.rows);
    }
    double const all = output_error(gram, d);
    return with_bias && !plain ? max(all - constant, 0.) : all;
  };
  if (report) *report = {error(true), error(false)};

  for (index_t o = 0; o < m; ++o)
    for (index_t i = 0; i < k; ++i) out(o, i) = static_cast<float>(fitted[static_cast<std::size_t>(o * k + i)]);
  if (with_bias)
    for (index_t o = 0; o < m; ++o) bias(o) = static_cast<float>(biases[static_cast<std::size_t>(o)]);
  return {};
}

}  // namespace tenon
