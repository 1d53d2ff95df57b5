#include "engine/text/prefix_trie.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace tenon::engine {

namespace {

/// The first eight bytes, so that most comparisons are of two numbers.
std::uint64_t key_of(std::string_view text) {
  std::uint64_t key = 0;
  for (std::size_t i = 0; i < 8; ++i) key = key << 8 | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0u);
  return key;
}

/// Of those of at least `least` bytes, and not empty.
std::vector<std::uint32_t> in_order(std::span<std::string_view const> tokens, std::size_t least) {
  struct keyed {
    std::uint64_t key;
    std::uint32_t index;
  };
  std::vector<keyed> list;
  for (std::size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i].size() >= std::max<std::size_t>(least, 1))
      list.push_back({key_of(tokens[i]), static_cast<std::uint32_t>(i)});
  std::sort(list.begin(), list.end(), [&](keyed const& a, keyed const& b) {
    if (a.key != b.key) return a.key < b.key;
    int const c = tokens[a.index].compare(tokens[b.index]);
    return c != 0 ? c < 0 : a.index < b.index;
  });
  std::vector<std::uint32_t> order(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) order[i] = list[i].index;
  return order;
}

/// Tokens [first, last) of the order share their first `depth` bytes, which lead to `node`.
struct branch {
  std::uint32_t first, last, node, depth;
};

}  // namespace

prefix_trie::prefix_trie(std::span<std::string_view const> tokens, std::size_t least) {
  std::vector<std::uint32_t> const order = in_order(tokens, least);
  nodes_.assign(std::size_t{1} << 16, {});
  std::size_t                    search = 1;  // places in front of it are taken, nearly all
  std::vector<branch>            work{{0, static_cast<std::uint32_t>(order.size()), 0, 0}};
  std::array<unsigned char, 256> bytes{};
  std::array<std::uint32_t, 257> firsts{};
  while (!work.empty()) {
    branch at = work.back();
    work.pop_back();
    for (; at.first < at.last && tokens[order[at.first]].size() == at.depth; ++at.first)
      if (at.depth > 0 && nodes_[at.node].token < 0) nodes_[at.node].token = static_cast<std::int32_t>(order[at.first]);
    std::size_t count = 0;
    for (std::uint32_t j = at.first; j < at.last; ++j)
      if (auto const b = static_cast<unsigned char>(tokens[order[j]][at.depth]); count == 0 || bytes[count - 1] != b)
        firsts[count] = j, bytes[count++] = b;
    if (count == 0) continue;
    firsts[count] = at.last;

    std::size_t base = 0, tried = 0;
    for (std::size_t place = std::max<std::size_t>(search, bytes[0] + 1u); base == 0; ++place, ++tried) {
      if (place + 512 > nodes_.size()) nodes_.resize(2 * nodes_.size());
      bool free = true;
      for (std::size_t k = 0; k < count && free; ++k) free = nodes_[place + bytes[k] - bytes[0]].parent == no_parent;
      if (free) base = place - bytes[0];
    }
    if (tried > 64) search = base + bytes[0] - 32;
    nodes_[at.node].base = static_cast<std::uint32_t>(base);
    for (std::size_t k = 0; k < count; ++k) {
      auto const child     = static_cast<std::uint32_t>(base + bytes[k]);
      nodes_[child].parent = at.node;
      work.push_back({firsts[k], firsts[k + 1], child, at.depth + 1});
    }
  }
  std::size_t used = nodes_.size();
  while (used > 1 && nodes_[used - 1].parent == no_parent) --used;
  nodes_.resize(used + 256);  // so that a base and any byte are inside
}

}  // namespace tenon::engine
