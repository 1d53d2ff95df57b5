#pragma once
//  Two blocks of tokens with the same digest behind any prefix, as who knows the key can make them: each lane is linear in its
//  pairs, so two pairs make up for what a third one changes.
#include <tenon/kv/prefix_hash.hpp>

#include <cstdint>
#include <utility>
#include <vector>

namespace test {

namespace field {
__extension__ typedef unsigned __int128 wide;
inline constexpr std::uint64_t          prime = (std::uint64_t{1} << 61) - 1;

inline std::uint64_t times(std::uint64_t a, std::uint64_t b) { return static_cast<std::uint64_t>(wide{a} * b % prime); }
inline std::uint64_t minus(std::uint64_t a, std::uint64_t b) { return (a + prime - b) % prime; }
inline std::uint64_t inverse(std::uint64_t a) {
  std::uint64_t result = 1;
  for (std::uint64_t n = prime - 2; n > 0; n >>= 1, a = times(a, a))
    if (n & 1) result = times(result, a);
  return result;
}
}  // namespace field

/// For block sizes from 6 on; the blocks differ in their first six tokens, from the first on.
inline std::pair<std::vector<std::int32_t>, std::vector<std::int32_t>> colliding_blocks(tenon::prefix_hash const& hash,
                                                                                        int block_size) {
  using namespace field;
  std::vector<std::int32_t>  zeros(static_cast<std::size_t>(block_size)), one = zeros;
  tenon::prefix_digest const base = hash.extend({}, zeros);
  tenon::prefix_digest       k[3];  // what a one in pair i adds
  for (std::size_t i = 0; i < 3; ++i) {
    one          = zeros;
    one[2 * i]   = 1;
    auto const d = hash.extend({}, one);
    k[i]         = {minus(d.a, base.a), minus(d.b, base.b)};
  }
  // k[1] x + k[2] y = -k[0] in both lanes, by Cramer's rule.
  std::uint64_t const over = inverse(minus(times(k[1].a, k[2].b), times(k[2].a, k[1].b)));
  std::uint64_t const a = minus(0, k[0].a), b = minus(0, k[0].b);
  std::uint64_t const x = times(minus(times(a, k[2].b), times(k[2].a, b)), over);
  std::uint64_t const y = times(minus(times(k[1].a, b), times(a, k[1].b)), over);
  one                   = zeros;
  one[0]                = 1;
  one[2] = static_cast<std::int32_t>(x), one[3] = static_cast<std::int32_t>(x >> 32);
  one[4] = static_cast<std::int32_t>(y), one[5] = static_cast<std::int32_t>(y >> 32);
  return {zeros, one};
}

}  // namespace test
