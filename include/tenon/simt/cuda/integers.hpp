#pragma once
//  Integer intrinsics (CUDA math API, "Integer intrinsics" and "SIMD intrinsics"), min and max.
#include <bit>
#include <cstdint>
#include <type_traits>

#include <stdlib.h>

namespace tenon::simt::detail {
__extension__ typedef __int128          wide;
__extension__ typedef unsigned __int128 unsigned_wide;
}  // namespace tenon::simt::detail

// ---- bits -----------------------------------------------------------------------------------------------------------

inline int __popc(unsigned v) { return std::popcount(v); }
inline int __popcll(unsigned long long v) { return std::popcount(v); }
inline int __clz(int v) { return std::countl_zero(static_cast<unsigned>(v)); }
inline int __clzll(long long v) { return std::countl_zero(static_cast<unsigned long long>(v)); }
/// The place of the lowest set bit, counted from 1; 0 where there is none.
inline int      __ffs(int v) { return __builtin_ffs(v); }
inline int      __ffsll(long long v) { return __builtin_ffsll(v); }
inline unsigned __brev(unsigned v) {
  v = (v >> 1 & 0x55555555u) | (v & 0x55555555u) << 1;
  v = (v >> 2 & 0x33333333u) | (v & 0x33333333u) << 2;
  v = (v >> 4 & 0x0f0f0f0fu) | (v & 0x0f0f0f0fu) << 4;
  return __builtin_bswap32(v);
}
inline unsigned long long __brevll(unsigned long long v) {
  return static_cast<unsigned long long>(__brev(static_cast<unsigned>(v))) << 32 |
         __brev(static_cast<unsigned>(v >> 32));
}
/// The place of the offset-th set bit of v at or after (before, where offset < 0) bit `base`; ~0 where there is none.
inline unsigned __fns(unsigned v, unsigned base, int offset) {
  if (offset == 0) return v >> base & 1 ? base : ~0u;
  int const step = offset > 0 ? 1 : -1;
  for (int left = offset * step, i = static_cast<int>(base); i >= 0 && i < 32; i += step)
    if ((v >> i & 1) && --left == 0) return static_cast<unsigned>(i);
  return ~0u;
}
/// Four bytes of b:a, chosen by the nibbles of `selector`; a nibble's high bit spreads the chosen byte's sign.
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  std::uint64_t const from = static_cast<std::uint64_t>(b) << 32 | a;
  unsigned            to   = 0;
  for (int i = 0; i < 4; ++i) {
    unsigned const pick = selector >> 4 * i & 15u;
    unsigned       byte = static_cast<unsigned>(from >> 8 * (pick & 7)) & 0xffu;
    if (pick & 8) byte = byte & 0x80 ? 0xffu : 0u;
    to |= byte << 8 * i;
  }
  return to;
}
// hi:lo shifted; the amount modulo 32, or at most 32 in the _lc and _rc forms.
inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned by) {
  return static_cast<unsigned>((static_cast<std::uint64_t>(hi) << 32 | lo) << (by & 31) >> 32);
}
inline unsigned __funnelshift_lc(unsigned lo, unsigned hi, unsigned by) {
  return by >= 32 ? lo : __funnelshift_l(lo, hi, by);
}
inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned by) {
  return static_cast<unsigned>((static_cast<std::uint64_t>(hi) << 32 | lo) >> (by & 31));
}
inline unsigned __funnelshift_rc(unsigned lo, unsigned hi, unsigned by) {
  return by >= 32 ? hi : __funnelshift_r(lo, hi, by);
}

// ---- arithmetic -----------------------------------------------------------------------------------------------------

inline int       __mulhi(int a, int b) { return static_cast<int>(static_cast<long long>(a) * b >> 32); }
inline unsigned  __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(1ull * a * b >> 32); }
inline long long __mul64hi(long long a, long long b) {
  return static_cast<long long>(static_cast<tenon::simt::detail::wide>(a) * b >> 64);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<tenon::simt::detail::unsigned_wide>(a) * b >> 64);
}
/// The low 32 bits of the product of the low 24 bits.
inline int __mul24(int a, int b) {
  auto const low = [](int v) { return static_cast<long long>(static_cast<int>(static_cast<unsigned>(v) << 8) >> 8); };
  return static_cast<int>(low(a) * low(b));
}
inline unsigned __umul24(unsigned a, unsigned b) {
  return static_cast<unsigned>(1ull * (a & 0xffffffu) * (b & 0xffffffu));
}
/// |a - b| + c.
inline unsigned __usad(unsigned a, unsigned b, unsigned c) { return (a > b ? a - b : b - a) + c; }
inline unsigned __sad(int a, int b, unsigned c) {
  return (a > b ? static_cast<unsigned>(a) - static_cast<unsigned>(b)
                : static_cast<unsigned>(b) - static_cast<unsigned>(a)) +
         c;
}
/// (a + b) / 2 without overflow, rounded down; the r forms round up.
inline int      __hadd(int a, int b) { return static_cast<int>((static_cast<long long>(a) + b) >> 1); }
inline int      __rhadd(int a, int b) { return static_cast<int>((static_cast<long long>(a) + b + 1) >> 1); }
inline unsigned __uhadd(unsigned a, unsigned b) { return static_cast<unsigned>((1ull * a + b) >> 1); }
inline unsigned __urhadd(unsigned a, unsigned b) { return static_cast<unsigned>((1ull * a + b + 1) >> 1); }

