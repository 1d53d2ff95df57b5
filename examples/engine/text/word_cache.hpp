#pragma once
//  What words became: a cache of fixed size for each thread, which holds the words of one encoder at a time.
//
//  Short words of few tokens lie in sets of two, a cache line each. Longer ones (above all what stands between two
//  signs in a text without spaces) lie one behind the other on a shelf, which is cleared when it is full; only what
//  comes again is put there. No locks, and what a text can do to the cache is to empty it. A word is known by all its
//  bytes, never by a digest of them.
//  Test: tests/engine/text/word_cache_test.cpp
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "engine/text/large_vector.hpp"
#include "engine/text/word_key.hpp"

namespace tenon::engine {

/// Two words and what they are, in one cache line.
struct alignas(64) word_set {
  static constexpr std::size_t most_ids = 4;
  static constexpr int         id_count = 60;  // the bit of a key's `high` above which it is kept how many there are

  word_key     keys[2]          = {};  // of length 0: no word's
  std::int32_t ids[2][most_ids] = {};

  [[nodiscard]] bool is_full() const { return keys[1].high != 0; }
  [[nodiscard]] bool has(std::size_t i, word_key k) const {
    return keys[i].low == k.low && (keys[i].high ^ k.high) << (64 - id_count) == 0;
  }
  void copy(std::size_t to, word_set const& from, std::size_t i) {
    keys[to] = from.keys[i], std::memcpy(ids[to], from.ids[i], sizeof ids[to]);
  }
};

/// Words of up to 255 bytes and tokens.
class long_words {
 public:
  static constexpr std::size_t   most_bytes = 255, most_ids = 255, room = 32;
  static constexpr std::uint32_t absent = ~std::uint32_t{0};

  /// 16 bytes may be read, here and in `read`, of shorter words, too.
  static std::uint64_t hash_of(char const* p, std::size_t size) {
    word_ends const ends(p, size);
    std::uint64_t   h   = ends.last.hash() ^ size;
    auto const      add = [&](word_key k) { h = word_key{k.low ^ h, k.high ^ h >> 32}.hash(); };
    for (std::size_t i = 16; i + 16 < size; i += 16) add(word_key::load(p + i));
    add(ends.first);
    return (h ^ h >> 29) * 0x9e3779b97f4a7c15u;
  }

  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&sets_[set_of(hash)]); }
  void prefetch_at(std::uint32_t place) const {
    __builtin_prefetch(shelf_.get() + place);
    __builtin_prefetch(shelf_.get() + place + 64);
  }

  /// Where a word of this hash may lie; `absent`: nowhere.
  [[nodiscard]] std::uint32_t find(std::uint64_t hash) const {
    set const&     s = sets_[set_of(hash)];
    unsigned const i = s.find(tag_of(hash));
    return i < set::ways ? s.places[i] : absent;
  }

  /// Writes the ids of the word that lies there, at least `room` of them in length; how many they are. 0: it is another
  /// word.
  std::size_t read(std::uint32_t place, std::string_view word, std::int32_t* ids) const {
    char const* const p    = shelf_.get() + place;
    std::size_t const size = static_cast<unsigned char>(p[0]), count = static_cast<unsigned char>(p[1]);
    if (size != word.size() || !(word_ends(p + header, size) == word_ends(word.data(), size))) return 0;
    if (size > 32 && std::memcmp(p + header + 16, word.data() + 16, size - 32) != 0) return 0;
    char const* const from = p + ids_at(size);
    std::memcpy(ids, from, room * sizeof *ids);
    if (count > room) std::memcpy(ids + room, from + room * sizeof *ids, (count - room) * sizeof *ids);
    return count;
  }

  /// A word that is not here: the first time it is noted, the second time it is put on the shelf. One that is too long
  /// never is.
  void keep(std::uint64_t hash, std::string_view word, std::int32_t const* ids, std::size_t count) {
    if (word.size() > most_bytes || count > most_ids) return;
    set&                s   = sets_[set_of(hash)];
    std::uint16_t const tag = tag_of(hash);
    unsigned            i   = s.find(tag);
    if (i == set::ways) {
      i         = next_++ % set::ways;
      s.tags[i] = tag, s.places[i] = absent;
      return;
    }
    std::size_t const at = used_, from = ids_at(word.size()), next = at + (from + count * sizeof *ids + 15) / 16 * 16;
    if (next + room * sizeof *ids > shelf_bytes) return;
    char* const p = shelf_.get() + at;
    p[0] = static_cast<char>(word.size()), p[1] = static_cast<char>(count);
    std::memcpy(p + header, word.data(), word.size()), std::memcpy(p + from, ids, count * sizeof *ids);
    s.places[i] = static_cast<std::uint32_t>(at), used_ = next;
  }

  /// Clears the shelf where less than `bytes` are free; before that all places stay good.
  void make_room(std::size_t bytes) {
    if (shelf_bytes - used_ < bytes) clear();
  }
  void clear() {
    sets_.assign(std::size_t{1} << sets_bits, {});
    if (shelf_ == nullptr) shelf_ = std::make_unique_for_overwrite<char[]>(shelf_bytes);
    used_ = 0;
  }

 private:
  /// Some words by 16 bits of their hashes.
  struct alignas(64) set {
    static constexpr unsigned ways = 8;

    std::array<std::uint16_t, ways> tags{};  // 0: none
    std::array<std::uint32_t, ways> places{};

    /// The first with this tag; `ways`: none.
    [[nodiscard]] unsigned find(std::uint16_t tag) const {
      constexpr std::uint64_t ones = 0x0001000100010001u;
      std::uint64_t           four[2];
      std::memcpy(four, tags.data(), sizeof four);
      // The lowest high bit of these is that of the first field that is 0.
      auto const          zeros = [](std::uint64_t x) { return (x - ones) & ~x & ones << 15; };
      std::uint64_t const low = zeros(four[0] ^ ones * tag), high = zeros(four[1] ^ ones * tag);
      return static_cast<unsigned>(low != 0 ? std::countr_zero(low) / 16 : 4 + std::countr_zero(high) / 16);
    }
  };
  static constexpr int         sets_bits = 13;
  static constexpr std::size_t header = 2, shelf_bytes = std::size_t{1} << 22;

  /// The first 16 bytes of a word and the last ones: all of them up to 32, without a branch.
  struct word_ends {
    word_key first, last;

    word_ends(char const* p, std::size_t size)
        : first(word_key::first_of(p, std::min<std::size_t>(size, 16))),
          last(word_key::first_of(p + std::max<std::size_t>(size, 16) - 16, std::min<std::size_t>(size, 16))) {}
    friend bool operator==(word_ends const& a, word_ends const& b) {
      return ((a.first.low ^ b.first.low) | (a.first.high ^ b.first.high) | (a.last.low ^ b.last.low) |
              (a.last.high ^ b.last.high)) == 0;
    }
  };
  static std::size_t   set_of(std::uint64_t hash) { return hash >> (64 - sets_bits); }
  static std::uint16_t tag_of(std::uint64_t hash) { return static_cast<std::uint16_t>(hash >> 32 | 1u); }
  static std::size_t   ids_at(std::size_t size) { return (header + size + 3) / 4 * 4; }

  large_vector<set>       sets_;
  std::unique_ptr<char[]> shelf_;
  std::size_t             used_ = 0;  // of the shelf
  unsigned                next_ = 0;
};

