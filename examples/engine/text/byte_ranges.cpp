#include "engine/text/byte_ranges.hpp"

#if defined(__x86_64__)
#  include <immintrin.h>
#elif defined(__aarch64__)
#  include <arm_neon.h>
#endif

namespace tenon::engine {

namespace {

#if defined(__x86_64__)
__attribute__((target("avx2"))) void find_by_avx2(char const* bytes, byte_range const* ranges, std::size_t count,
                                                  std::uint64_t* found) {
  __m256i const a = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(bytes));
  __m256i const b = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(bytes + 32));
  for (std::size_t r = 0; r < count; ++r) {
    // x - first <= more, without signs
    __m256i const first = _mm256_set1_epi8(static_cast<char>(ranges[r].first));
    __m256i const most  = _mm256_set1_epi8(static_cast<char>(ranges[r].more));
    auto const    mask  = [&](__m256i x) __attribute__((target("avx2"))) {
          __m256i const from = _mm256_sub_epi8(x, first);
          return static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(from, most), from)));
    };
    found[r] = std::uint64_t{mask(b)} << 32 | mask(a);
  }
}

__attribute__((target("avx512bw"))) void find_by_avx512(char const* bytes, byte_range const* ranges, std::size_t count,
                                                        std::uint64_t* found) {
  __m512i const v = _mm512_loadu_si512(bytes);
  for (std::size_t r = 0; r < count; ++r)
    found[r] = _mm512_cmple_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8(static_cast<char>(ranges[r].first))),
                                      _mm512_set1_epi8(static_cast<char>(ranges[r].more)));
}

range_finder choose() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512bw")) return find_by_avx512;
  return __builtin_cpu_supports("avx2") ? find_by_avx2 : find_ranges_one_by_one;
}
#elif defined(__aarch64__)
void find_by_neon(char const* bytes, byte_range const* ranges, std::size_t count, std::uint64_t* found) {
  auto const       at = reinterpret_cast<std::uint8_t const*>(bytes);
  uint8x16_t const a = vld1q_u8(at), b = vld1q_u8(at + 16), c = vld1q_u8(at + 32), d = vld1q_u8(at + 48);
  // Bit i % 8 of byte i where it is in the range; adding neighbours three times makes eight such bytes one.
  uint8x16_t const weights = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
  for (std::size_t r = 0; r < count; ++r) {
    uint8x16_t const first = vdupq_n_u8(ranges[r].first);
    uint8x16_t const most  = vdupq_n_u8(ranges[r].more);
    auto const       bits  = [&](uint8x16_t v) { return vandq_u8(vcleq_u8(vsubq_u8(v, first), most), weights); };
    auto const       sums  = vpaddq_u8(vpaddq_u8(bits(a), bits(b)), vpaddq_u8(bits(c), bits(d)));
    found[r]               = vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
  }
}

range_finder choose() { return find_by_neon; }  // all of them have it
#else
range_finder choose() { return find_ranges_one_by_one; }
#endif

}  // namespace

void find_ranges_one_by_one(char const* bytes, byte_range const* ranges, std::size_t count, std::uint64_t* found) {
  for (std::size_t r = 0; r < count; ++r) {
    found[r] = 0;
    for (std::size_t i = 0; i < 64; ++i) {
      auto const from = static_cast<unsigned char>(static_cast<unsigned char>(bytes[i]) - ranges[r].first);
      found[r] |= std::uint64_t{from <= ranges[r].more} << i;
    }
  }
}

range_finder const find_ranges = choose();

}  // namespace tenon::engine
