#pragma once
//  Floating-point functions of CUDA C++ beside those of <math.h>: intrinsics with a stated rounding, casts, conversions,
//  the special functions that the C library lacks.
//
//  What CUDA only approximates (__expf, __sinf, rsqrtf, ...) is here within an ulp: a test's tolerance must leave room for
//  the device's own error, see the appendix "Mathematical functions" of the programming guide.
#include <tenon/core/bit_cast.hpp>

#include <cfenv>
#include <cmath>
#include <limits>
#include <type_traits>

#include <math.h>
#include <stdlib.h>

namespace tenon::simt::detail {

/// A result of its own, which no later operation is fused with and no change of the rounding mode overtakes.
template <class T>
T alone(T v) {
  T volatile r = v;
  return r;
}

/// f(x...) under a rounding mode of <cfenv>.
template <class F, class... X>
auto rounded(int mode, F f, X... x) {
  int const was = std::fegetround();
  std::fesetround(mode);
  auto const result = alone(f(alone(x)...));
  std::fesetround(was);
  return result;
}

/// Saturates as cvt does; NaN becomes 0, in 64 bits the value with the highest bit alone.
template <class To, class From>
To to_integer(From v, int mode) {
  using limits = std::numeric_limits<To>;
  if (v != v) return sizeof(To) < 8 ? To{0} : static_cast<To>(1ull << 63);
  From const whole = mode == FE_TONEAREST    ? std::nearbyint(v)
                     : mode == FE_TOWARDZERO ? std::trunc(v)
                     : mode == FE_UPWARD     ? std::ceil(v)
                                             : std::floor(v);
  if (whole < static_cast<From>(limits::min())) return limits::min();
  if (whole >= std::ldexp(From{1}, limits::digits)) return limits::max();
  return static_cast<To>(whole);
}

}  // namespace tenon::simt::detail

// ---- one operation, one rounding: nearest even, towards zero, up, down ----------------------------------------------

#define TENON_SIMT_ROUNDINGS(T, NAME, PARAMETERS, ARGUMENTS, RESULT)                                          \
  inline T NAME##_rn PARAMETERS { return tenon::simt::detail::alone<T>(RESULT); }                             \
  inline T NAME##_rz PARAMETERS { return tenon::simt::detail::rounded(FE_TOWARDZERO, NAME##_rn, ARGUMENTS); } \
  inline T NAME##_ru PARAMETERS { return tenon::simt::detail::rounded(FE_UPWARD, NAME##_rn, ARGUMENTS); }     \
  inline T NAME##_rd PARAMETERS { return tenon::simt::detail::rounded(FE_DOWNWARD, NAME##_rn, ARGUMENTS); }
#define TENON_SIMT_TWO a, b
#define TENON_SIMT_THREE a, b, c
// clang-format off
TENON_SIMT_ROUNDINGS(float, __fadd, (float a, float b), TENON_SIMT_TWO, a + b)
TENON_SIMT_ROUNDINGS(float, __fsub, (float a, float b), TENON_SIMT_TWO, a - b)
TENON_SIMT_ROUNDINGS(float, __fmul, (float a, float b), TENON_SIMT_TWO, a * b)
TENON_SIMT_ROUNDINGS(float, __fdiv, (float a, float b), TENON_SIMT_TWO, a / b)
TENON_SIMT_ROUNDINGS(float, __fmaf, (float a, float b, float c), TENON_SIMT_THREE, std::fma(a, b, c))
TENON_SIMT_ROUNDINGS(float, __frcp, (float a), a, 1.0f / a)
TENON_SIMT_ROUNDINGS(float, __fsqrt, (float a), a, std::sqrt(a))
TENON_SIMT_ROUNDINGS(double, __dadd, (double a, double b), TENON_SIMT_TWO, a + b)
TENON_SIMT_ROUNDINGS(double, __dsub, (double a, double b), TENON_SIMT_TWO, a - b)
TENON_SIMT_ROUNDINGS(double, __dmul, (double a, double b), TENON_SIMT_TWO, a * b)
TENON_SIMT_ROUNDINGS(double, __ddiv, (double a, double b), TENON_SIMT_TWO, a / b)
TENON_SIMT_ROUNDINGS(double, __fma, (double a, double b, double c), TENON_SIMT_THREE, std::fma(a, b, c))
TENON_SIMT_ROUNDINGS(double, __drcp, (double a), a, 1.0 / a)
TENON_SIMT_ROUNDINGS(double, __dsqrt, (double a), a, std::sqrt(a))
// clang-format on
#undef TENON_SIMT_ROUNDINGS
#undef TENON_SIMT_TWO
#undef TENON_SIMT_THREE

