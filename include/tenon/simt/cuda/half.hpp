#pragma once
//  __half and __nv_bfloat16, alone and in pairs, with the names of cuda_fp16.h and cuda_bf16.h. Every arithmetic operation is
//  rounded once, to nearest even, subnormals included; what an operation makes of NaN is the canonical 0x7fff.
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/simt/cuda/math.hpp>
#include <tenon/simt/cuda/vector_types.hpp>

#include <cfenv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>

namespace tenon::simt::detail {

/// v, given that the exact value is v + rest, rounded to odd: a second rounding to fewer bits is then the only one.
template <class T, class Bits>
T to_odd(T v, T rest) {
  auto const bits = bit_cast<Bits>(v);
  if (rest == 0 || !std::isfinite(v) || (bits & 1)) return v;
  return bit_cast<T>(static_cast<Bits>((rest > 0) == (v > 0) ? bits + 1 : bits - 1));
}

/// a + b rounded to odd (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
inline double odd_sum(double a, double b) {
  double const s = a + b, t = s - a;
  return to_odd<double, std::uint64_t>(s, (a - (s - t)) + (b - t));
}
template <std::integral T>
double odd_double(T v) {
  if constexpr (sizeof(T) < 8) {
    return v;
  } else {
    if (v < T{1} << 53 && (std::is_unsigned_v<T> || v > -(T{1} << 52))) return static_cast<double>(v);
    return 2048.0 * static_cast<double>(v >> 11 | T{(v & 2047) != 0});
  }
}

struct half_format {
  static std::uint16_t           bits(float v) { return f16(v).bits; }
  static float                   value(std::uint16_t b) { return static_cast<float>(bit_cast<f16>(b)); }
  static constexpr std::uint16_t infinity = 0x7c00;
};
struct bfloat16_format {
  static std::uint16_t           bits(float v) { return bf16(v).bits; }
  static float                   value(std::uint16_t b) { return bit_cast<float>(std::uint32_t{b} << 16); }
  static constexpr std::uint16_t infinity = 0x7f80;
};

/// v in the format F by one rounding of a mode of <cfenv>.
template <class F>
std::uint16_t narrowed(double v, int mode = FE_TONEAREST) {
  if (v != v) return 0x7fff;
  auto const          nearest = static_cast<float>(v);
  std::uint16_t const bits    = F::bits(to_odd<float, std::uint32_t>(nearest, static_cast<float>(v - nearest)));
  double const        got     = F::value(bits);
  bool const          above = got > v, below = got < v, negative = v < 0;
  if (mode == FE_TOWARDZERO && (negative ? below : above)) return static_cast<std::uint16_t>(bits - 1);
  if (mode == FE_UPWARD && below) return static_cast<std::uint16_t>(negative ? bits - 1 : bits + 1);
  if (mode == FE_DOWNWARD && above) return static_cast<std::uint16_t>(negative ? bits + 1 : bits - 1);
  return bits;
}

template <class F>
struct raw_half {
  unsigned short x;
};

template <class F>
struct half_number {
  std::uint16_t bits;

  half_number() = default;
  template <class T>
  requires(std::is_floating_point_v<T>) half_number(T v) : bits(narrowed<F>(static_cast<double>(v))) {}
  template <std::integral T>
  half_number(T v) : bits(narrowed<F>(odd_double(v))) {}
  half_number(raw_half<F> r) : bits(r.x) {}
  template <class G>
  requires(!std::is_same_v<F, G>) explicit half_number(half_number<G> v) : half_number(static_cast<float>(v)) {}

  static half_number from_bits(unsigned b) { return raw_half<F>{static_cast<unsigned short>(b)}; }

  operator float() const { return F::value(bits); }
  operator raw_half<F>() const { return {bits}; }
  template <std::integral T>
  operator T() const {
    if constexpr (std::is_same_v<T, bool>) return (bits & 0x7fff) != 0;
    else return to_integer<T>(F::value(bits), FE_TOWARDZERO);
  }

  using format    = F;
  using half_type = half_number;

  bool nan() const { return (bits & 0x7fff) > F::infinity; }

