#pragma once
//  All tokens by their bytes: the longest one that a text begins with.
//
//  A double array (Aoe, Morimoto, Sato 1992): the child of a node by byte b is at base[node] + b, if its check says
//  node.
//  Test: tests/engine/text/byte_pairs_test.cpp
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/text/large_vector.hpp"

namespace tenon::engine {

class prefix_trie {
 public:
  prefix_trie() = default;
  /// Of the tokens of at least `least` bytes, and not empty; of equal ones the first.
  explicit prefix_trie(std::span<std::string_view const> tokens, std::size_t least = 1);

  /// The longest token that `text` begins with, among those that are not hidden (and `may(id)` be taken); -1: none.
  [[nodiscard]] std::int32_t longest(std::string_view text) const {
    return longest(text, [](std::int32_t) { return true; });
  }
  template <class May>
  [[nodiscard]] std::int32_t longest(std::string_view text, May const& may) const {
    std::int32_t  found = -1;
    std::uint32_t at    = 0;
    for (char const c : text) {
      std::uint32_t const next = nodes_[at].base + static_cast<unsigned char>(c);
      if (nodes_[next].parent != at) break;
      at = next;
      if (std::int32_t const id = nodes_[at].token; id >= 0 && id < hidden && may(id)) found = id;
    }
    return found;
  }
  /// f(id, length) for every token that `text` begins with, the shortest first.
  template <class F>
  void each(std::string_view text, F const& f) const {
    std::uint32_t at = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      std::uint32_t const next = nodes_[at].base + static_cast<unsigned char>(text[i]);
      if (nodes_[next].parent != at) break;
      at = next;
      if (std::int32_t const token = nodes_[at].token; token >= 0) f(token & ~hidden, i + 1);
    }
  }
  /// The token of exactly these bytes; -1: none.
  [[nodiscard]] std::int32_t exact(std::string_view text) const {
    std::uint32_t at = 0;
    for (char const c : text) {
      std::uint32_t const next = nodes_[at].base + static_cast<unsigned char>(c);
      if (nodes_[next].parent != at) return -1;
      at = next;
    }
    std::int32_t const token = nodes_[at].token;
    return at == 0 || token == -1 ? -1 : token & ~hidden;
  }
  /// `longest` passes by the tokens for which f(id).
  template <class F>
  void hide(F const& f) {
    for (node& n : nodes_)
      if (n.token >= 0 && f(n.token)) n.token |= hidden;
  }

 private:
  struct node {
    std::uint32_t base   = 0;
    std::uint32_t parent = no_parent;
    std::int32_t  token  = -1;
  };
  static constexpr std::uint32_t no_parent = 0xFFFFFFFFu;
  static constexpr std::int32_t  hidden    = std::int32_t{1} << 30;

  large_vector<node> nodes_ = large_vector<node>(257);
};

}  // namespace tenon::engine
