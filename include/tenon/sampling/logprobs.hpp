#pragma once
//  Log-probabilities of tokens under the softmax of their row.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/sampling/logprobs_kernel.cuh>
#include <tenon/sampling/sample_policy.hpp>

#include <concepts>
#include <cstdint>

namespace tenon::inline TENON_TARGET {

/// logprobs[r] = ln softmax(logits[r,:])[ids[r]]
///
/// logprobs  (rows)              f32     any stride
/// logits    (rows, vocabulary)  f32     vocabulary contiguous, any row stride
/// ids       (rows)              int32   any stride; an id outside the vocabulary gives NaN
///
/// Arithmetic  the row's mass in integers of 2^-40 of its largest probability, within 1e-6 of the exact value. Same bits
///             for every run, batch and policy.
/// Cost        two passes over the row, the second from cache; no workspace.
/// Errors      shape_mismatch(rows), bad_stride(logits), misaligned, out_of_range(vocabulary, rows).
/// Range       1 <= vocabulary <= 2^22, rows < 2^31. NaN counts as -infinity; a row without any logit above that gives
///             NaN.
/// Test tests/sampling/logprobs_test.cpp.   Page docs/operators/sample.md.
template <element_of<float> Logit, element_of<std::int32_t> Id>
status token_logprobs(context const& where, tensor_view<float, 1> logprobs, tensor_view<Logit, 2> logits,
                      tensor_view<Id, 1> ids) {
  extent rows{"rows"}, vocabulary{"vocabulary"};
  TENON_TRY(
      contract{"token_logprobs"}
          .shape(logits, rows, vocabulary)
          .shape(ids, rows)
          .shape(logprobs, rows)
          .contiguous(logits, "logits")
          .addressable(logits, "logits")
          .addressable(ids, "ids")
          .addressable(logprobs, "logprobs")
          .require(vocabulary.value >= 1, errc::out_of_range, "vocabulary", vocabulary.value, 1)
          .require(vocabulary.value <= largest_row, errc::out_of_range, "vocabulary", vocabulary.value, largest_row)
          .require(rows.value < (index_t{1} << 31), errc::out_of_range, "rows", rows.value, (index_t{1} << 31) - 1)
          .result);
  if (rows.value == 0) return {};

  return dispatch_policy<sample_menu>(
      "token_logprobs", choose_sample_policy({where.arch}, vocabulary.value), [&]<class Policy>(Policy) {
        return arch::launch(
            "token_logprobs", where,
            {.grid           = static_cast<unsigned>(rows.value),
             .block          = static_cast<unsigned>(Policy::value.threads_per_block),
             .shared_bytes   = sizeof(typename kernel::logits_row<Policy::value.threads_per_block>::storage),
             .work_per_block = 5.0 * static_cast<double>(vocabulary.value)},
            kernel::token_logprobs<Policy>, kernel::token_logprobs_params{logprobs, as_const(logits), as_const(ids)});
      });
}

/// ids[r,:], logprobs[r,:] = the first K of row r in order and their ln softmax(logits[r,:])
///
/// Order is by logit, descending, and among equals by id, ascending. K above the vocabulary is filled with id -1 and
/// -infinity.
///
/// ids       (rows, K)           int32   any strides
/// logprobs  (rows, K)           f32     any strides
/// logits    (rows, vocabulary)  f32     vocabulary contiguous, any row stride
///
/// Arithmetic  as token_logprobs.
/// Cost        seven passes over the row, all but the first from cache; no workspace.
/// Errors      shape_mismatch(rows, K), bad_stride(logits), misaligned, out_of_range(K, vocabulary, rows).
/// Range       K <= 64, 1 <= vocabulary <= 2^22, rows < 2^31. NaN counts as -infinity; a row without any logit above that
///             gives NaN.
/// Test tests/sampling/logprobs_test.cpp.   Page docs/operators/sample.md.
template <element_of<float> Logit>
status top_logprobs(context const& where, tensor_view<std::int32_t, 2> ids, tensor_view<float, 2> logprobs,
                    tensor_view<Logit, 2> logits) {
  extent rows{"rows"}, vocabulary{"vocabulary"}, k{"K"};
  TENON_TRY(
      contract{"top_logprobs"}
          .shape(logits, rows, vocabulary)
          .shape(ids, rows, k)
          .shape(logprobs, rows, k)
          .contiguous(logits, "logits")
          .addressable(logits, "logits")
          .addressable(ids, "ids")
          .addressable(logprobs, "logprobs")
          .require(k.value <= kernel::most_top_logprobs, errc::out_of_range, "K", k.value, kernel::most_top_logprobs)
          .require(vocabulary.value >= 1, errc::out_of_range, "vocabulary", vocabulary.value, 1)
          .require(vocabulary.value <= largest_row, errc::out_of_range, "vocabulary", vocabulary.value, largest_row)
          .require(rows.value < (index_t{1} << 31), errc::out_of_range, "rows", rows.value, (index_t{1} << 31) - 1)
          .result);
  if (rows.value == 0 || k.value == 0) return {};

  return dispatch_policy<sample_menu>(
      "top_logprobs", choose_sample_policy({where.arch}, vocabulary.value), [&]<class Policy>(Policy) {
        return arch::launch("top_logprobs", where,
                            {.grid           = static_cast<unsigned>(rows.value),
                             .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                             .shared_bytes   = sizeof(kernel::top_logprobs_storage<Policy>),
                             .work_per_block = 10.0 * static_cast<double>(vocabulary.value)},
                            kernel::top_logprobs<Policy>, kernel::top_logprobs_params{ids, logprobs, as_const(logits)});
      });
}

}  // namespace tenon::inline TENON_TARGET
