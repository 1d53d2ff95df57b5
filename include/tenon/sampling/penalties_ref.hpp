#pragma once
//  The definition of apply_penalties and add_logit_bias, in double precision.
#include <tenon/core/tensor_view.hpp>
#include <tenon/sampling/sampling_params.hpp>

#include <cstdint>
#include <vector>

namespace tenon::ref {

/// repetition over prompt and completion, then frequency and presence over the completion
template <class Params, class Token, class Index>
void apply_penalties(tensor_view<float, 2> logits, tensor_view<Params, 1> params, tensor_view<Token, 1> history,
                     tensor_view<Index, 1> history_start, tensor_view<Index, 1> prompt_length) {
  for (index_t r = 0; r < logits.extent[0]; ++r) {
    std::vector<int> seen(static_cast<std::size_t>(logits.extent[1])), written(seen);
    for (index_t i = history_start(r); i < history_start(r + 1); ++i) {
      if (history(i) < 0 || history(i) >= logits.extent[1]) continue;
      auto const token = static_cast<std::size_t>(history(i));
      ++seen[token];
      if (i - history_start(r) >= prompt_length(r)) ++written[token];
    }
    sampling_params const how = params(r);
    for (index_t v = 0; v < logits.extent[1]; ++v) {
      auto const token = static_cast<std::size_t>(v);
      double     l     = double(logits(r, v));
      if (seen[token]) l = l > 0 ? l / double(how.repetition_penalty) : l * double(how.repetition_penalty);
      l -= double(how.frequency_penalty) * written[token];
      if (written[token]) l -= double(how.presence_penalty);
      logits(r, v) = static_cast<float>(l);
    }
  }
}

/// logits[r, ids[i]] += values[i] for i in [start[r], start[r+1])
template <class Token, class Value, class Index>
void add_logit_bias(tensor_view<float, 2> logits, tensor_view<Token, 1> ids, tensor_view<Value, 1> values,
                    tensor_view<Index, 1> start) {
  for (index_t r = 0; r < logits.extent[0]; ++r)
    for (index_t i = start(r); i < start(r + 1); ++i)
      if (ids(i) >= 0 && ids(i) < logits.extent[1]) logits(r, ids(i)) += values(i);
}

}  // namespace tenon::ref
