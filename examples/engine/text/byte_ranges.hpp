#pragma once
//  Which of 64 bytes lie in given ranges: one bit each, so that what stands beside what is told by arithmetic on all at
//  once.
//
//  By AVX-512, AVX2 or NEON where the processor has them, else byte by byte; chosen once, when the program starts. What
//  64 bytes are to somebody is a list of ranges and what he makes of the masks (ascii_masks, wide_masks, utf8).
//  Test: tests/engine/text/byte_ranges_test.cpp
#include <array>
#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#  include <immintrin.h>
#elif defined(__aarch64__)
#  include <arm_neon.h>
#endif

namespace tenon::engine {

struct byte_range {
  unsigned char first, last;
};

/// Of `Ranges`, a constant array of byte_range.
template <auto const& Ranges>
class range_finder {
 public:
  /// [r], bit i: byte i is in Ranges[r].
  using masks = std::array<std::uint64_t, Ranges.size()>;

  /// Of 64 bytes, by the fastest way of this processor.
  static masks find(char const* bytes) {
    masks found;
    fastest.find(bytes, found);
    return found;
  }
  static void one_by_one(char const* bytes, masks& found) {
    for (std::size_t r = 0; r < Ranges.size(); ++r) {
      found[r] = 0;
      for (std::size_t i = 0; i < 64; ++i) {
        auto const b = static_cast<unsigned char>(bytes[i]);
        found[r] |= std::uint64_t{b >= Ranges[r].first && b <= Ranges[r].last} << i;
      }
    }
  }
  /// What `find` goes by.
  static char const* name() { return fastest.name; }

 private:
  struct way {
    void (*find)(char const* bytes, masks& found);
    char const* name;
  };

  // Everywhere: x - first <= last - first, without signs.
  static_assert([] {
    for (byte_range const& r : Ranges)
      if (r.last < r.first || r.last - r.first == 255) return false;  // all bytes are no range
    return true;
  }());
  static constexpr unsigned char first(std::size_t r) { return Ranges[r].first; }
  static constexpr unsigned char more(std::size_t r) {
    return static_cast<unsigned char>(Ranges[r].last - Ranges[r].first);
  }

#if defined(__x86_64__)
  __attribute__((target("avx512bw"))) static void by_avx512(char const* bytes, masks& found) {
    __m512i const v = _mm512_loadu_si512(bytes);
    for (std::size_t r = 0; r < Ranges.size(); ++r) {
      __m512i const begin = _mm512_set1_epi8(static_cast<char>(first(r)));
      __m512i const most  = _mm512_set1_epi8(static_cast<char>(more(r)));
      found[r] =
          more(r) == 0 ? _mm512_cmpeq_epu8_mask(v, begin) : _mm512_cmple_epu8_mask(_mm512_sub_epi8(v, begin), most);
    }
  }
  __attribute__((target("avx2"))) static void by_avx2(char const* bytes, masks& found) {
    __m256i const a = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(bytes));
    __m256i const b = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(bytes + 32));
    for (std::size_t r = 0; r < Ranges.size(); ++r) {
      // As signed bytes, which is what can be compared: x - first - 128 < more + 1 - 128.
      __m256i const begin = _mm256_set1_epi8(static_cast<char>(first(r)));
      __m256i const from  = _mm256_set1_epi8(static_cast<char>(first(r) + 128));
      __m256i const end   = _mm256_set1_epi8(static_cast<char>(more(r) + 1 - 128));
      auto const    in    = [&](__m256i x) __attribute__((target("avx2"))) {
              return static_cast<std::uint32_t>(_mm256_movemask_epi8(
                  more(r) == 0 ? _mm256_cmpeq_epi8(x, begin) : _mm256_cmpgt_epi8(end, _mm256_sub_epi8(x, from))));
      };
      found[r] = std::uint64_t{in(b)} << 32 | in(a);
    }
  }
  static way choose() {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bw")) return {by_avx512, "AVX-512"};
    if (__builtin_cpu_supports("avx2")) return {by_avx2, "AVX2"};
    return {one_by_one, "one by one"};
  }
#elif defined(__aarch64__)
  static void by_neon(char const* bytes, masks& found) {
    auto const       at = reinterpret_cast<std::uint8_t const*>(bytes);
    uint8x16_t const a = vld1q_u8(at), b = vld1q_u8(at + 16), c = vld1q_u8(at + 32), d = vld1q_u8(at + 48);
    // Bit i % 8 of byte i where it is in the range; adding neighbours three times makes eight such bytes one.
    uint8x16_t const weights = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
    for (std::size_t r = 0; r < Ranges.size(); ++r) {
      uint8x16_t const begin = vdupq_n_u8(first(r)), most = vdupq_n_u8(more(r));
      auto const       bits = [&](uint8x16_t v) { return vandq_u8(vcleq_u8(vsubq_u8(v, begin), most), weights); };
      auto const       sums = vpaddq_u8(vpaddq_u8(bits(a), bits(b)), vpaddq_u8(bits(c), bits(d)));
      found[r]              = vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
    }
  }
  static way choose() { return {by_neon, "NEON"}; }  // all of them have it
#else
  static way choose() { return {one_by_one, "one by one"}; }
#endif

  static inline way const fastest = choose();
};

}  // namespace tenon::engine
