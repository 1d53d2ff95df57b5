#pragma once
//  Scores that look at positions alone, on the host: the first tokens and the last ones, and the control that every
//  other method has to beat.
//
//    recency     t; the sinks, the first tokens, are certain             StreamingLLM, with a budget of sinks + window
//    coin_toss   uniform in [0, 1), of the seed, the head and t alone    random choice
//
//  Sources. Xiao et al. 2024, "Efficient streaming language models with attention sinks".
//  Test tests/kv/select_tokens_test.cpp.   Page docs/operators/kv_scores.md.
#include <tenon/core/contract.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/attention_reduction.hpp>
#include <tenon/sampling/philox.hpp>

#include <cstdint>

namespace tenon {

struct recency {
  index_t         sinks = 4;
  constexpr float operator()(index_t, index_t token, index_t) const {
    return token < sinks ? certain_score : static_cast<float>(token);
  }
};

struct coin_toss {
  std::uint64_t   seed = 0;
  constexpr float operator()(index_t head, index_t token, index_t) const {
    auto const position = static_cast<std::uint64_t>(head) << 32 | static_cast<std::uint64_t>(token);
    return static_cast<float>(uniform_bits(seed, position) >> 40) * 0x1p-24f;
  }
};

/// scores[h,t] = score(h, t, tokens)
///
/// scores  (kv_heads, tokens)  f32  any strides
/// score   recency, coin_toss, or your own: float(index_t head, index_t token, index_t tokens)
///
/// Errors  misaligned(scores), out_of_range(scores: null; tokens)
/// Range   tokens <= 2^24, so that f32 tells neighbours apart
template <class Score>
status position_scores(tensor_view<float, 2> scores, Score const& score) {
  constexpr index_t most = index_t{1} << 24;
  extent            kv_heads{"kv_heads"}, tokens{"tokens"};
  TENON_TRY(contract{"position_scores"}
                .shape(scores, kv_heads, tokens)
                .addressable(scores, "scores")
                .require(tokens.value <= most, errc::out_of_range, "tokens", tokens.value, most)
                .result);
  for (index_t h = 0; h < kv_heads.value; ++h)
    for (index_t t = 0; t < tokens.value; ++t) scores(h, t) = score(h, t, tokens.value);
  return {};
}

}  // namespace tenon