class word_cache {
 public:
  /// This thread's, emptied where it was another encoder's.
  static word_cache& of(std::uint64_t encoder) {
    thread_local word_cache own;
    if (own.encoder_ != encoder) own.reset(encoder);
    return own;
  }

  /// Where a short word with this hash would be.
  [[nodiscard]] word_set* set_of(std::uint64_t hash) { return sets_.data() + (hash >> (64 - sets_bits)); }
  /// The ids of a short word that is not in its set `s`, but may be where others were pushed to; how many. It comes
  /// back for that.
  std::size_t find_beside(word_set& s, word_key k, std::int32_t* to) {
    word_set& other = neighbour_of(s);
    for (std::size_t i = 0; i < 2; ++i)
      if (other.has(i, k)) {
        word_set const found = other;
        other.copy(i, s, 1), s.copy(1, s, 0), s.copy(0, found, i);
        std::memcpy(to, s.ids[0], sizeof s.ids[0]);
        return s.keys[0].high >> word_set::id_count;
      }
    return 0;
  }
  /// A short word that is in neither: in front of those of its set, of which the last one is pushed into the neighbour,
  /// or out.
  void insert(word_set& s, word_key k, std::int32_t const* ids, std::size_t count) {
    if (word_set& other = neighbour_of(s); s.is_full() && !other.is_full())
      other.copy(1, other, 0), other.copy(0, s, 1);
    s.copy(1, s, 0);
    s.keys[0] = {k.low, k.high | std::uint64_t{count} << word_set::id_count};
    std::memcpy(s.ids[0], ids, count * sizeof *ids);
  }

  long_words longer;

 private:
  static constexpr int sets_bits = 15;

  [[nodiscard]] word_set& neighbour_of(word_set const& s) {
    return sets_[static_cast<std::size_t>(&s - sets_.data()) ^ 1];
  }
  void reset(std::uint64_t encoder) {
    encoder_ = 0;  // nobody's, where there is no memory
    sets_.assign(std::size_t{1} << sets_bits, {});
    longer.clear();
    encoder_ = encoder;
  }

  std::uint64_t          encoder_ = 0;
  large_vector<word_set> sets_;
};

}  // namespace tenon::engine
