#pragma once
//  What changes logits before a token is chosen: repetition, presence and frequency penalties, and a bias per token.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/sampling/penalties_kernel.cuh>
#include <tenon/sampling/penalties_policy.hpp>
#include <tenon/sampling/sampling_params.hpp>

#include <concepts>
#include <cstdint>

namespace tenon::inline TENON_TARGET {

/// For every token v that stands in the history of row r, n times in its completion:
///
///   l = logits[r,v];  l = l > 0 ? l / repetition : l * repetition;  l -= frequency * n;  if (n > 0) l -= presence
///
/// logits         (rows, vocabulary)  f32               any strides; in and out
/// params         (rows)              sampling_params   any stride
/// history        (tokens)            int32             the rows' prompts and completions, one after the other
/// history_start  (rows + 1)          int32             row r's history is [history_start[r], history_start[r+1])
/// prompt_length  (rows)              int32             of row r's history, the first tokens: its prompt
///
/// Arithmetic  fp32, one logit by one thread in one order: same bits for every run and batch. A row whose repetition
///             penalty is 1 and whose others are 0 keeps its bits.
/// Cost        the history once per 8,192 tokens of the vocabulary (32,768 on the host), the touched logits once in and
///             out; no workspace.
/// Errors      shape_mismatch(rows), misaligned, out_of_range(vocabulary, rows).
/// Range       rows < 65536, vocabulary < 2^31. Contents are read on the device: a token outside the vocabulary is passed
///             over, and starts are cut to the history.
/// Source      Keskar et al. 2019, section 4.1 (repetition); the others and the order as in vLLM.
/// Test tests/sampling/penalties_test.cpp.   Page docs/operators/sample.md.
template <element_of<sampling_params> Params, element_of<std::int32_t> Token, element_of<std::int32_t> Start,
          element_of<std::int32_t> Length>
status apply_penalties(context const& where, tensor_view<float, 2> logits, tensor_view<Params, 1> params,
                       tensor_view<Token, 1> history, tensor_view<Start, 1> history_start,
                       tensor_view<Length, 1> prompt_length) {
  extent rows{"rows"}, vocabulary{"vocabulary"}, tokens{"history"};
  TENON_TRY(contract{"apply_penalties"}
                .shape(logits, rows, vocabulary)
                .shape(params, rows)
                .shape(prompt_length, rows)
                .shape(history, tokens)
                .require(history_start.extent[0] == rows.value + 1, errc::shape_mismatch, "history_start",
                         history_start.extent[0], rows.value + 1)
                .addressable(logits, "logits")
                .addressable(params, "params")
                .addressable(history, "history")
                .addressable(history_start, "history_start")
                .addressable(prompt_length, "prompt_length")
                .require(rows.value < 65536, errc::out_of_range, "rows", rows.value, 65535)
                .require(vocabulary.value < (index_t{1} << 31), errc::out_of_range, "vocabulary", vocabulary.value,
                         (index_t{1} << 31) - 1)
                .result);
  if (logits.size() == 0 || tokens.value == 0) return {};

  return dispatch_policy<penalties_menu>(
      "apply_penalties", choose_penalties_policy({where.arch}), [&]<class Policy>(Policy) {
        return arch::launch("apply_penalties", where,
                            {.grid           = {static_cast<unsigned>(ceil_div(vocabulary.value, Policy::value.piece)),
                                                static_cast<unsigned>(rows.value)},
                             .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                             .shared_bytes   = sizeof(kernel::apply_penalties_storage<Policy>),
                             .work_per_block = static_cast<double>(tokens.value / rows.value) * 4},
                            kernel::apply_penalties<Policy>,
                            kernel::apply_penalties_params{logits, as_const(params), as_const(history),
                                                           as_const(history_start), as_const(prompt_length)});
      });
}

/// logits[r, ids[i]] += values[i]  for i in [start[r], start[r+1])
///
/// logits  (rows, vocabulary)  f32     any strides; in and out
/// ids     (entries)           int32   an id may stand more than once in a row; one outside the vocabulary is passed over
/// values  (entries)           f32     -infinity forbids a token
/// start   (rows + 1)          int32
///
/// Arithmetic  fp32, in the order of the list: same bits for every run and batch.
/// Cost        one block per row; each of its threads reads the row's list. No workspace.
/// Errors      shape_mismatch(entries, start), misaligned, out_of_range(rows).
/// Range       rows < 2^31. Starts are cut to the list.
/// Test tests/sampling/penalties_test.cpp.   Page docs/operators/sample.md.
template <element_of<std::int32_t> Id, element_of<float> Value, element_of<std::int32_t> Start>
status add_logit_bias(context const& where, tensor_view<float, 2> logits, tensor_view<Id, 1> ids,
                      tensor_view<Value, 1> values, tensor_view<Start, 1> start) {
  extent rows{"rows"}, vocabulary{"vocabulary"}, entries{"entries"};
  TENON_TRY(
      contract{"add_logit_bias"}
          .shape(logits, rows, vocabulary)
          .shape(ids, entries)
          .shape(values, entries)
          .require(start.extent[0] == rows.value + 1, errc::shape_mismatch, "start", start.extent[0], rows.value + 1)
          .addressable(logits, "logits")
          .addressable(ids, "ids")
          .addressable(values, "values")
          .addressable(start, "start")
          .require(rows.value < (index_t{1} << 31), errc::out_of_range, "rows", rows.value, (index_t{1} << 31) - 1)
          .result);
  if (logits.size() == 0 || entries.value == 0) return {};

  return dispatch_policy<penalties_menu>(
      "add_logit_bias", choose_penalties_policy({where.arch}), [&]<class Policy>(Policy) {
        return arch::launch("add_logit_bias", where,
                            {.grid           = static_cast<unsigned>(rows.value),
                             .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                             .shared_bytes   = 0,
                             .work_per_block = static_cast<double>(entries.value / rows.value) * 2},
                            kernel::add_logit_bias<Policy>,
                            kernel::add_logit_bias_params{logits, as_const(ids), as_const(values), as_const(start)});
      });
}

}  // namespace tenon::inline TENON_TARGET
