#include "engine/text/ascii_masks.hpp"

#include <cstddef>

#include "engine/text/unicode_classes.hpp"

#if defined(__x86_64__)
#  include <immintrin.h>
#endif

namespace tenon::engine {

namespace {

#if defined(__x86_64__)
struct thirty_two {
  std::uint32_t letter, lower, digit, space, high;
};

__attribute__((target("avx2"))) inline thirty_two classify_32(char const* bytes) {
  __m256i const v = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(bytes));
  // b in [first, first + count): as signed bytes, b - first - 128 < count - 128.
  auto const within = [](__m256i b, int first, int count) __attribute__((target("avx2"))) {
    __m256i const moved = _mm256_sub_epi8(b, _mm256_set1_epi8(static_cast<char>(first + 128)));
    return static_cast<std::uint32_t>(
        _mm256_movemask_epi8(_mm256_cmpgt_epi8(_mm256_set1_epi8(static_cast<char>(count - 128)), moved)));
  };
  std::uint32_t const small = within(v, 'a', 26);
  std::uint32_t const blank =
      static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_set1_epi8(' '))));
  return {within(_mm256_or_si256(v, _mm256_set1_epi8(0x20)), 'a', 26), small, within(v, '0', 10),
          within(v, 9, 5) | blank, static_cast<std::uint32_t>(_mm256_movemask_epi8(v))};
}

__attribute__((target("avx2"))) void classify_by_avx2(char const* bytes, ascii_masks& out) {
  thirty_two const a = classify_32(bytes), b = classify_32(bytes + 32);
  auto const       both = [](std::uint32_t x, std::uint32_t y) { return std::uint64_t{y} << 32 | x; };
  out = {both(a.letter, b.letter), both(a.lower, b.lower), both(a.digit, b.digit), both(a.space, b.space),
         both(a.high, b.high)};
}

bool has_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0;
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
    out.space |= mark(bits & is_space), out.high |= mark(b >= 0x80);
  }
}

#if defined(__x86_64__)
ascii_classifier const classify_ascii      = has_avx2() ? classify_by_avx2 : classify_by_table;
char const* const      classify_ascii_name = has_avx2() ? "AVX2" : "table";
#else
ascii_classifier const classify_ascii      = classify_by_table;
char const* const      classify_ascii_name = "table";
#endif

}  // namespace tenon::engine