namespace tenon::simt::detail {

/// Part i of a word of parts as wide as T.
template <class T>
constexpr T part_of(unsigned v, int i) {
  return static_cast<T>(v >> (8 * static_cast<int>(sizeof(T)) * i));
}

/// f(part of a, part of b) for every part.
template <class T, class F>
unsigned for_parts(unsigned a, unsigned b, F f) {
  constexpr int      bits = 8 * static_cast<int>(sizeof(T));
  constexpr unsigned mask = (1u << bits) - 1;
  unsigned           r    = 0;
  for (int i = 0; i < 32 / bits; ++i)
    r |= (static_cast<unsigned>(f(part_of<T>(a, i), part_of<T>(b, i))) & mask) << bits * i;
  return r;
}

template <class T>
int saturated(int v) {
  constexpr int last  = std::is_signed_v<T> ? (1 << (8 * sizeof(T) - 1)) - 1 : (1 << 8 * sizeof(T)) - 1;
  constexpr int first = std::is_signed_v<T> ? -last - 1 : 0;
  return v < first ? first : v > last ? last : v;
}

/// The sum of products of parts, and c.
template <class A, class B, class C>
C dot_parts(unsigned a, unsigned b, C c, int from_b = 0) {
  unsigned sum = static_cast<unsigned>(c);
  for (int i = 0; i < 4 / static_cast<int>(sizeof(A)); ++i)
    sum += static_cast<unsigned>(static_cast<int>(part_of<A>(a, i)) * static_cast<int>(part_of<B>(b, i + from_b)));
  return static_cast<C>(sum);
}

}  // namespace tenon::simt::detail

// c plus the dot product of four bytes, or of two halfwords and two bytes (lo: the first two, hi: the last two).
inline int __dp4a(int a, int b, int c) {
  return tenon::simt::detail::dot_parts<std::int8_t, std::int8_t>(static_cast<unsigned>(a), static_cast<unsigned>(b),
                                                                  c);
}
inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) {
  return tenon::simt::detail::dot_parts<std::uint8_t, std::uint8_t>(a, b, c);
}
inline int __dp2a_lo(int a, int b, int c) {
  return tenon::simt::detail::dot_parts<std::int16_t, std::int8_t>(static_cast<unsigned>(a), static_cast<unsigned>(b),
                                                                   c);
}
inline int __dp2a_hi(int a, int b, int c) {
  return tenon::simt::detail::dot_parts<std::int16_t, std::int8_t>(static_cast<unsigned>(a), static_cast<unsigned>(b),
                                                                   c, 2);
}
inline unsigned __dp2a_lo(unsigned a, unsigned b, unsigned c) {
  return tenon::simt::detail::dot_parts<std::uint16_t, std::uint8_t>(a, b, c);
}
inline unsigned __dp2a_hi(unsigned a, unsigned b, unsigned c) {
  return tenon::simt::detail::dot_parts<std::uint16_t, std::uint8_t>(a, b, c, 2);
}

// ---- two halfwords or four bytes at once: __vadd2, __vadd4, ... -----------------------------------------------------

#define TENON_SIMT_PARTS(NAME, COUNT, T, RESULT)                                                \
  inline unsigned __v##NAME##COUNT(unsigned a, unsigned b) {                                    \
    return tenon::simt::detail::for_parts<T>(a, b, [](int x, int y) -> int { return RESULT; }); \
  }
#define TENON_SIMT_SIGNED(NAME, RESULT)           \
  TENON_SIMT_PARTS(NAME, 2, std::int16_t, RESULT) \
  TENON_SIMT_PARTS(NAME, 4, std::int8_t, RESULT)
#define TENON_SIMT_UNSIGNED(NAME, RESULT)          \
  TENON_SIMT_PARTS(NAME, 2, std::uint16_t, RESULT) \
  TENON_SIMT_PARTS(NAME, 4, std::uint8_t, RESULT)
