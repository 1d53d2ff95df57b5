#pragma once
//  What is remembered of the tokens that the heads of a layer have dropped, span by span: enough to see that a query
//  wants them back.
#include <tenon/kv/select_tokens.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/generation/kv_compression.hpp"
#include "engine/generation/layer_tokens.hpp"

namespace tenon::engine {

class dropped_spans {
 public:
  dropped_spans() = default;
  /// Of a layer as it is before its heads keep no more than `kept`, in spans of `span` tokens.
  dropped_spans(layer_tokens const& of, kept_tokens const& kept, std::int64_t span, kv_estimate by);

  std::size_t spans() const { return spans_.size() / 3; }
  bool        holds(std::size_t span) const;
  bool        empty() const;
  /// Its tokens are back.
  void        forget(std::size_t span);
  std::size_t bytes() const { return (least_.size() + most_.size() + mean_.size() + count_.size()) * sizeof(float); }

  /// share[s] becomes at least the largest share of attention that one of the queries, (queries, heads, head_dim),
  /// would give what was dropped of span s, beside the keys that are there. lse (queries, heads): of those.
  void raise_to_shares(std::vector<float>& share, std::span<float const> q, std::span<float const> lse,
                       float scale) const;

 private:
  std::int64_t               heads_ = 0, kv_heads_ = 0, head_dim_ = 0;
  kv_estimate                by_ = kv_estimate::mean;
  std::vector<std::int32_t>  spans_;                // (spans, 3): request 0, first token, tokens
  mutable std::vector<float> least_, most_, mean_;  // (spans, kv_heads, head_dim); the mean alone where by_ is that
  mutable std::vector<float> count_;  // (spans, kv_heads); views of what may be written are views of these
};

}  // namespace tenon::engine