// ---- conversions and casts ------------------------------------------------------------------------------------------

#define TENON_SIMT_TO_INTEGER(FROM_NAME, FROM, TO_NAME, TO)                                                          \
  inline TO __##FROM_NAME##2##TO_NAME##_rn(FROM v) { return tenon::simt::detail::to_integer<TO>(v, FE_TONEAREST); }  \
  inline TO __##FROM_NAME##2##TO_NAME##_rz(FROM v) { return tenon::simt::detail::to_integer<TO>(v, FE_TOWARDZERO); } \
  inline TO __##FROM_NAME##2##TO_NAME##_ru(FROM v) { return tenon::simt::detail::to_integer<TO>(v, FE_UPWARD); }     \
  inline TO __##FROM_NAME##2##TO_NAME##_rd(FROM v) { return tenon::simt::detail::to_integer<TO>(v, FE_DOWNWARD); }
#define TENON_SIMT_NARROWED(FROM_NAME, FROM, TO_NAME, TO, MODE_NAME, MODE) \
  inline TO __##FROM_NAME##2##TO_NAME##_##MODE_NAME(FROM v) {              \
    return tenon::simt::detail::rounded(                                   \
        MODE, [](FROM x) -> TO { return static_cast<TO>(x); }, v);         \
  }
#define TENON_SIMT_TO_FLOAT(FROM_NAME, FROM, TO_NAME, TO)              \
  TENON_SIMT_NARROWED(FROM_NAME, FROM, TO_NAME, TO, rn, FE_TONEAREST)  \
  TENON_SIMT_NARROWED(FROM_NAME, FROM, TO_NAME, TO, rz, FE_TOWARDZERO) \
  TENON_SIMT_NARROWED(FROM_NAME, FROM, TO_NAME, TO, ru, FE_UPWARD)     \
  TENON_SIMT_NARROWED(FROM_NAME, FROM, TO_NAME, TO, rd, FE_DOWNWARD)
// clang-format off
TENON_SIMT_TO_INTEGER(float, float, int, int)
TENON_SIMT_TO_INTEGER(float, float, uint, unsigned)
TENON_SIMT_TO_INTEGER(float, float, ll, long long)
TENON_SIMT_TO_INTEGER(float, float, ull, unsigned long long)
TENON_SIMT_TO_INTEGER(double, double, int, int)
TENON_SIMT_TO_INTEGER(double, double, uint, unsigned)
TENON_SIMT_TO_INTEGER(double, double, ll, long long)
TENON_SIMT_TO_INTEGER(double, double, ull, unsigned long long)
TENON_SIMT_TO_FLOAT(int, int, float, float)
TENON_SIMT_TO_FLOAT(uint, unsigned, float, float)
TENON_SIMT_TO_FLOAT(ll, long long, float, float)
TENON_SIMT_TO_FLOAT(ull, unsigned long long, float, float)
TENON_SIMT_TO_FLOAT(ll, long long, double, double)
TENON_SIMT_TO_FLOAT(ull, unsigned long long, double, double)
TENON_SIMT_TO_FLOAT(double, double, float, float)
inline double __int2double_rn(int v) { return v; }
inline double __uint2double_rn(unsigned v) { return v; }

inline int       __float_as_int(float v)            { return tenon::bit_cast<int>(v); }
inline unsigned  __float_as_uint(float v)           { return tenon::bit_cast<unsigned>(v); }
inline float     __int_as_float(int v)              { return tenon::bit_cast<float>(v); }
inline float     __uint_as_float(unsigned v)        { return tenon::bit_cast<float>(v); }
inline long long __double_as_longlong(double v)     { return tenon::bit_cast<long long>(v); }
inline double    __longlong_as_double(long long v)  { return tenon::bit_cast<double>(v); }
inline int       __double2loint(double v)           { return static_cast<int>(tenon::bit_cast<long long>(v)); }
inline int       __double2hiint(double v)           { return static_cast<int>(tenon::bit_cast<long long>(v) >> 32); }
inline double    __hiloint2double(int hi, int lo) {
  return tenon::bit_cast<double>(static_cast<long long>(hi) * (1ll << 32) + static_cast<unsigned>(lo));
}

// ---- approximations on a device -------------------------------------------------------------------------------------