  // clang-format off
  friend half_number __hadd(half_type a, half_type b) { return odd_sum(F::value(a.bits), F::value(b.bits)); }
  friend half_number __hsub(half_type a, half_type b) { return odd_sum(F::value(a.bits), -F::value(b.bits)); }
  friend half_number __hmul(half_type a, half_type b) { return static_cast<double>(F::value(a.bits)) * F::value(b.bits); }
  friend half_number __hdiv(half_type a, half_type b) { return static_cast<double>(F::value(a.bits)) / F::value(b.bits); }
  friend half_number __hfma(half_type a, half_type b, half_type c) {
    return odd_sum(static_cast<double>(F::value(a.bits)) * F::value(b.bits), F::value(c.bits));
  }
  friend half_number __hadd_rn(half_type a, half_type b)  { return __hadd(a, b); }
  friend half_number __hsub_rn(half_type a, half_type b)  { return __hsub(a, b); }
  friend half_number __hmul_rn(half_type a, half_type b)  { return __hmul(a, b); }
  friend half_number saturated_half(half_type v)          { return __saturatef(F::value(v.bits)); }
  friend half_number __hadd_sat(half_type a, half_type b) { return saturated_half(__hadd(a, b)); }
  friend half_number __hsub_sat(half_type a, half_type b) { return saturated_half(__hsub(a, b)); }
  friend half_number __hmul_sat(half_type a, half_type b) { return saturated_half(__hmul(a, b)); }
  friend half_number __hfma_sat(half_type a, half_type b, half_type c)  { return saturated_half(__hfma(a, b, c)); }
  friend half_number __hfma_relu(half_type a, half_type b, half_type c) {
    half_number const r = __hfma(a, b, c);
    return r.nan() || !(r.bits & 0x8000) ? r : from_bits(0);
  }
  friend half_number __hneg(half_type a) { return a.nan() ? from_bits(0x7fff) : from_bits(a.bits ^ 0x8000u); }
  friend half_number __habs(half_type a) { return a.nan() ? from_bits(0x7fff) : from_bits(a.bits & 0x7fffu); }
  // The other operand where one is NaN; -0 is less than 0.
  friend half_number __hmax(half_type a, half_type b) {
    if (a.nan()) return b.nan() ? from_bits(0x7fff) : b;
    if (b.nan()) return a;
    float const x = F::value(a.bits), y = F::value(b.bits);
    return x > y || (x == y && !(a.bits & 0x8000)) ? a : b;
  }
  friend half_number __hmin(half_type a, half_type b) {
    if (a.nan()) return b.nan() ? from_bits(0x7fff) : b;
    if (b.nan()) return a;
    float const x = F::value(a.bits), y = F::value(b.bits);
    return x < y || (x == y && (a.bits & 0x8000)) ? a : b;
  }
  friend half_number __hmax_nan(half_type a, half_type b) { return a.nan() || b.nan() ? from_bits(0x7fff) : __hmax(a, b); }
  friend half_number __hmin_nan(half_type a, half_type b) { return a.nan() || b.nan() ? from_bits(0x7fff) : __hmin(a, b); }

  friend bool __hisnan(half_type a) { return a.nan(); }
  friend int  __hisinf(half_type a) { return (a.bits & 0x7fff) != F::infinity ? 0 : a.bits & 0x8000 ? -1 : 1; }
  // False where one is NaN; the u forms are true then.
  friend bool __heq(half_type a, half_type b)  { return F::value(a.bits) == F::value(b.bits); }
  friend bool __hne(half_type a, half_type b)  { return F::value(a.bits) < F::value(b.bits) || F::value(a.bits) > F::value(b.bits); }
  friend bool __hlt(half_type a, half_type b)  { return F::value(a.bits) < F::value(b.bits); }
  friend bool __hle(half_type a, half_type b)  { return F::value(a.bits) <= F::value(b.bits); }
  friend bool __hgt(half_type a, half_type b)  { return F::value(a.bits) > F::value(b.bits); }
  friend bool __hge(half_type a, half_type b)  { return F::value(a.bits) >= F::value(b.bits); }
  friend bool __hequ(half_type a, half_type b) { return !__hne(a, b); }
  friend bool __hneu(half_type a, half_type b) { return !__heq(a, b); }
  friend bool __hltu(half_type a, half_type b) { return !__hge(a, b); }
  friend bool __hleu(half_type a, half_type b) { return !__hgt(a, b); }
  friend bool __hgtu(half_type a, half_type b) { return !__hle(a, b); }
  friend bool __hgeu(half_type a, half_type b) { return !__hlt(a, b); }

