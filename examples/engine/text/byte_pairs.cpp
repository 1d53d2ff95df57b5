#include "engine/text/byte_pairs.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

namespace tenon::engine {

namespace {

constexpr std::size_t id_bits       = short_tokens::id_bits;
constexpr std::size_t longest_token = 1024;  // bytes: merging one by one takes time by their square

std::uint64_t key_of(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << id_bits | static_cast<std::uint32_t>(right);
}
std::uint64_t hash_of(std::uint64_t key) { return (key ^ key >> 23) * 0x9e3779b97f4a7c15u; }

/// One bit per place of a word.
class place_set {
 public:
  explicit place_set(std::size_t places) {
    if (places > 64 * few_.size()) many_.resize(places / 64 + 1), words_ = many_.data();
  }
  [[nodiscard]] bool has(std::size_t p) const { return words_[p / 64] >> (p % 64) & 1; }
  void               add(std::size_t p) { words_[p / 64] |= std::uint64_t{1} << (p % 64); }

 private:
  std::array<std::uint64_t, 8> few_{};
  std::vector<std::uint64_t>   many_;
  std::uint64_t*               words_ = few_.data();
};

/// Tells which texts hold one of some tokens of at least two bytes.
class token_finder {
 public:
  explicit token_finder(std::span<std::string_view const> tokens) : trie_(tokens), begins_(std::size_t{1} << 16) {
    for (std::string_view const t : tokens) begins_[two(t, 0)] = true;
  }
  [[nodiscard]] bool in(std::string_view text) const {
    for (std::size_t i = 0; i + 1 < text.size(); ++i)
      if (begins_[two(text, i)] && trie_.longest(text.substr(i)) >= 0) return true;
    return false;
  }

 private:
  static std::size_t two(std::string_view t, std::size_t i) {
    return static_cast<std::size_t>(static_cast<unsigned char>(t[i])) << 8 | static_cast<unsigned char>(t[i + 1]);
  }

