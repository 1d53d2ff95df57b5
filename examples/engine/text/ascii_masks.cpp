#include "engine/text/ascii_masks.hpp"

#include <cstddef>

#include "engine/text/unicode_classes.hpp"

#if defined(__x86_64__)
#  include <immintrin.h>
#elif defined(__aarch64__)
#  include <arm_neon.h>
#endif

namespace tenon::engine {

namespace {

#if defined(__x86_64__)
__attribute__((target("avx2"))) void classify_by_avx2(char const* bytes, ascii_masks& out) {
  __m256i const a    = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(bytes));
  __m256i const b    = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(bytes + 32));
  auto const    both = [](__m256i x, __m256i y) __attribute__((target("avx2"))) {
       return std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(y))} << 32 |
              static_cast<std::uint32_t>(_mm256_movemask_epi8(x));
  };
  // b in [first, first + count): as signed bytes, b - first - 128 < count - 128.
  auto const within = [&](__m256i x, __m256i y, int first, int count) __attribute__((target("avx2"))) {
    __m256i const from = _mm256_set1_epi8(static_cast<char>(first + 128));
    __m256i const end  = _mm256_set1_epi8(static_cast<char>(count - 128));
    return both(_mm256_cmpgt_epi8(end, _mm256_sub_epi8(x, from)), _mm256_cmpgt_epi8(end, _mm256_sub_epi8(y, from)));
  };
  auto const equal = [&](char c) __attribute__((target("avx2"))) {
    __m256i const all = _mm256_set1_epi8(c);
    return both(_mm256_cmpeq_epi8(a, all), _mm256_cmpeq_epi8(b, all));
  };
  __m256i const small = _mm256_set1_epi8(0x20);
  out.letter          = within(_mm256_or_si256(a, small), _mm256_or_si256(b, small), 'a', 26);
  out.lower = within(a, b, 'a', 26), out.digit = within(a, b, '0', 10);
  out.blank = equal(' '), out.space = within(a, b, 9, 5) | out.blank;
  out.line = equal('\n') | equal('\r'), out.quote = equal('\''), out.slash = equal('/'), out.high = both(a, b);
}

__attribute__((target("avx512bw"))) void classify_by_avx512(char const* bytes, ascii_masks& out) {
  __m512i const v      = _mm512_loadu_si512(bytes);
  auto const    within = [](__m512i b, int first, int count) __attribute__((target("avx512bw"))) {
       return _mm512_cmplt_epu8_mask(_mm512_sub_epi8(b, _mm512_set1_epi8(static_cast<char>(first))),
                                     _mm512_set1_epi8(static_cast<char>(count)));
  };
  auto const equal = [&](char c) __attribute__((target("avx512bw"))) {
    return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(c));
  };
  out.letter = within(_mm512_or_si512(v, _mm512_set1_epi8(0x20)), 'a', 26);
  out.lower = within(v, 'a', 26), out.digit = within(v, '0', 10);
  out.blank = equal(' '), out.space = within(v, 9, 5) | out.blank;
  out.line = equal('\n') | equal('\r'), out.quote = equal('\''), out.slash = equal('/');
  out.high = _mm512_movepi8_mask(v);
}

ascii_classifier choose() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512bw")) return classify_by_avx512;
  return __builtin_cpu_supports("avx2") ? classify_by_avx2 : classify_by_table;
}
#elif defined(__aarch64__)
void classify_by_neon(char const* bytes, ascii_masks& out) {
  auto const       at = reinterpret_cast<std::uint8_t const*>(bytes);
  uint8x16_t const a = vld1q_u8(at), b = vld1q_u8(at + 16), c = vld1q_u8(at + 32), d = vld1q_u8(at + 48);
  // Bit i % 8 of byte i where a comparison holds; adding neighbours three times makes eight such bytes one.
  uint8x16_t const weights = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
  auto const       mask    = [&](auto const& holds) {
    auto const bits = [&](uint8x16_t v) { return vandq_u8(holds(v), weights); };
    auto const sums = vpaddq_u8(vpaddq_u8(bits(a), bits(b)), vpaddq_u8(bits(c), bits(d)));
    return std::uint64_t{vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0)};
  };
  auto const within = [&](std::uint8_t first, std::uint8_t count, std::uint8_t set = 0) {
    return mask([=](uint8x16_t v) {
      return vcltq_u8(vsubq_u8(vorrq_u8(v, vdupq_n_u8(set)), vdupq_n_u8(first)), vdupq_n_u8(count));
    });
  };
  auto const equal = [&](std::uint8_t what) {
    return mask([=](uint8x16_t v) { return vceqq_u8(v, vdupq_n_u8(what)); });
  };
  out.letter = within('a', 26, 0x20), out.lower = within('a', 26), out.digit = within('0', 10);
  out.blank = equal(' '), out.space = within(9, 5) | out.blank;
  out.line = equal('\n') | equal('\r'), out.quote = equal('\''), out.slash = equal('/');
  out.high = within(0x80, 0x80);
}
#endif

}  // namespace

void classify_by_table(char const* bytes, ascii_masks& out) {
  out = {};
  for (std::size_t i = 0; i < 64; ++i) {
    auto const     b    = static_cast<unsigned char>(bytes[i]);
    unsigned const bits = b < 0x80 ? ascii_classes[b] : 0;
    auto const     mark = [i](bool is) { return std::uint64_t{is} << i; };
    out.letter |= mark(bits & is_letter), out.lower |= mark(bits & is_lower_side), out.digit |= mark(bits & is_number);
    out.space |= mark(bits & is_space), out.blank |= mark(b == ' '), out.line |= mark(b == '\n' || b == '\r');
    out.quote |= mark(b == '\''), out.slash |= mark(b == '/'), out.high |= mark(b >= 0x80);
  }
}

#if defined(__x86_64__)
ascii_classifier const classify_ascii      = choose();
char const* const      classify_ascii_name = classify_ascii == classify_by_avx512 ? "AVX-512"
                                             : classify_ascii == classify_by_avx2 ? "AVX2"
                                                                                  : "table";
#elif defined(__aarch64__)
ascii_classifier const classify_ascii      = classify_by_neon;  // all of them have it
char const* const      classify_ascii_name = "NEON";
#else
ascii_classifier const classify_ascii      = classify_by_table;
char const* const      classify_ascii_name = "table";
#endif

}  // namespace tenon::engine