  // A device approximates the transcendental ones.
  friend half_number hsqrt(half_type a)  { return std::sqrt(static_cast<double>(F::value(a.bits))); }
  friend half_number hrsqrt(half_type a) { return 1.0 / std::sqrt(static_cast<double>(F::value(a.bits))); }
  friend half_number hrcp(half_type a)   { return 1.0 / static_cast<double>(F::value(a.bits)); }
  friend half_number hexp(half_type a)   { return std::exp(static_cast<double>(F::value(a.bits))); }
  friend half_number hexp2(half_type a)  { return std::exp2(static_cast<double>(F::value(a.bits))); }
  friend half_number hexp10(half_type a) { return std::pow(10.0, static_cast<double>(F::value(a.bits))); }
  friend half_number hlog(half_type a)   { return std::log(static_cast<double>(F::value(a.bits))); }
  friend half_number hlog2(half_type a)  { return std::log2(static_cast<double>(F::value(a.bits))); }
  friend half_number hlog10(half_type a) { return std::log10(static_cast<double>(F::value(a.bits))); }
  friend half_number hsin(half_type a)   { return std::sin(static_cast<double>(F::value(a.bits))); }
  friend half_number hcos(half_type a)   { return std::cos(static_cast<double>(F::value(a.bits))); }
  friend half_number htanh(half_type a)  { return std::tanh(static_cast<double>(F::value(a.bits))); }
  friend half_number hfloor(half_type a) { return std::floor(F::value(a.bits)); }
  friend half_number hceil(half_type a)  { return std::ceil(F::value(a.bits)); }
  friend half_number htrunc(half_type a) { return std::trunc(F::value(a.bits)); }
  friend half_number hrint(half_type a)  { return std::nearbyint(F::value(a.bits)); }

  friend half_number operator+(half_type a, half_type b) { return __hadd(a, b); }
  friend half_number operator-(half_type a, half_type b) { return __hsub(a, b); }
  friend half_number operator*(half_type a, half_type b) { return __hmul(a, b); }
  friend half_number operator/(half_type a, half_type b) { return __hdiv(a, b); }
  friend half_number operator-(half_type a) { return __hneg(a); }
  friend half_number operator+(half_type a) { return a; }
  friend bool operator==(half_type a, half_type b) { return __heq(a, b); }
  friend bool operator!=(half_type a, half_type b) { return __hneu(a, b); }
  friend bool operator<(half_type a, half_type b)  { return __hlt(a, b); }
  friend bool operator<=(half_type a, half_type b) { return __hle(a, b); }
  friend bool operator>(half_type a, half_type b)  { return __hgt(a, b); }
  friend bool operator>=(half_type a, half_type b) { return __hge(a, b); }
  half_number& operator+=(half_type b) { return *this = *this + b; }
  half_number& operator-=(half_type b) { return *this = *this - b; }
  half_number& operator*=(half_type b) { return *this = *this * b; }
  half_number& operator/=(half_type b) { return *this = *this / b; }
  half_number& operator++() { return *this += half_number(1.0f); }
  half_number& operator--() { return *this -= half_number(1.0f); }
  half_number operator++(int) { half_number const was = *this; ++*this; return was; }
  half_number operator--(int) { half_number const was = *this; --*this; return was; }
  // clang-format on
};

template <class F>
struct alignas(4) half_pair {
  half_number<F> x, y;

  half_pair() = default;
  half_pair(half_number<F> low, half_number<F> high) : x(low), y(high) {}

  using pair_type = half_pair;

