#pragma once
//  What short words became: a cache of fixed size for each thread, which holds the words of one encoder at a time.
//
//  No locks, and what a text can do to it is to empty it. A word is known by all its bytes, never by a digest of them.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/text/word_key.hpp"

namespace tenon::engine {

/// What a word is.
struct short_pieces {
  static constexpr std::size_t most = 3;

  std::uint32_t count     = 0;
  std::int32_t  ids[most] = {};
};

/// A few words: their keys share a cache line, what they are another.
struct alignas(64) piece_set {
  static constexpr std::size_t ways = 4;

  word_key     keys[ways]   = {};
  short_pieces values[ways] = {};
};

class piece_cache {
 public:
  /// This thread's, emptied where it was another encoder's.
  [[nodiscard]] static piece_cache& of(std::uint64_t encoder) {
    thread_local piece_cache own;
    if (own.encoder_ != encoder) own.encoder_ = encoder, own.sets_.assign(std::size_t{1} << sets_bits, piece_set());
    return own;
  }

  [[nodiscard]] short_pieces const* find(word_key k) const {
    piece_set const& s = sets_[place(k)];
    for (std::size_t i = 0; i < piece_set::ways; ++i)
      if (s.keys[i] == k) return &s.values[i];
    return nullptr;
  }
  void insert(word_key k, short_pieces const& v) {
    piece_set&        s = sets_[place(k)];
    std::size_t const i = next_++ % piece_set::ways;
    s.keys[i] = k, s.values[i] = v;
  }

 private:
  static constexpr int             sets_bits = 13;
  [[nodiscard]] static std::size_t place(word_key k) { return k.hash() >> (64 - sets_bits); }

  std::uint64_t          encoder_ = 0;
  std::size_t            next_    = 0;
  std::vector<piece_set> sets_;
};

}  // namespace tenon::engine
