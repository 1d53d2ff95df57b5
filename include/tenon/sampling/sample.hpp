#pragma once
//  The next token of every row of logits.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/sampling/sample_kernel.cuh>
#include <tenon/sampling/sample_policy.hpp>
#include <tenon/sampling/sampling_params.hpp>

#include <concepts>
#include <cstdint>

namespace tenon {

struct sample_options {
  bool greedy = false;  // every row takes its largest logit; params is not read and may be empty
};

}  // namespace tenon

namespace tenon::inline TENON_TARGET {

/// ids[r] = argmax(logits[r,:]) where temperature is 0, else a draw from softmax(logits[r,:] / temperature) restricted to
///
///   top_k   the k largest logits;
///   top_p   the fewest of those, in order, whose mass reaches p of theirs;
///   min_p   of those, the ones with at least min_p of the largest probability.
///
/// Order is by logit, descending, and among equals by id, ascending.
///
/// ids       (rows)              int32             any stride
/// logits    (rows, vocabulary)  f32               vocabulary contiguous, any row stride
/// params    (rows)              sampling_params   any stride
/// options   greedy
/// logprobs  (rows)              f32               ln softmax(logits[r,:])[ids[r]] of the logits as they are given, without
///                                                 temperature and restrictions; any stride; may be an empty view
///
/// Arithmetic  probabilities are integers of 2^-40 of the row's largest (probability_mass.hpp), so every comparison, sum
///             and draw is exact: the ids are the same for every run, batch, policy and target. logprobs are within 1e-6.
/// Cost        one block per row; 1 pass for greedy, 3 for a draw, +4 for top-k, +5 for top-p, +1 for logprobs, all but
///             the first from cache; no workspace.
/// Errors      shape_mismatch(rows, vocabulary), bad_stride(logits), misaligned, out_of_range(vocabulary, rows).
/// Range       1 <= vocabulary <= 2^22, rows < 2^31. NaN counts as -infinity. A row without any logit above -infinity
///             gives id 0 and the log-probability NaN, by which its caller knows it.
/// Source      Holtzman et al. 2020 (top-p); Nguyen et al. 2024 (min-p); Salmon et al. 2011 (Philox 4x32-10, keyed by
///             seed, counted by position).
/// Test tests/sampling/sample_test.cpp.   Page docs/operators/sample.md.
template <element_of<float> Logit, element_of<sampling_params> Params>
status sample(context const& where, tensor_view<std::int32_t, 1> ids, tensor_view<Logit, 2> logits,
              tensor_view<Params, 1> params, sample_options options = {}, tensor_view<float, 1> logprobs = {}) {
  extent   rows{"rows"}, vocabulary{"vocabulary"};
  contract checked{"sample"};
  checked.shape(logits, rows, vocabulary).shape(ids, rows);
  if (!options.greedy) checked.shape(params, rows).addressable(params, "params");
  if (logprobs.data != nullptr) checked.shape(logprobs, rows).addressable(logprobs, "logprobs");
  TENON_TRY(
      checked.contiguous(logits, "logits")
          .addressable(logits, "logits")
          .addressable(ids, "ids")
          .require(vocabulary.value >= 1, errc::out_of_range, "vocabulary", vocabulary.value, 1)
          .require(vocabulary.value <= largest_row, errc::out_of_range, "vocabulary", vocabulary.value, largest_row)
          .require(rows.value < (index_t{1} << 31), errc::out_of_range, "rows", rows.value, (index_t{1} << 31) - 1)
          .result);
  if (rows.value == 0) return {};

  kernel::sample_kernel_params const p{ids, logprobs.data != nullptr ? logprobs : tensor_view<float, 1>{},
                                       as_const(logits),
                                       options.greedy ? tensor_view<sampling_params const, 1>{} : as_const(params)};
  return dispatch_policy<sample_menu>(
      "sample", choose_sample_policy({where.arch}, vocabulary.value), [&]<class Policy>(Policy) {
        return arch::launch(
            "sample", where,
            {.grid           = static_cast<unsigned>(rows.value),
             .block          = static_cast<unsigned>(Policy::value.threads_per_block),
             .shared_bytes   = sizeof(typename kernel::logits_row<Policy::value.threads_per_block>::storage),
             .work_per_block = (options.greedy ? 0.25 : 10.0) * static_cast<double>(vocabulary.value)},
            kernel::sample<Policy>, p);
      });
}

}  // namespace tenon::inline TENON_TARGET
