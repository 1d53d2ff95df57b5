#pragma once
//  What short words became: a cache of fixed size for each thread, which holds the words of one encoder at a time.
//
//  No locks, and what a text can do to it is to empty it. A word is known by all its bytes, never by a digest of them.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace tenon::engine {

/// A word of up to 15 bytes: two numbers that no other one has.
struct short_word {
  std::uint64_t low = 0, high = 0;
  friend bool   operator==(short_word, short_word) = default;
};

/// What a word is.
struct short_pieces {
  static constexpr std::size_t most = 3;

  std::uint32_t count     = 0;
  std::int32_t  ids[most] = {};
};

/// A few words: their keys share a cache line, what they are another.
struct alignas(64) short_word_set {
  static constexpr std::size_t ways = 4;

  short_word   keys[ways]   = {};
  short_pieces values[ways] = {};
};

class piece_cache {
 public:
  static constexpr std::size_t longest_word = 15;

  /// Of the first n bytes at p, where `room` bytes may be read.
  [[nodiscard]] static short_word key_of(char const* p, std::size_t n, std::size_t room) {
    short_word k;
    if (room >= 16) {
      std::memcpy(&k.low, p, 8), std::memcpy(&k.high, p + 8, 8);
    } else {
      char padded[16] = {};
      std::memcpy(padded, p, n);
      std::memcpy(&k.low, padded, 8), std::memcpy(&k.high, padded + 8, 8);
    }
    return {k.low & masks[n].low, (k.high & masks[n].high) | std::uint64_t{n} << 56};
  }

  /// This thread's, emptied where it was another encoder's.
  [[nodiscard]] static piece_cache& of(std::uint64_t encoder) {
    thread_local piece_cache own;
    if (own.encoder_ != encoder)
      own.encoder_ = encoder, own.sets_.assign(std::size_t{1} << sets_bits, short_word_set());
    return own;
  }

  [[nodiscard]] short_pieces const* find(short_word k) const {
    short_word_set const& s = sets_[place(k)];
    for (std::size_t i = 0; i < short_word_set::ways; ++i)
      if (s.keys[i] == k) return &s.values[i];
    return nullptr;
  }
  void insert(short_word k, short_pieces const& v) {
    short_word_set&   s = sets_[place(k)];
    std::size_t const i = next_++ % short_word_set::ways;
    s.keys[i] = k, s.values[i] = v;
  }

 private:
  static constexpr int  sets_bits = 13;
  static constexpr auto masks     = [] {
    std::array<short_word, longest_word + 1> m{};
    for (std::size_t n = 0; n <= longest_word; ++n) {
      m[n].low  = n >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * n)) - 1;
      m[n].high = n <= 8 ? 0 : (std::uint64_t{1} << (8 * (n - 8))) - 1;
    }
    return m;
  }();
  [[nodiscard]] static std::size_t place(short_word k) {
    return ((k.low ^ k.high * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu) >> (64 - sets_bits);
  }

  std::uint64_t               encoder_ = 0;
  std::size_t                 next_    = 0;
  std::vector<short_word_set> sets_;
};

}  // namespace tenon::engine
