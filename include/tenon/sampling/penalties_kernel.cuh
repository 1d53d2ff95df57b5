#pragma once
//  logits[r,v] -> penalised by how often v stands in the history of r
//
//  blockIdx.x is a piece of the vocabulary, blockIdx.y a row. A block counts its piece's tokens in shared memory, reading
//  the whole history of its row, then changes the logits that were counted. Rows without penalties are left at once.
//  Traffic: the history once per piece, the touched logits once in and out.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/sampling/penalties_policy.hpp>
#include <tenon/sampling/sampling_params.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

struct apply_penalties_params {
  tensor_view<float, 2>                 logits;         // (rows, vocabulary)
  tensor_view<sampling_params const, 1> params;         // (rows)
  tensor_view<std::int32_t const, 1>    history;        // (tokens)
  tensor_view<std::int32_t const, 1>    history_start;  // (rows + 1)
  tensor_view<std::int32_t const, 1>    prompt_length;  // (rows)
};

template <class Policy>
struct apply_penalties_storage {
  // 2 for each occurrence in the completion, 1 where the prompt has the token and the completion had not (yet).
  unsigned count[Policy::value.piece];
};

template <class Policy>
__global__ __launch_bounds__(Policy::value.threads_per_block) void apply_penalties(
    __grid_constant__ apply_penalties_params const p) {
  constexpr int threads = Policy::value.threads_per_block;
  constexpr int piece   = Policy::value.piece;

  auto& count = arch::shared<apply_penalties_storage<Policy>>().count;

  // Index map: block (x, y) owns tokens [first, first + width) of row y's vocabulary.
  index_t const         r       = blockIdx.y;
  int const             first   = static_cast<int>(blockIdx.x) * piece;
  int const             width   = min(piece, static_cast<int>(p.logits.extent[1]) - first);
  int const             me      = static_cast<int>(threadIdx.x);
  index_t const         begin   = max<index_t>(p.history_start(r), 0);
  index_t const         end     = min<index_t>(p.history_start(r + 1), p.history.extent[0]);
  index_t const         written = begin + p.prompt_length(r);
  sampling_params const how     = p.params(r);
  bool const nothing = how.repetition_penalty == 1.0f && how.presence_penalty == 0.0f && how.frequency_penalty == 0.0f;
  if (nothing || begin >= end) return;

  // Count.
  for (int i = me; i < width; i += threads) count[i] = 0;
  if constexpr (threads > 1) arch::sync_block();
  for (index_t i = begin + me; i < end; i += threads) {
    int const token = p.history(i) - first;
    if (token < 0 || token >= width) continue;
    if constexpr (threads == 1) {
      count[token] = i < written ? max(count[token], 1u) : count[token] + 2;
    } else if (i < written) {
      (void)arch::atomic_max(&count[token], 1u);
    } else {
      (void)arch::atomic_add(&count[token], 2u);
    }
  }
  if constexpr (threads > 1) arch::sync_block();

  // Change.
  auto const change = [&](int token) {
    if (count[token] == 0) return;
    float const occurrences = static_cast<float>(count[token] / 2);
    float&      logit       = p.logits(r, first + token);
    float       l           = logit;
    l                       = l > 0.0f ? l / how.repetition_penalty : l * how.repetition_penalty;
    l -= how.frequency_penalty * occurrences;
    if (occurrences > 0.0f) l -= how.presence_penalty;
    logit = l;
  };
  if constexpr (threads == 1) {
    for (index_t i = begin; i < end; ++i) {  // the first occurrence changes the logit, the others find a count of 0
      int const token = p.history(i) - first;
      if (token < 0 || token >= width) continue;
      change(token);
      count[token] = 0;
    }
  } else {
    for (int token = me; token < width; token += threads) change(token);
  }
}

struct add_logit_bias_params {
  tensor_view<float, 2>              logits;  // (rows, vocabulary)
  tensor_view<std::int32_t const, 1> ids;     // (entries)
  tensor_view<float const, 1>        values;  // (entries)
  tensor_view<std::int32_t const, 1> start;   // (rows + 1)
};

/// One block per row. A thread owns the ids that are congruent to it modulo the block, so an id that is listed more than
/// once is added to in the order of the list.
template <class Policy>
__global__ __launch_bounds__(Policy::value.threads_per_block) void add_logit_bias(
    __grid_constant__ add_logit_bias_params const p) {
  constexpr int threads = Policy::value.threads_per_block;

  index_t const r     = blockIdx.x;
  index_t const begin = max<index_t>(p.start(r), 0);
  index_t const end   = min<index_t>(p.start(r + 1), p.ids.extent[0]);
  for (index_t i = begin; i < end; ++i) {
    int const id = p.ids(i);
    if (id < 0 || id >= p.logits.extent[1] || id % threads != static_cast<int>(threadIdx.x)) continue;
    p.logits(r, id) += p.values(i);
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
