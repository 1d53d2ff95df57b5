#include "engine/text/wide_masks.hpp"

#include <array>
#include <bit>
#include <cstddef>

#include "engine/text/byte_ranges.hpp"

namespace tenon::engine {

namespace {

/// The bytes of characters of two and three that begin there, but for those that the end cuts.
constexpr std::uint64_t two_from(std::uint64_t first) {
  first &= ~std::uint64_t{0} >> 1;
  return first | first << 1;
}
constexpr std::uint64_t whole_three = ~std::uint64_t{0} >> 2;
constexpr std::uint64_t three_from(std::uint64_t first) {
  first &= whole_three;
  return first | first << 1 | first << 2;
}

/// U+00C0 to U+017F, U+0391 to U+03CE and U+0400 to U+047F, without two signs and what is not assigned.
std::uint64_t cased_letters(char const* bytes) {
  enum : std::size_t { c3, c4_c5, ce, cf, d0_d1, is_97, is_a2, is_b7, from_91, to_8e, count };
  static constexpr std::array<byte_range, count> ranges = {{{0xC3, 0xC3},
                                                            {0xC4, 0xC5},
                                                            {0xCE, 0xCE},
                                                            {0xCF, 0xCF},
                                                            {0xD0, 0xD1},
                                                            {0x97, 0x97},
                                                            {0xA2, 0xA2},
                                                            {0xB7, 0xB7},
                                                            {0x91, 0xBF},
                                                            {0x80, 0x8E}}};

  auto const in = range_finder<ranges>::find(bytes);
  return two_from((in[c3] & ~((in[is_97] | in[is_b7]) >> 1)) | in[c4_c5] | (in[ce] & (in[from_91] & ~in[is_a2]) >> 1) |
                  (in[cf] & in[to_8e] >> 1) | in[d0_d1]);
}

/// Ideographs and the punctuation that stands between them.
wide_masks chinese(char const* bytes) {
  enum : std::size_t {
    e2,
    e3,
    e4,
    e5_e9,
    ef,
    is_80,
    is_b7,
    is_bc,
    from_81_84,
    from_81_8f,
    from_88_91,
    from_90_a7,
    from_9a_a0,
    count
  };
  static constexpr std::array<byte_range, count> ranges = {{{0xE2, 0xE2},
                                                            {0xE3, 0xE3},
                                                            {0xE4, 0xE4},
                                                            {0xE5, 0xE9},
                                                            {0xEF, 0xEF},
                                                            {0x80, 0x80},
                                                            {0xB7, 0xB7},
                                                            {0xBC, 0xBC},
                                                            {0x81, 0x84},
                                                            {0x81, 0x8F},
                                                            {0x88, 0x91},
                                                            {0x90, 0xA7},
                                                            {0x9A, 0xA0}}};
  auto const                                     in     = range_finder<ranges>::find(bytes);
  // U+4DC0 to U+4DFF are signs between the ideographs.
  std::uint64_t const letters = in[e5_e9] | (in[e4] & ~(in[is_b7] >> 1));
  std::uint64_t const signs   = (in[e3] & in[is_80] >> 1 & (in[from_81_84] | in[from_88_91]) >> 2) |
                              (in[ef] & in[is_bc] >> 1 & (in[from_81_8f] | in[from_9a_a0]) >> 2) |
                              (in[e2] & in[is_80] >> 1 & in[from_90_a7] >> 2);
  return {0, three_from(letters), three_from(signs)};
}

/// Letters of kana, and Hangul syllables.
std::uint64_t kana_and_hangul(char const* bytes) {
  enum : std::size_t { e3, ea, eb_ec, ed, is_80, is_81, is_82, is_83, is_bb, to_96, to_9d, from_a1, from_b0, count };
  static constexpr std::array<byte_range, count> ranges = {{{0xE3, 0xE3},
                                                            {0xEA, 0xEA},
                                                            {0xEB, 0xEC},
                                                            {0xED, 0xED},
                                                            {0x80, 0x80},
                                                            {0x81, 0x81},
                                                            {0x82, 0x82},
                                                            {0x83, 0x83},
                                                            {0xBB, 0xBB},
                                                            {0x80, 0x96},
                                                            {0x80, 0x9D},
                                                            {0xA1, 0xBF},
                                                            {0xB0, 0xBF}}};
  auto const                                     in     = range_finder<ranges>::find(bytes);
  std::uint64_t const                            kana =
      in[e3] & ((in[is_81] >> 1 & ~(in[is_80] >> 2)) | (in[is_82] >> 1 & (in[to_96] | in[from_a1]) >> 2) |
                (in[is_83] >> 1 & ~(in[is_bb] >> 2)));
  std::uint64_t const hangul = in[eb_ec] | (in[ea] & in[from_b0] >> 1) | (in[ed] & in[to_9d] >> 1);
  return three_from(kana | hangul);
}

}  // namespace

wide_masks classify_wide(char const* bytes, std::uint64_t high) {
  auto const of_two = [bytes](std::uint64_t left) {
    return static_cast<unsigned char>(bytes[std::countr_zero(left)]) < 0xE0;
  };
  if (of_two(high)) return {cased_letters(bytes), 0, 0};
  wide_masks          wide = chinese(bytes);
  std::uint64_t const left = high & whole_three & ~(wide.letter | wide.sign);
  if (left == 0) return wide;
  if (of_two(left)) wide.cased = cased_letters(bytes);
  else wide.letter |= kana_and_hangul(bytes);
  return wide;
}

}  // namespace tenon::engine