// Some C libraries declare these names, for float and noexcept.
inline float __expf(float v) noexcept             { return std::exp(v); }
inline float __exp10f(float v) noexcept           { return static_cast<float>(std::pow(10.0, v)); }
inline float __logf(float v) noexcept             { return std::log(v); }
inline float __log2f(float v) noexcept            { return std::log2(v); }
inline float __log10f(float v) noexcept           { return std::log10(v); }
inline float __sinf(float v) noexcept             { return std::sin(v); }
inline float __cosf(float v) noexcept             { return std::cos(v); }
inline float __tanf(float v) noexcept             { return std::tan(v); }
inline float __tanhf(float v) noexcept            { return std::tanh(v); }
inline float __powf(float a, float b) noexcept    { return std::pow(a, b); }
inline void  __sincosf(float v, float* sine, float* cosine) noexcept { *sine = std::sin(v), *cosine = std::cos(v); }
inline float __fdividef(float a, float b) { return a / b; }
inline float fdividef(float a, float b)   { return a / b; }
/// Into [0, 1]; NaN becomes 0.
inline float  __saturatef(float v)        { return v > 0 ? v < 1 ? v : 1.0f : 0.0f; }
inline float  __frsqrt_rn(float v)        { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(v))); }
inline float  rsqrtf(float v) noexcept    { return 1.0f / std::sqrt(v); }
inline double rsqrt(double v) noexcept    { return 1.0 / std::sqrt(v); }
inline float  rsqrt(float v) noexcept     { return rsqrtf(v); }
inline float  rcbrtf(float v)             { return 1.0f / std::cbrt(v); }
inline double rcbrt(double v)             { return 1.0 / std::cbrt(v); }

// ---- what <math.h> lacks --------------------------------------------------------------------------------------------

inline float  norm3df(float a, float b, float c)            { return std::hypot(a, b, c); }
inline double norm3d(double a, double b, double c)          { return std::hypot(a, b, c); }
inline float  norm4df(float a, float b, float c, float d)   { return std::hypot(std::hypot(a, b), std::hypot(c, d)); }
inline double norm4d(double a, double b, double c, double d){ return std::hypot(std::hypot(a, b), std::hypot(c, d)); }
inline float  rhypotf(float a, float b)                     { return 1.0f / std::hypot(a, b); }
inline double rhypot(double a, double b)                    { return 1.0 / std::hypot(a, b); }
inline float  rnorm3df(float a, float b, float c)           { return 1.0f / std::hypot(a, b, c); }
inline float  rnorm4df(float a, float b, float c, float d)  { return 1.0f / norm4df(a, b, c, d); }
inline double normcdf(double v)                             { return 0.5 * std::erfc(-v * 0.70710678118654752440); }
inline float  normcdff(float v)                             { return static_cast<float>(normcdf(v)); }
inline double erfcx(double v)                               { return std::exp(v * v) * std::erfc(v); }
inline float  erfcxf(float v)                               { return static_cast<float>(erfcx(v)); }
// clang-format on
#undef TENON_SIMT_TO_INTEGER
#undef TENON_SIMT_TO_FLOAT
#undef TENON_SIMT_NARROWED

namespace tenon::simt::detail {

/// sin(pi v) where `quarter` is 0, cos(pi v) where it is 1: exact at multiples of a half.
inline double sine_of_pi(double v, int quarter) {
  double const reduced = v - 2 * std::nearbyint(v / 2);  // in [-1, 1], exact
  double const halves = std::nearbyint(2 * reduced), rest = (reduced - halves / 2) * 3.14159265358979323846;
  switch ((static_cast<int>(halves) + quarter) & 3) {
    case 0: return std::sin(rest);
    case 1: return std::cos(rest);
    case 2: return -std::sin(rest);
    default: return -std::cos(rest);
  }
}

}  // namespace tenon::simt::detail

// clang-format off
inline double sinpi(double v) noexcept { return std::isfinite(v) ? tenon::simt::detail::sine_of_pi(v, 0) : v - v; }
inline double cospi(double v) noexcept { return std::isfinite(v) ? tenon::simt::detail::sine_of_pi(v, 1) : v - v; }
inline float  sinpif(float v) noexcept { return static_cast<float>(sinpi(static_cast<double>(v))); }
inline float  cospif(float v) noexcept { return static_cast<float>(cospi(static_cast<double>(v))); }
inline void   sincospif(float v, float* sine, float* cosine)    { *sine = sinpif(v), *cosine = cospif(v); }
inline void   sincospi(double v, double* sine, double* cosine)  { *sine = sinpi(v), *cosine = cospi(v); }

// The other operand where one is NaN.
inline float  min(float a, float b)   { return std::fmin(a, b); }
inline float  max(float a, float b)   { return std::fmax(a, b); }
inline double min(double a, double b) { return std::fmin(a, b); }
inline double max(double a, double b) { return std::fmax(a, b); }
inline double min(float a, double b)  { return std::fmin(a, b); }
inline double max(float a, double b)  { return std::fmax(a, b); }
inline double min(double a, float b)  { return std::fmin(a, b); }
inline double max(double a, float b)  { return std::fmax(a, b); }
// clang-format on