// clang-format off
TENON_SIMT_UNSIGNED(add, x + y)
TENON_SIMT_UNSIGNED(sub, x - y)
TENON_SIMT_UNSIGNED(minu, x < y ? x : y)
TENON_SIMT_UNSIGNED(maxu, x < y ? y : x)
TENON_SIMT_SIGNED(mins, x < y ? x : y)
TENON_SIMT_SIGNED(maxs, x < y ? y : x)
TENON_SIMT_UNSIGNED(absdiffu, x < y ? y - x : x - y)
TENON_SIMT_SIGNED(absdiffs, x < y ? y - x : x - y)
TENON_SIMT_UNSIGNED(avgu, (x + y + 1) >> 1)
TENON_SIMT_SIGNED(avgs, (x + y + (x + y >= 0)) >> 1)
TENON_SIMT_UNSIGNED(haddu, (x + y) >> 1)
TENON_SIMT_UNSIGNED(cmpeq, x == y ? -1 : 0)
TENON_SIMT_UNSIGNED(cmpne, x != y ? -1 : 0)
TENON_SIMT_UNSIGNED(cmpgtu, x > y ? -1 : 0)
TENON_SIMT_UNSIGNED(cmpgeu, x >= y ? -1 : 0)
TENON_SIMT_UNSIGNED(cmpltu, x < y ? -1 : 0)
TENON_SIMT_UNSIGNED(cmpleu, x <= y ? -1 : 0)
TENON_SIMT_SIGNED(cmpgts, x > y ? -1 : 0)
TENON_SIMT_SIGNED(cmpges, x >= y ? -1 : 0)
TENON_SIMT_SIGNED(cmplts, x < y ? -1 : 0)
TENON_SIMT_SIGNED(cmples, x <= y ? -1 : 0)
TENON_SIMT_UNSIGNED(seteq, x == y)
TENON_SIMT_UNSIGNED(setne, x != y)
TENON_SIMT_PARTS(addss, 2, std::int16_t, tenon::simt::detail::saturated<std::int16_t>(x + y))
TENON_SIMT_PARTS(addss, 4, std::int8_t, tenon::simt::detail::saturated<std::int8_t>(x + y))
TENON_SIMT_PARTS(addus, 2, std::uint16_t, tenon::simt::detail::saturated<std::uint16_t>(x + y))
TENON_SIMT_PARTS(addus, 4, std::uint8_t, tenon::simt::detail::saturated<std::uint8_t>(x + y))
TENON_SIMT_PARTS(subss, 2, std::int16_t, tenon::simt::detail::saturated<std::int16_t>(x - y))
TENON_SIMT_PARTS(subss, 4, std::int8_t, tenon::simt::detail::saturated<std::int8_t>(x - y))
TENON_SIMT_PARTS(subus, 2, std::uint16_t, tenon::simt::detail::saturated<std::uint16_t>(x - y))
TENON_SIMT_PARTS(subus, 4, std::uint8_t, tenon::simt::detail::saturated<std::uint8_t>(x - y))
// clang-format on
#undef TENON_SIMT_SIGNED
#undef TENON_SIMT_UNSIGNED
#undef TENON_SIMT_PARTS
inline unsigned __vneg2(unsigned a) { return __vsub2(0, a); }
inline unsigned __vneg4(unsigned a) { return __vsub4(0, a); }
inline unsigned __vabs2(unsigned a) {
  return tenon::simt::detail::for_parts<std::int16_t>(a, a, [](int x, int) { return x < 0 ? -x : x; });
}
inline unsigned __vabs4(unsigned a) {
  return tenon::simt::detail::for_parts<std::int8_t>(a, a, [](int x, int) { return x < 0 ? -x : x; });
}
inline unsigned __vsadu2(unsigned a, unsigned b) {
  unsigned const d = __vabsdiffu2(a, b);
  return (d & 0xffffu) + (d >> 16);
}
inline unsigned __vsadu4(unsigned a, unsigned b) {
  unsigned const d = __vabsdiffu4(a, b);
  return (d & 0xffu) + (d >> 8 & 0xffu) + (d >> 16 & 0xffu) + (d >> 24);
}

// ---- min and max: CUDA's pairs of types -----------------------------------------------------------------------------

#define TENON_SIMT_MIN_MAX(R, A, B)                                                                                   \
  constexpr R min(A a, B b) { return static_cast<R>(b) < static_cast<R>(a) ? static_cast<R>(b) : static_cast<R>(a); } \
  constexpr R max(A a, B b) { return static_cast<R>(a) < static_cast<R>(b) ? static_cast<R>(b) : static_cast<R>(a); }
// clang-format off
TENON_SIMT_MIN_MAX(int, int, int)
TENON_SIMT_MIN_MAX(unsigned, unsigned, unsigned)
TENON_SIMT_MIN_MAX(unsigned, int, unsigned)
TENON_SIMT_MIN_MAX(unsigned, unsigned, int)
TENON_SIMT_MIN_MAX(long, long, long)
TENON_SIMT_MIN_MAX(unsigned long, unsigned long, unsigned long)
TENON_SIMT_MIN_MAX(unsigned long, long, unsigned long)
TENON_SIMT_MIN_MAX(unsigned long, unsigned long, long)
TENON_SIMT_MIN_MAX(long long, long long, long long)
TENON_SIMT_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
TENON_SIMT_MIN_MAX(unsigned long long, long long, unsigned long long)
TENON_SIMT_MIN_MAX(unsigned long long, unsigned long long, long long)
// clang-format on
#undef TENON_SIMT_MIN_MAX
