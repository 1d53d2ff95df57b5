#pragma once
//  Other forms of the exact GELU, and two with better constants than the usual ones: what each is off by is measured in
//  docs/operators/gelu.md. A model's own form is part of the model (op/activation.hpp); these are for code that may choose.
//
//    gelu_poly_12, gelu_poly_14   max(x, 0) - a Q(u): neither exponential nor division      minimax fits, ours
//    gelu_as_7_1_26               max(x, 0) - a/2 (a1 t + ... + a5 t^5) e^(-a^2/2)          Abramowitz and Stegun,
//                                 t = 1 / (1 + p a / sqrt(2)), a = |x|                      "Handbook of mathematical
//                                                                                           functions", 1964, 7.1.26
//    gelu_tanh_retuned            x/2 (1 + tanh(0.7998 x + 0.0348 x^3))                     constants ours
//    gelu_quick_retuned           x sigmoid(1.773 x)                                        constant ours
//
//  A NaN stays a NaN.
#include <tenon/config.hpp>
#include <tenon/op/activation.hpp>

namespace tenon {

/// a Phi(-a) for a in [0, 5]: the polynomial of degree 12 with root 0 whose largest error is least (Remez), 6.8e-6. In
/// u = 2a/5 - 1 its coefficients stay small; in powers of a itself fp32 would lose three digits.
template <class T>
TENON_HD constexpr T gelu_tail_12(T a) {
  T const u = a * T(0.4) - T(1);
  T       q = T(0.00415581344);
  q         = q * u + T(0.0154180851);
  q         = q * u + T(-0.0561027484);
  q         = q * u + T(-0.0032120693);
  q         = q * u + T(0.145336996);
  q         = q * u + T(-0.139084446);
  q         = q * u + T(-0.059256305);
  q         = q * u + T(0.233994781);
  q         = q * u + T(-0.24048791);
  q         = q * u + T(0.136817289);
  q         = q * u + T(-0.0437885285);
  q         = q * u + T(0.00621068355);
  return a * q;
}

/// The same of degree 14 for a in [0, 5.5], 5.8e-7. At 5 the function is still 1.4e-6, so the interval has to be longer.
template <class T>
TENON_HD constexpr T gelu_tail_14(T a) {
  T const u = a * T(1 / 2.75) - T(1);
  T       q = T(0.0127844505);
  q         = q * u + T(-0.0272474808);
  q         = q * u + T(-0.0279357179);
  q         = q * u + T(0.113911728);
  q         = q * u + T(-0.0477219905);
  q         = q * u + T(-0.151845055);
  q         = q * u + T(0.222454053);
  q         = q * u + T(-0.0546949046);
  q         = q * u + T(-0.177786926);
  q         = q * u + T(0.272343585);
  q         = q * u + T(-0.206768045);
  q         = q * u + T(0.0945350062);
  q         = q * u + T(-0.0250087471);
  q         = q * u + T(0.0029799583);
  return a * q;
}

/// x Phi(x) by a polynomial of degree 12.
TENON_HD constexpr float gelu_poly_12(float x) {
  float const a = x < 0.f ? -x : x;
  return (x < 0.f ? 0.f : x) - (a < 5.f ? gelu_tail_12(a) : 0.f);
}

/// x Phi(x) by a polynomial of degree 14.
TENON_HD constexpr float gelu_poly_14(float x) {
  float const a = x < 0.f ? -x : x;
  return (x < 0.f ? 0.f : x) - (a < 5.5f ? gelu_tail_14(a) : 0.f);
}

/// x Phi(x) by five terms of 7.1.26. Beyond 14 both factors are 0 in fp32.
TENON_HD constexpr float gelu_as_7_1_26(float x) {
  float const m = x < 0.f ? -x : x;
  float const a = m > 14.f ? 14.f : m;
  float const t = 1.f / (1.f + 0.3275911f * 0.70710678f * a);
  float       q = 1.061405429f;
  q             = q * t + -1.453152027f;
  q             = q * t + 1.421413741f;
  q             = q * t + -0.284496736f;
  q             = q * t + 0.254829592f;
  return (x < 0.f ? 0.f : x) - 0.5f * a * (q * t * exponential(-0.5f * (a * a)));
}

/// x/2 (1 + tanh(v)) = x sigmoid(2 v), v = 0.7998 x + 0.0348 x^3
TENON_HD constexpr float gelu_tanh_retuned(float x) {
  return x / (1.f + exponential(-2.f * (0.7998f * x + 0.0348f * (x * x * x))));
}

/// x sigmoid(1.773 x)
TENON_HD constexpr float gelu_quick_retuned(float x) { return x / (1.f + exponential(-1.773f * x)); }

}  // namespace tenon