  static half_number<F> truth(bool v) { return half_number<F>(v ? 1.0f : 0.0f); }

// Each names a function of pairs and the one of numbers that it is made of.
#define TENON_SIMT_UNARY(NAME, OF) \
  friend half_pair NAME(pair_type a) { return {OF(a.x), OF(a.y)}; }
#define TENON_SIMT_BINARY(NAME, OF) \
  friend half_pair NAME(pair_type a, pair_type b) { return {OF(a.x, b.x), OF(a.y, b.y)}; }
#define TENON_SIMT_TERNARY(NAME, OF) \
  friend half_pair NAME(pair_type a, pair_type b, pair_type c) { return {OF(a.x, b.x, c.x), OF(a.y, b.y, c.y)}; }
#define TENON_SIMT_COMPARISON(NAME)                                                                              \
  friend half_pair __h##NAME##2(pair_type a, pair_type b) {                                                      \
    return {truth(__h##NAME(a.x, b.x)), truth(__h##NAME(a.y, b.y))};                                             \
  }                                                                                                              \
  friend bool     __hb##NAME##2(pair_type a, pair_type b) { return __h##NAME(a.x, b.x) && __h##NAME(a.y, b.y); } \
  friend unsigned __h##NAME##2_mask(pair_type a, pair_type b) {                                                  \
    return (__h##NAME(a.x, b.x) ? 0xffffu : 0u) | (__h##NAME(a.y, b.y) ? 0xffff0000u : 0u);                      \
  }
  // clang-format off
  TENON_SIMT_BINARY(__hadd2, __hadd)
  TENON_SIMT_BINARY(__hsub2, __hsub)
  TENON_SIMT_BINARY(__hmul2, __hmul)
  TENON_SIMT_BINARY(__hadd2_rn, __hadd)
  TENON_SIMT_BINARY(__hsub2_rn, __hsub)
  TENON_SIMT_BINARY(__hmul2_rn, __hmul)
  TENON_SIMT_BINARY(__hadd2_sat, __hadd_sat)
  TENON_SIMT_BINARY(__hsub2_sat, __hsub_sat)
  TENON_SIMT_BINARY(__hmul2_sat, __hmul_sat)
  TENON_SIMT_BINARY(__h2div, __hdiv)
  TENON_SIMT_BINARY(__hmax2, __hmax)
  TENON_SIMT_BINARY(__hmin2, __hmin)
  TENON_SIMT_BINARY(__hmax2_nan, __hmax_nan)
  TENON_SIMT_BINARY(__hmin2_nan, __hmin_nan)
  TENON_SIMT_TERNARY(__hfma2, __hfma)
  TENON_SIMT_TERNARY(__hfma2_sat, __hfma_sat)
  TENON_SIMT_TERNARY(__hfma2_relu, __hfma_relu)
  TENON_SIMT_UNARY(__hneg2, __hneg)
  TENON_SIMT_UNARY(__habs2, __habs)
  TENON_SIMT_UNARY(h2sqrt, hsqrt)
  TENON_SIMT_UNARY(h2rsqrt, hrsqrt)
  TENON_SIMT_UNARY(h2rcp, hrcp)
  TENON_SIMT_UNARY(h2exp, hexp)
  TENON_SIMT_UNARY(h2exp2, hexp2)
  TENON_SIMT_UNARY(h2exp10, hexp10)
  TENON_SIMT_UNARY(h2log, hlog)
  TENON_SIMT_UNARY(h2log2, hlog2)
  TENON_SIMT_UNARY(h2log10, hlog10)
  TENON_SIMT_UNARY(h2sin, hsin)
  TENON_SIMT_UNARY(h2cos, hcos)
  TENON_SIMT_UNARY(h2tanh, htanh)
  TENON_SIMT_UNARY(h2floor, hfloor)
  TENON_SIMT_UNARY(h2ceil, hceil)
  TENON_SIMT_UNARY(h2trunc, htrunc)
  TENON_SIMT_UNARY(h2rint, hrint)
  TENON_SIMT_COMPARISON(eq)
  TENON_SIMT_COMPARISON(ne)
  TENON_SIMT_COMPARISON(lt)
  TENON_SIMT_COMPARISON(le)
  TENON_SIMT_COMPARISON(gt)
  TENON_SIMT_COMPARISON(ge)
  TENON_SIMT_COMPARISON(equ)
  TENON_SIMT_COMPARISON(neu)
  TENON_SIMT_COMPARISON(ltu)
  TENON_SIMT_COMPARISON(leu)
  TENON_SIMT_COMPARISON(gtu)
  TENON_SIMT_COMPARISON(geu)
#undef TENON_SIMT_UNARY
#undef TENON_SIMT_BINARY
#undef TENON_SIMT_TERNARY
#undef TENON_SIMT_COMPARISON
  friend half_pair __hisnan2(pair_type a) { return {truth(a.x.nan()), truth(a.y.nan())}; }

  friend half_pair operator+(pair_type a, pair_type b) { return __hadd2(a, b); }
  friend half_pair operator-(pair_type a, pair_type b) { return __hsub2(a, b); }
  friend half_pair operator*(pair_type a, pair_type b) { return __hmul2(a, b); }
  friend half_pair operator/(pair_type a, pair_type b) { return __h2div(a, b); }
  friend half_pair operator-(pair_type a) { return __hneg2(a); }
  friend half_pair operator+(pair_type a) { return a; }
  friend bool operator==(pair_type a, pair_type b) { return __hbeq2(a, b); }
  friend bool operator!=(pair_type a, pair_type b) { return __hbneu2(a, b); }
  friend bool operator<(pair_type a, pair_type b)  { return __hblt2(a, b); }
  friend bool operator<=(pair_type a, pair_type b) { return __hble2(a, b); }
  friend bool operator>(pair_type a, pair_type b)  { return __hbgt2(a, b); }
  friend bool operator>=(pair_type a, pair_type b) { return __hbge2(a, b); }
  half_pair& operator+=(pair_type b) { return *this = *this + b; }
  half_pair& operator-=(pair_type b) { return *this = *this - b; }
  half_pair& operator*=(pair_type b) { return *this = *this * b; }
  half_pair& operator/=(pair_type b) { return *this = *this / b; }
  // clang-format on

  friend float     __low2float(pair_type a) { return a.x; }
  friend float     __high2float(pair_type a) { return a.y; }
  friend half_pair __lowhigh2highlow(pair_type a) { return {a.y, a.x}; }
};

template <class T>
inline constexpr bool is_half = false;
template <class F>
inline constexpr bool is_half<half_number<F>> = true;
template <class F>
inline constexpr bool is_half<half_pair<F>> = true;

}  // namespace tenon::simt::detail

using __half            = tenon::simt::detail::half_number<tenon::simt::detail::half_format>;
using __half2           = tenon::simt::detail::half_pair<tenon::simt::detail::half_format>;
using __half_raw        = tenon::simt::detail::raw_half<tenon::simt::detail::half_format>;
using half              = __half;
using half2             = __half2;
using nv_half           = __half;
using nv_half2          = __half2;
using __nv_bfloat16     = tenon::simt::detail::half_number<tenon::simt::detail::bfloat16_format>;
using __nv_bfloat162    = tenon::simt::detail::half_pair<tenon::simt::detail::bfloat16_format>;
using __nv_bfloat16_raw = tenon::simt::detail::raw_half<tenon::simt::detail::bfloat16_format>;
using nv_bfloat16       = __nv_bfloat16;
using nv_bfloat162      = __nv_bfloat162;
static_assert(sizeof(__half) == 2 && sizeof(__half2) == 4 && alignof(__half2) == 4);
static_assert(std::is_trivially_copyable_v<__half2> && std::is_trivially_default_constructible_v<__half2>);

#define TENON_SIMT_HALF_INTEGER(NAME, TYPE, OTHER, T)                                                                 \
  inline T    __##NAME##2##OTHER##_rn(TYPE v) { return tenon::simt::detail::to_integer<T>(float(v), FE_TONEAREST); }  \
  inline T    __##NAME##2##OTHER##_rz(TYPE v) { return tenon::simt::detail::to_integer<T>(float(v), FE_TOWARDZERO); } \
  inline T    __##NAME##2##OTHER##_ru(TYPE v) { return tenon::simt::detail::to_integer<T>(float(v), FE_UPWARD); }     \
  inline T    __##NAME##2##OTHER##_rd(TYPE v) { return tenon::simt::detail::to_integer<T>(float(v), FE_DOWNWARD); }   \
  inline TYPE __##OTHER##2##NAME##_rn(T v) { return v; }                                                              \
  TENON_SIMT_TO_HALF(__##OTHER##2##NAME, TYPE, T, tenon::simt::detail::odd_double(v))
#define TENON_SIMT_TO_HALF(NAME, TYPE, T, VALUE)                                               \
  inline TYPE NAME##_rz(T v) {                                                                 \
    return TYPE::from_bits(tenon::simt::detail::narrowed<TYPE::format>(VALUE, FE_TOWARDZERO)); \
  }                                                                                            \
  inline TYPE NAME##_ru(T v) {                                                                 \
    return TYPE::from_bits(tenon::simt::detail::narrowed<TYPE::format>(VALUE, FE_UPWARD));     \
  }                                                                                            \
  inline TYPE NAME##_rd(T v) {                                                                 \
    return TYPE::from_bits(tenon::simt::detail::narrowed<TYPE::format>(VALUE, FE_DOWNWARD));   \
  }