  prefix_trie       trie_;
  std::vector<bool> begins_;  // two bytes that one of them begins with
};

/// Without those that come again, as a file's last word on a pair counts (huggingface/tokenizers).
std::vector<pair_merge> last_of_each_pair(std::span<pair_merge const> merges) {
  pair_table last(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i)
    last.insert(merges[i].left, merges[i].right, static_cast<std::uint32_t>(i), merges[i].id);
  std::vector<pair_merge> kept;
  for (std::size_t i = 0; i < merges.size(); ++i)
    if (last(merges[i].left, merges[i].right).rank == i) kept.push_back(merges[i]);
  return kept;
}

}  // namespace

std::int32_t byte_pairs::merge_of(std::int32_t left, std::int32_t right) const {
  std::uint64_t const key = key_of(left, right), h = hash_of(key);
  std::size_t const   bit = h >> 20 & (64 * filter_.size() - 1);
  if ((filter_[bit / 64] >> (bit % 64) & 1) == 0) return -1;
  std::size_t const mask = pairs_.size() - 1;
  for (std::size_t at = h >> 32 & mask; pairs_[at] != 0; at = (at + 1) & mask)
    if (pairs_[at] >> 22 == key) return static_cast<std::int32_t>(pairs_[at] & 0x3FFFFFu) - 1;
  return -1;
}

void byte_pairs::add_merge(std::int32_t left, std::int32_t right, std::int32_t rank) {
  std::uint64_t const key = key_of(left, right), h = hash_of(key);
  std::size_t const   bit = h >> 20 & (64 * filter_.size() - 1);
  filter_[bit / 64] |= std::uint64_t{1} << (bit % 64);
  std::size_t const mask = pairs_.size() - 1;
  std::size_t       at   = h >> 32 & mask;
  while (pairs_[at] != 0) at = (at + 1) & mask;
  pairs_[at] = key << 22 | static_cast<std::uint64_t>(rank + 1);
}

void byte_pairs::prefetch(pair_merge const& m) const {
  std::uint64_t const h = hash_of(key_of(m.left, m.right));
  __builtin_prefetch(&parts_[static_cast<std::size_t>(m.left)]);
  __builtin_prefetch(&parts_[static_cast<std::size_t>(m.right)]);
  __builtin_prefetch(&pairs_[h >> 32 & (pairs_.size() - 1)]);
  __builtin_prefetch(&filter_[(h >> 20 & (64 * filter_.size() - 1)) / 64]);
}

bool byte_pairs::fit(std::int32_t left, std::int32_t right) const {
  if (parts_[static_cast<std::size_t>(left)].late || parts_[static_cast<std::size_t>(right)].late) {
    std::vector<symbol> symbols;
    merge_one_by_one(std::string(bytes_of(left)).append(bytes_of(right)), symbols);
    return symbols.size() == 2 && symbols[0].id == left && symbols[1].id == right;
  }
  std::int32_t before = std::numeric_limits<std::int32_t>::max();  // merges of smaller rank came by now
  for (;;) {
    if (std::int32_t const rank = merge_of(left, right); rank >= 0 && rank < before) return false;
    parts const &l = parts_[static_cast<std::size_t>(left)], &r = parts_[static_cast<std::size_t>(right)];
    if (l.rank > r.rank) {
      before = l.rank, left = l.right;
    } else {
      if (r.rank < 0) return true;
      // Of two merges of one rank the left one comes first, and this pair is left of that which made the right token.
      before = r.rank + 1, right = r.left;
    }
  }
}

std::int32_t byte_pairs::longest(char const* p, std::size_t most, char const* end) const {
  if (most > word_key::longest)
    if (std::int32_t const id = long_.longest({p, most}); id >= 0) return id;
  char padded[16] = {};
  if (end - p < 16) std::memcpy(padded, p, most), p = padded;
  return short_.longest(p, most, [this](std::int32_t id) { return made(id); });
}

std::size_t byte_pairs::encode(std::string_view word, std::int32_t* ids) const {
  char        copy[64] = {};  // of a short word, with 16 bytes behind it that may be read
  char const *p = word.data(), *end = p + word.size();
  if (word.size() <= sizeof copy - 16)
    p = static_cast<char*>(std::memcpy(copy, p, word.size())), end = copy + sizeof copy;
  std::size_t  count = 0, at = 0;
  place_set    dead(word.size() + 1);  // no division of the rest begins here
  std::int32_t token = longest(p, word.size(), end);
  for (;;) {
    while (token >= 0) {
      std::size_t const length = length_of(token);
      if (!dead.has(at + length) && (count == 0 || fit(ids[count - 1], token))) break;
      token = longest(p + at, length - 1, end);
    }
    if (token >= 0) {
      ids[count++] = token, at += length_of(token);
      if (at == word.size()) return count;
      token = longest(p + at, word.size() - at, end);
    } else {
      if (count == 0) return 0;
      dead.add(at);
      token = ids[--count], at -= length_of(token);
    }
  }
}

void byte_pairs::merge_one_by_one(std::string_view text, std::vector<symbol>& symbols, parts* last) const {
  symbols.clear();
  for (char const& c : text) symbols.push_back({exact({&c, 1}), 1});
  for (;;) {
    merge_result best{0, -1};
    std::size_t  at = 0, begin = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); begin += symbols[i++].length) {
      std::string_view const both = text.substr(begin, symbols[i].length + symbols[i + 1].length);
      merge_result const     m    = any_merge(symbols[i].id, symbols[i + 1].id, both);
      if (m.id >= 0 && (best.id < 0 || m.rank < best.rank)) best = m, at = i;
    }
    if (best.id < 0) return;
    if (last) *last = {symbols[at].id, symbols[at + 1].id, static_cast<std::int32_t>(best.rank), 0, true};
    symbols[at] = {best.id, symbols[at].length + symbols[at + 1].length};
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

byte_pairs::byte_pairs(std::span<std::string_view const> tokens) : made_(tokens.size()), parts_(tokens.size()) {
  std::size_t size = 0;
  for (std::string_view const t : tokens) size += t.size();
  bytes_.reserve(size + 16);
  begins_.reserve(tokens.size() + 1);
  for (std::string_view const t : tokens) begins_.push_back(static_cast<std::uint32_t>(bytes_.size())), bytes_ += t;
  begins_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  bytes_.append(16, '\0');
  if (tokens.size() >= std::size_t{1} << id_bits) return;  // then make_room says no
  short_ = short_tokens(tokens);
  seams_ = char_seams(tokens);
  long_  = prefix_trie(tokens, word_key::longest + 1);
}

bool byte_pairs::make_room(std::size_t merges) {
  if (merges >= (std::size_t{1} << 22) - 1) return false;
  for (std::size_t id = 0; id < parts_.size(); ++id)
    if (bytes_of(static_cast<std::int32_t>(id)).size() > longest_token) return false;
  for (unsigned b = 0; b < 256; ++b) {
    char const         c  = static_cast<char>(static_cast<unsigned char>(b));
    std::int32_t const id = exact({&c, 1});
    if (id < 0) return false;
    parts_[static_cast<std::size_t>(id)].length = 1;
    made_[static_cast<std::size_t>(id)]         = true;
  }
  std::size_t const most = std::min(merges, parts_.size());  // a token has one merge
  pairs_.assign(std::bit_ceil(2 * most + 2), 0);
  filter_.assign(std::bit_ceil(16 * most + 64) / 64, 0);
  return true;
}

void byte_pairs::define(pair_merge const& m, std::int32_t rank) {
  parts_[static_cast<std::size_t>(m.id)] = {m.left, m.right, rank,
                                            static_cast<std::int32_t>(length_of(m.left) + length_of(m.right)), false};
  made_[static_cast<std::size_t>(m.id)]  = true;
  add_merge(m.left, m.right, rank);
}

void byte_pairs::finish() {
  long_.hide([&](std::int32_t id) { return length_of(id) == 0; });
  for (std::size_t id = 0; id < parts_.size(); ++id) made_[id] = parts_[id].length > 0;
  usable_ = true;
}

byte_pairs byte_pairs::by_merges(std::span<std::string_view const> tokens, std::span<pair_merge const> merges) {
  byte_pairs b(tokens);
  if (!b.make_room(merges.size())) return b;
  std::vector<std::int32_t> early;  // made by a merge in front of those that make its parts
  for (std::size_t i = 0; i < merges.size(); ++i) {
    if (i + short_tokens::ahead < merges.size()) b.prefetch(merges[i + short_tokens::ahead]);
    pair_merge const& m     = merges[i];
    parts const&      known = b.parts_[static_cast<std::size_t>(m.id)];
    if (known.rank >= 0 && known.left == m.left && known.right == m.right)  // again, and later than it was taken for
      return by_merges(tokens, last_of_each_pair(merges));
    if (b.length_of(m.left) == 0 || b.length_of(m.right) == 0) early.push_back(m.id);
    // Others never come about: their bytes are merged in another way before these two parts could touch.
    else if (known.length == 0 && b.fit(m.left, m.right)) b.define(m, static_cast<std::int32_t>(i));
  }
  // An early merge of a token that another one makes never comes about either: its bytes are that token before its
  // parts are made. So the first early merge in a text makes a token that no other does, a late one; and merges that
  // define no token come about only around those.
  std::vector<std::string_view> late;
  for (std::int32_t const id : early)
    if (b.length_of(id) == 0 && b.bytes_of(id).size() >= 2) late.push_back(b.bytes_of(id));
  if (!late.empty()) {
    token_finder const late_ones(late);
    std::vector<bool>  around(tokens.size());
    for (std::size_t id = 0; id < tokens.size(); ++id) around[id] = late_ones.in(tokens[id]);
    auto const is_around = [&](pair_merge const& m) { return around[static_cast<std::size_t>(m.id)]; };
    b.late_merges_.emplace(static_cast<std::size_t>(std::count_if(merges.begin(), merges.end(), is_around)));
    for (std::size_t i = 0; i < merges.size(); ++i)
      if (pair_merge const& m = merges[i]; is_around(m))
        b.late_merges_->insert(m.left, m.right, static_cast<std::uint32_t>(i), m.id);
    if (!b.define_late(tokens)) b.late_merges_.reset();
  }
  b.finish();
  return b;
}

/// The only two tokens of these bytes that stay two where they touch.
bool byte_pairs::split(std::int32_t id, pair_merge& of) const {
  std::string_view const text = bytes_of(id);
  if (text.size() < 2) return false;
  auto const part = [&](std::size_t begin, std::size_t end) {
    if (end - begin > word_key::longest) return exact(text.substr(begin, end - begin));
    word_key const key = word_key::of(text.data() + begin, end - begin);
    return exact(key, key.hash());
  };
  unsigned const lengths = short_.lengths_of(text.data(), text.size() - 1);
  for (std::size_t at = text.size(); at-- > 1;) {
    if (at <= word_key::longest && (lengths >> at & 1) == 0) continue;
    std::int32_t const left = part(0, at);
    if (left < 0 || !made(left)) continue;
    std::int32_t const right = part(at, text.size());
    if (right < 0 || !made(right) || !fit(left, right)) continue;
    of = {left, right, id};
    return true;
  }
  return false;
}

byte_pairs byte_pairs::by_rank(std::span<std::string_view const> tokens) {
  byte_pairs b(tokens);
  if (!b.make_room(tokens.size())) return b;
  pair_merge m{};
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (id + short_tokens::ahead < tokens.size())
      b.short_.prefetch_beginnings(b.bytes_of(static_cast<std::int32_t>(id + short_tokens::ahead)));
    if (b.split(static_cast<std::int32_t>(id), m)) b.define(m, m.id);
  }
  b.define_late(tokens);
  b.finish();
  return b;
}

