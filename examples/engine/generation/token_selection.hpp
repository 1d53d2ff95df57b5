#pragma once
//  Which tokens of a cache stay: the library's scores, budgets and selections by the names of the command line.
#include <tenon/kv/select_tokens.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/generation/kv_compression.hpp"
#include "engine/generation/layer_tokens.hpp"

namespace tenon::engine {

/// Queries of the last tokens that a score wants to see, of a sequence of `tokens`.
[[nodiscard]] std::size_t queries_wanted(kv_compression const& how, std::size_t tokens);
/// Whether it looks at values.
[[nodiscard]] bool wants_values(kv_score score);

/// scores (kv_heads, tokens) of a layer; higher: keep.
void score_tokens(std::vector<float>& scores, kv_compression const& how, layer_tokens const& of, int layer);

/// Tokens that a head keeps on average, of `tokens`.
[[nodiscard]] std::int64_t tokens_kept(kv_compression const& how, std::int64_t tokens);

/// Budgets with the same sum, in multiples of `page` but for one of them, as near as their bounds allow: what does not
/// fill a page takes the memory of one.
[[nodiscard]] std::vector<index_t> in_whole_pages(std::vector<index_t> budgets, index_t page, index_t least,
                                                  index_t most);

/// Tokens that a head of each layer keeps on average, of `tokens`: a share `keep` over all layers. Throws where that is
/// fewer than the sinks and the recent ones. `page`: tokens of a page of one head.
[[nodiscard]] std::vector<index_t> layer_budgets(kv_compression const& how, std::int64_t layers, std::int64_t tokens,
                                                 std::int64_t page);

/// What the heads of a layer keep, `budget` tokens each, or on average.
[[nodiscard]] kept_tokens select_tokens(kv_compression const& how, std::span<float const> scores, std::int64_t kv_heads,
                                        std::int64_t tokens, index_t budget, std::int64_t page);

}  // namespace tenon::engine
