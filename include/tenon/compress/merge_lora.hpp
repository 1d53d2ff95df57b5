#pragma once
//  A low-rank adapter into the weight that it adapts, offline.
//
//    w' = w + scale b a,    scale = alpha / r, rank-stabilised alpha / sqrt(r)
//    DoRA: the rows of that, brought to the lengths that were trained: w'[i, :] = m[i] w'[i, :] / |w'[i, :]|
//
//  Hu et al., "LoRA: Low-rank adaptation of large language models", 2021; Kalajdzievski, "A rank stabilization scaling
//  factor for fine-tuning with LoRA", 2023 (rsLoRA); Liu et al., "DoRA: Weight-decomposed low-rank adaptation", 2024.
#include <tenon/compress/fold_report.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

namespace tenon {

struct merge_lora_options {
  double alpha = std::numeric_limits<double>::quiet_NaN();  // to be given: lora_alpha of the adapter; 0 is allowed
  bool   rank_stabilised                = false;            // use_rslora: alpha / sqrt(r) instead of alpha / r
  bool   fan_in_fan_out                 = false;  // w is (in, out), as a GPT-2 Conv1D or an embedding table has it
  tensor_view<float const, 1> magnitude = {};     // (out): m of DoRA, lora_magnitude_vector; none: LoRA
};

/// w'[i, j] = w[i, j] + scale sum_k b[i, k] a[k, j]; with a magnitude m, times m[i] over the length of that row i
///
/// w_out    (out, in), with fan_in_fan_out (in, out)   f32 f64 f16 bf16, any strides; w itself, or memory that overlaps
///                                                     no input
/// w        the shape of w_out                         f32 f64 f16 bf16, any strides
/// a        (r, in)     lora_A.weight                  f32 f64 f16 bf16, any strides
/// b        (out, r)    lora_B.weight                  f32 f64 f16 bf16, any strides
/// options  alpha, rank_stabilised, fan_in_fan_out, magnitude; r is that of a and b, so patterns of ranks need nothing
///
/// Merge into the weights that the adapter was trained on, before they are quantised: codes of 4 bits round most of an
/// adapter away.
///
/// Arithmetic  double, sums by ascending k, rounded once to the element of w_out.
/// Cost        2 out in r multiply-adds twice: the first pass only checks. a in double, and one row of w.
/// Errors      out_of_range(alpha: not given, or not finite; rank: 0; w: the first result that its storage cannot hold
///             or that is a NaN, `got` its row and `want` its column of (out, in); magnitude: the first that is not
///             finite, or of a row whose length is 0 or not finite), shape_mismatch(w_out, in, out, rank, magnitude),
///             misaligned. Nothing is written then.
/// Test tests/compress/merge_lora_test.cpp.   Page docs/operators/folds.md.
template <fold_element To, fold_element W, fold_element A, fold_element B>
status merge_lora(tensor_view<To, 2> w_out, tensor_view<W, 2> w, tensor_view<A, 2> a, tensor_view<B, 2> b,
                  merge_lora_options const& options) {
  auto const turned = [&]<class E>(tensor_view<E, 2> v) {
    if (options.fan_in_fan_out) std::swap(v.extent[0], v.extent[1]), std::swap(v.stride[0], v.stride[1]);
    return v;
  };
  auto const from = turned(w);
  auto const to   = turned(w_out);
  extent     out{"out"}, in{"in"}, rank{"rank"};
  contract   c{"merge_lora"};
  c.shape(from, out, in).shape(a, rank, in).shape(b, out, rank);
  fold::same_shape(c, to, from, "w_out")
      .require(rank.value >= 1, errc::out_of_range, "rank", rank.value, 1)
      .require(std::isfinite(options.alpha), errc::out_of_range, "alpha")
      .addressable(w_out, "w_out")
      .addressable(w, "w")
      .addressable(a, "a")
      .addressable(b, "b");
  fold::vector(c, options.magnitude, out.value, "magnitude", true);
  TENON_TRY(c.result);

  auto const r = static_cast<double>(rank.value), scale = options.alpha / (options.rank_stabilised ? std::sqrt(r) : r);
  auto const columns = static_cast<std::size_t>(in.value);
  std::vector<double> rows_of_a(columns * static_cast<std::size_t>(rank.value)), row(columns);
  for (index_t k = 0; k < rank.value; ++k)
    for (index_t j = 0; j < in.value; ++j)
      rows_of_a[static_cast<std::size_t>(k) * columns + static_cast<std::size_t>(j)] = fold::number(a(k, j));
  for (bool const write : {false, true})
    for (index_t i = 0; i < out.value; ++i) {
      for (auto& sum : row) sum = 0;
      for (index_t k = 0; k < rank.value; ++k) {
        double const        factor = fold::number(b(i, k));
        double const* const add    = rows_of_a.data() + static_cast<std::size_t>(k) * columns;
        for (std::size_t j = 0; j < columns; ++j) row[j] += factor * add[j];
      }
      double squares = 0;
      for (index_t j = 0; j < in.value; ++j) {
        auto& sum = row[static_cast<std::size_t>(j)];
        sum       = fold::number(from(i, j)) + scale * sum;
        squares += sum * sum;
      }
      double stretch = 1;
      if (options.magnitude.extent[0] != 0 && in.value > 0) {
        if (!(squares > 0 && std::isfinite(squares))) return {errc::out_of_range, "merge_lora", "magnitude", i, 0};
        stretch = fold::number(options.magnitude(i)) / std::sqrt(squares);
      }
      for (index_t j = 0; j < in.value; ++j) {
        To const merged = fold::rounded<To>(stretch * row[static_cast<std::size_t>(j)]);
        if (write) to(i, j) = merged;
        else if (!fold::finite(merged)) return {errc::out_of_range, "merge_lora", "w", i, j};
      }
    }
  return {};
}

}  // namespace tenon