#define TENON_SIMT_HALF(NAME, TYPE, PAIR)                                                                      \
  inline TYPE __float2##NAME(float v) { return v; }                                                            \
  inline TYPE __float2##NAME##_rn(float v) { return v; }                                                       \
  TENON_SIMT_TO_HALF(__float2##NAME, TYPE, float, v)                                                           \
  inline TYPE           __double2##NAME(double v) { return v; }                                                \
  inline float          __##NAME##2float(TYPE v) { return v; }                                                 \
  inline PAIR           __float2##NAME##2_rn(float v) { return {v, v}; }                                       \
  inline PAIR           __floats2##NAME##2_rn(float low, float high) { return {low, high}; }                   \
  inline PAIR           __float22##NAME##2_rn(float2 v) { return {v.x, v.y}; }                                 \
  inline float2         __##NAME##22float2(PAIR v) { return {v.x, v.y}; }                                      \
  inline PAIR           __halves2##NAME##2(TYPE low, TYPE high) { return {low, high}; }                        \
  inline PAIR           make_##NAME##2(TYPE low, TYPE high) { return {low, high}; }                            \
  inline PAIR           __##NAME##2##NAME##2(TYPE v) { return {v, v}; }                                        \
  inline TYPE           __low2##NAME(PAIR v) { return v.x; }                                                   \
  inline TYPE           __high2##NAME(PAIR v) { return v.y; }                                                  \
  inline PAIR           __low2##NAME##2(PAIR v) { return {v.x, v.x}; }                                         \
  inline PAIR           __high2##NAME##2(PAIR v) { return {v.y, v.y}; }                                        \
  inline PAIR           __lows2##NAME##2(PAIR a, PAIR b) { return {a.x, b.x}; }                                \
  inline PAIR           __highs2##NAME##2(PAIR a, PAIR b) { return {a.y, b.y}; }                               \
  inline short          __##NAME##_as_short(TYPE v) { return static_cast<short>(v.bits); }                     \
  inline unsigned short __##NAME##_as_ushort(TYPE v) { return v.bits; }                                        \
  inline TYPE           __short_as_##NAME(short v) { return TYPE::from_bits(static_cast<unsigned short>(v)); } \
  inline TYPE           __ushort_as_##NAME(unsigned short v) { return TYPE::from_bits(v); }                    \
  TENON_SIMT_HALF_INTEGER(NAME, TYPE, int, int)                                                                \
  TENON_SIMT_HALF_INTEGER(NAME, TYPE, uint, unsigned)                                                          \
  TENON_SIMT_HALF_INTEGER(NAME, TYPE, short, short)                                                            \
  TENON_SIMT_HALF_INTEGER(NAME, TYPE, ushort, unsigned short)                                                  \
  TENON_SIMT_HALF_INTEGER(NAME, TYPE, ll, long long)                                                           \
  TENON_SIMT_HALF_INTEGER(NAME, TYPE, ull, unsigned long long)
TENON_SIMT_HALF(half, __half, __half2)
TENON_SIMT_HALF(bfloat16, __nv_bfloat16, __nv_bfloat162)
#undef TENON_SIMT_HALF
#undef TENON_SIMT_HALF_INTEGER
#undef TENON_SIMT_TO_HALF