/// A few tokens of a vocabulary that was not trained in one piece (Llama 3 has 90) are merged of later ones. Where one
/// may be inside, tokens are merged one pair after the other to see what becomes of them. False: there are none.
bool byte_pairs::define_late(std::span<std::string_view const> tokens) {
  std::vector<symbol>           symbols;
  std::vector<std::string_view> late;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].size() < 2 || length_of(static_cast<std::int32_t>(id)) > 0) continue;
    merge_one_by_one(tokens[id], symbols);
    if (symbols.size() == 1) late.push_back(tokens[id]);
  }
  if (late.empty()) return false;
  token_finder const late_ones(late);
  bool               changed = false;  // a merge that is known already
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    std::string_view const t = tokens[id];
    if (!late_ones.in(t)) continue;
    parts p;
    merge_one_by_one(t, symbols, &p);
    p.length = static_cast<std::int32_t>(t.size());
    if (symbols.size() != 1) p = {};
    parts const before = std::exchange(parts_[id], p);
    if (before.rank >= 0 && (before.left != p.left || before.right != p.right || before.rank != p.rank)) changed = true;
    if (before.rank < 0 && p.rank >= 0 && !changed) add_merge(p.left, p.right, p.rank);
  }
  if (!changed) return true;
  std::fill(pairs_.begin(), pairs_.end(), 0u);
  for (std::size_t id = 0; id < tokens.size(); ++id)
    if (parts const& p = parts_[id]; p.rank >= 0) add_merge(p.left, p.right, p.rank);
  return true;
}

}  // namespace tenon::engine
