#pragma once
//  A model whose next token depends on every token before it and on what stands in the cache: the strongest cheap oracle.
//
//  A cell for each place of each page holds mix(token, position), written when the plan feeds that token, through the block
//  table. The next token is a hash of the cells 0..p as the block table finds them now. A wrong block, a page reused too
//  early, a copy left out, a token fed at the wrong position or not at all: each changes the text. (engine.md 5.8)
#include <tenon/kv/kv_blocks.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/schedule/scheduler.hpp"

namespace test {

constexpr std::uint64_t scramble(std::uint64_t x) {
  x = (x ^ x >> 30U) * 0xbf58476d1ce4e5b9U;
  x = (x ^ x >> 27U) * 0x94d049bb133111ebU;
  return x ^ x >> 31U;
}
constexpr std::uint64_t cell_of(std::int32_t token, std::int64_t position) {
  return scramble(static_cast<std::uint64_t>(token) * 0x9e3779b97f4a7c15U + static_cast<std::uint64_t>(position) + 1);
}
constexpr std::uint64_t fold(std::uint64_t hash, std::uint64_t cell) {
  return scramble(hash ^ cell) + 0x632be59bd9b4e019U;
}

/// What completion `completion` draws after a sequence of that hash, and whether it stops there.
struct drawn_token {
  std::int32_t id;
  bool         stop;
};
constexpr drawn_token draw_from(std::uint64_t hash, int completion, int vocabulary, int stop_every) {
  std::uint64_t const h = scramble(hash + static_cast<std::uint64_t>(completion) * 0xd1342543de82ef95U);
  return {static_cast<std::int32_t>(h % static_cast<std::uint64_t>(vocabulary)),
          stop_every > 0 && h / 1024 % static_cast<std::uint64_t>(stop_every) == 0};
}

/// What a request's completion must say, from its tokens alone.
inline std::vector<std::int32_t> sequential(std::span<std::int32_t const> prompt, int max_tokens, int completion,
                                            int vocabulary, int stop_every) {
  std::uint64_t             hash     = 0;
  std::int64_t              position = 0;
  std::vector<std::int32_t> ids;
  for (std::int32_t const t : prompt) hash = fold(hash, cell_of(t, position++));
  while (static_cast<int>(ids.size()) < max_tokens) {
    auto const [id, stop] = draw_from(hash, completion, vocabulary, stop_every);
    if (stop) break;
    ids.push_back(id);
    hash = fold(hash, cell_of(id, position++));
  }
  return ids;
}

class hash_model {
 public:
  hash_model(tenon::block_id blocks, int block_size)
      : cells_(static_cast<std::size_t>(blocks) * static_cast<std::size_t>(block_size), poison), size_(block_size) {}

  void copy(std::span<tenon::block_copy const> copies) {
    for (tenon::block_copy const& c : copies)
      for (std::int32_t i = 0; i < c.tokens; ++i) cell(c.to, i) = cell(c.from, i);
  }

  /// Feeds tokens [first, first + count). Places behind them are the sequence's own and hold nothing that anybody reads.
  void feed(std::span<tenon::block_id const> table, std::span<std::int32_t const> tokens, std::int64_t first,
            std::int64_t count) {
    for (std::int64_t p = first; p < static_cast<std::int64_t>(table.size()) * size_; ++p)
      at(table, p) = p < first + count ? cell_of(tokens[static_cast<std::size_t>(p)], p) : poison;
  }

  /// Of the cells in front of `end`.
  std::uint64_t hash(std::span<tenon::block_id const> table, std::int64_t end) {
    std::uint64_t h = 0;
    for (std::int64_t p = 0; p < end; ++p) h = fold(h, at(table, p));
    return h;
  }

 private:
  static constexpr std::uint64_t poison = 0xdeadbeefdeadbeefU;

  std::uint64_t& cell(tenon::block_id b, std::int64_t i) {
    return cells_.at(static_cast<std::size_t>(b) * static_cast<std::size_t>(size_) + static_cast<std::size_t>(i));
  }
  std::uint64_t& at(std::span<tenon::block_id const> table, std::int64_t p) {
    return cell(table[static_cast<std::size_t>(p / size_)], p % size_);
  }

  std::vector<std::uint64_t> cells_;  // (blocks, block_size)
  std::int64_t               size_;
};

}  // namespace test
