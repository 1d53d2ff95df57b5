#pragma once
//  One layer of one sequence on the host, in f32: what scores and summaries of its tokens are made from, whatever the
//  model runs on. They are made once for a prompt.
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_sequences.hpp>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace tenon::engine {

struct layer_tokens {
  std::int64_t                heads = 0, kv_heads = 0, head_dim = 0, tokens = 0;
  std::int64_t                stride = 0;  // tokens from one head's keys to the next one's, at least `tokens`
  float                       scale  = 0;  // of logits; 0: head_dim^-1/2
  std::span<float const>      k, v;        // (kv_heads, stride, head_dim), keys rotated
  std::span<float const>      q;           // (queries, heads, head_dim): of the last tokens, rotated
  tensor_view<float const, 2> cos_sin;     // (positions, rotary_dim), of the rotation

  std::int64_t queries() const { return static_cast<std::int64_t>(q.size()) / (heads * head_dim); }
};

/// Keys or values of such a layer as the library's operators take them: a page for all tokens of a head.
class layer_pages {
 public:
  explicit layer_pages(layer_tokens const& of)
      : of_(of),
        table_(static_cast<std::size_t>(of.kv_heads)),
        lengths_(table_.size(), static_cast<std::int32_t>(of.tokens)) {
    std::iota(table_.begin(), table_.end(), 0);
  }

  tensor_view<float const, 4> of(std::span<float const> x) const {
    return pages_of_one_head(dense(x.data(), of_.kv_heads, of_.stride, index_t{1}, of_.head_dim), of_.kv_heads);
  }
  kv_sequences sequences() const {
    return {dense(table_.data(), index_t{1}, of_.kv_heads, index_t{1}),
            dense(lengths_.data(), index_t{1}, of_.kv_heads)};
  }

 private:
  layer_tokens              of_;
  std::vector<std::int32_t> table_, lengths_;
};

}  // namespace tenon::engine
