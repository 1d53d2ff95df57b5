#pragma once
//  A keyed 122-bit hash of a prefix, block by block:
//
//    digest(prefix + block) = parent * r + sum_i k_i * pair_i + k   mod 2^61 - 1, in two lanes of their own key
//
//  pair_i: two token ids as one number. For ids in [0, 2^29) different blocks are different points of the field, so each lane
//  is a polynomial in its secret key, and two given prefixes of at most n blocks collide with probability at most
//  ((n + 1) / 2^61)^2 (Schwartz, Zippel): no choice of texts does better, since digests are never shown. Other ids have
//  digests, too, without that bound. Who knows the key, which ChaCha20 (RFC 8439) spreads, finds collisions by linear algebra.
//  Source: Carter and Wegman, Universal classes of hash functions, 1979.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace tenon {

struct prefix_digest {
  std::uint64_t a = 0, b = 0;

  friend bool operator==(prefix_digest const&, prefix_digest const&) = default;
};

/// A secret of 256 bits. Processes that share it agree on digests.
using prefix_key = std::array<std::uint64_t, 4>;

class prefix_hash {
 public:
  prefix_hash(prefix_key const& key, int block_size) : pairs_((static_cast<std::size_t>(block_size) + 1) / 2) {
    std::vector<std::uint64_t> const stream = chacha20(key, 2 * pairs_ + 6);
    std::size_t                      next   = 0;
    auto const                       draw   = [&] { return stream[next++] % prime; };
    for (lane_key& l : keys_) {
      l.parent = draw(), l.salt = draw(), l.one = draw();
      for (std::size_t i = 0; i < pairs_; ++i) l.pair.push_back(draw());
    }
  }

  /// Of the empty prefix of a tenant.
  prefix_digest root(std::uint64_t salt) const {
    auto const of = [&](lane_key const& k) {
      return reduce(static_cast<wide>(k.salt) * (salt % prime) + static_cast<wide>(k.parent) * (salt / prime) + k.one);
    };
    return {of(keys_[0]), of(keys_[1])};
  }

  /// `block`: block_size ids, or fewer; blocks of different lengths are not told apart, and ids behind those are not read.
  prefix_digest extend(prefix_digest const& parent, std::span<std::int32_t const> block) const {
    block  = block.first(std::min(block.size(), 2 * pairs_));
    wide a = static_cast<wide>(keys_[0].parent) * parent.a + keys_[0].one;
    wide b = static_cast<wide>(keys_[1].parent) * parent.b + keys_[1].one;

    std::uint64_t const* const ka    = keys_[0].pair.data();
    std::uint64_t const* const kb    = keys_[1].pair.data();
    std::size_t const          whole = block.size() / 2;
    for (std::size_t i = 0; i < whole;) {
      for (std::size_t const end = std::min(whole, i + 32); i < end; ++i) {
        std::uint64_t pair;
        std::memcpy(&pair, block.data() + 2 * i, sizeof pair);
        a += static_cast<wide>(ka[i]) * pair;
        b += static_cast<wide>(kb[i]) * pair;
      }
      if (i < whole) a = reduce(a), b = reduce(b);  // 33 products of 122 bits are below 2^128; 65 are not
    }
    if (block.size() % 2 != 0) {
      auto const last = static_cast<std::uint32_t>(block.back());
      a += static_cast<wide>(ka[whole]) * last;
      b += static_cast<wide>(kb[whole]) * last;
    }
    return {reduce(a), reduce(b)};
  }

 private:
  __extension__ typedef unsigned __int128 wide;

  static constexpr std::uint64_t prime = (std::uint64_t{1} << 61) - 1;

  struct lane_key {
    std::uint64_t              parent = 0, salt = 0, one = 0;
    std::vector<std::uint64_t> pair;
  };

  static std::uint64_t reduce(wide x) {
    std::uint64_t const low = static_cast<std::uint64_t>(x) & prime, high = static_cast<std::uint64_t>(x >> 61) & prime;
    std::uint64_t       sum = low + high + static_cast<std::uint64_t>(x >> 122);
    sum                     = (sum & prime) + (sum >> 61);
    return sum == prime ? 0 : sum;
  }

  static std::vector<std::uint64_t> chacha20(prefix_key const& key, std::size_t words) {
    std::vector<std::uint64_t> out;
    for (std::uint32_t counter = 0; out.size() < words; ++counter) {
      std::array<std::uint32_t, 16> start{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
      std::memcpy(&start[4], key.data(), 32);
      start[12]      = counter;
      auto       x   = start;
      auto const rot = [](std::uint32_t v, int by) { return v << by | v >> (32 - by); };
      auto const mix = [&](int a, int b, int c, int d) {
        auto const at = [&](int i) -> std::uint32_t& { return x[static_cast<std::size_t>(i)]; };
        at(a) += at(b), at(d) = rot(at(d) ^ at(a), 16);
        at(c) += at(d), at(b) = rot(at(b) ^ at(c), 12);
        at(a) += at(b), at(d) = rot(at(d) ^ at(a), 8);
        at(c) += at(d), at(b) = rot(at(b) ^ at(c), 7);
      };
      for (int round = 0; round < 10; ++round) {
        for (int i = 0; i < 4; ++i) mix(i, i + 4, i + 8, i + 12);
        for (int i = 0; i < 4; ++i) mix(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
      }
      for (std::size_t i = 0; i < 16; i += 2)
        out.push_back((x[i] + start[i]) | std::uint64_t{x[i + 1] + start[i + 1]} << 32);
    }
    return out;
  }

  std::size_t pairs_;
  lane_key    keys_[2];
};

}  // namespace tenon
