#include "engine/text/wide_masks.hpp"

#include <array>
#include <cstddef>

#include "engine/text/byte_ranges.hpp"

namespace tenon::engine {

namespace {

constexpr std::uint64_t whole = ~std::uint64_t{0} >> 2;  // first bytes of what the end does not cut

constexpr std::uint64_t bytes_from(std::uint64_t first) {
  return (first & whole) | (first & whole) << 1 | (first & whole) << 2;
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
  auto const                                     in     = in_ranges(bytes, ranges);
  // U+4DC0 to U+4DFF are signs between the ideographs.
  std::uint64_t const letters = in[e5_e9] | (in[e4] & ~(in[is_b7] >> 1));
  std::uint64_t const signs   = (in[e3] & in[is_80] >> 1 & (in[from_81_84] | in[from_88_91]) >> 2) |
                              (in[ef] & in[is_bc] >> 1 & (in[from_81_8f] | in[from_9a_a0]) >> 2) |
                              (in[e2] & in[is_80] >> 1 & in[from_90_a7] >> 2);
  return {bytes_from(letters), bytes_from(signs)};
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
  auto const                                     in     = in_ranges(bytes, ranges);
  std::uint64_t const                            kana =
      in[e3] & ((in[is_81] >> 1 & ~(in[is_80] >> 2)) | (in[is_82] >> 1 & (in[to_96] | in[from_a1]) >> 2) |
                (in[is_83] >> 1 & ~(in[is_bb] >> 2)));
  std::uint64_t const hangul = in[eb_ec] | (in[ea] & in[from_b0] >> 1) | (in[ed] & in[to_9d] >> 1);
  return bytes_from(kana | hangul);
}

}  // namespace

wide_masks classify_wide(char const* bytes, std::uint64_t high) {
  wide_masks wide = chinese(bytes);
  if ((high & ~(wide.letter | wide.sign) & whole) != 0) wide.letter |= kana_and_hangul(bytes);
  return wide;
}

}  // namespace tenon::engine
