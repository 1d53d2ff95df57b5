#pragma once
//  Activation functions of one value, the same arithmetic on both targets and without a branch, so that loops over them
//  vectorise. Errors: docs/operators/epilogues.md.
//
//    silu(x)      = x sigmoid(x)                       Elfwing et al., "Sigmoid-weighted linear units", 2017
//    gelu_erf(x)  = x Phi(x), the exact form           Hendrycks and Gimpel, "Gaussian error linear units", 2016
//    gelu_tanh(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))     the same; "gelu_new", "gelu_pytorch_tanh"
//    gelu_quick(x)= x sigmoid(1.702 x)                                the same; "quick_gelu"
//    relu(x)      = max(x, 0)
//
//  A NaN stays a NaN. Infinities: silu, gelu_tanh and gelu_quick of -infinity are NaN, as 0 * infinity is; gelu_erf's is 0.
#include <tenon/config.hpp>
#include <tenon/core/bit_cast.hpp>

#include <cmath>
#include <cstdint>

namespace tenon {

/// e^x = power (1 + rest), power = 2^n and infinity for n = 128, |rest| < 0.42. For |x| < 89.
struct reduced_exponential {
  float power, rest;
};
/// Cody and Waite's reduction and Cephes' polynomial.
TENON_HD constexpr reduced_exponential reduce_exponential(float x) {
  float const t = x * 1.44269504f + 12582912.f;  // 1.5 * 2^23: the sum's low bits are round(x / ln 2)
  float const n = t - 12582912.f;
  float const r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float       p = 1.9875691500e-4f;
  p             = p * r + 1.3981999507e-3f;
  p             = p * r + 8.3334519073e-3f;
  p             = p * r + 4.1665795894e-2f;
  p             = p * r + 1.6666665459e-1f;
  p             = p * r + 5.0000001201e-1f;
  return {bit_cast<float>((bit_cast<std::uint32_t>(t) + 127u) << 23), p * (r * r) + r};
}

/// e^x within 2 ulp; infinity above 88.37, at least 2^-126 below -87.34.
TENON_HD constexpr float exponential(float x) {
  x            = x > 88.73f ? 88.73f : x;
  x            = x < -87.33f ? -87.33f : x;
  auto const e = reduce_exponential(x);
  return (e.rest + 1.f) * e.power;
}

/// 1 / (1 + e^-x)
TENON_HD constexpr float sigmoid(float x) { return 1.f / (1.f + exponential(-x)); }

/// x sigmoid(x)
TENON_HD constexpr float silu(float x) { return x / (1.f + exponential(-x)); }

/// x Phi(x) = max(x, 0) - |x| Phi(-|x|), with Phi(-a) = e^(-a^2/2) t Q(t), t = 1 / (1 + 0.35 a): Q of degree 8 through
/// Chebyshev nodes on a in [0, 14], relative error 4e-8, so the negative tail keeps its relative accuracy too.
TENON_HD constexpr float gelu_erf(float x) {
  float const m = x < 0.f ? -x : x;
  float const a = m > 14.f ? 14.f : m;
  float const t = 1.f / (1.f + 0.35f * a);
  float       q = -0.029679522f;
  q             = q * t + 0.14654583f;
  q             = q * t + -0.260961228f;
  q             = q * t + 0.165050996f;
  q             = q * t + -0.0270466083f;
  q             = q * t + 0.107114588f;
  q             = q * t + 0.119444917f;
  q             = q * t + 0.139912298f;
  q             = q * t + 0.139618713f;
  return (x < 0.f ? 0.f : x) - a * (exponential(-0.5f * (a * a)) * (t * q));
}

/// x / 2 (1 + tanh(u)) = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3)
TENON_HD constexpr float gelu_tanh(float x) {
  float const u = x + 0.044715f * (x * x * x);
  return x / (1.f + exponential(-1.59576912f * u));
}

/// x sigmoid(1.702 x)
TENON_HD constexpr float gelu_quick(float x) { return x / (1.f + exponential(-1.702f * x)); }

/// max(x, 0)
TENON_HD constexpr float relu(float x) { return x < 0.f ? 0.f : x; }

/// The definitions in double precision.
namespace ref {
inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
inline double silu(double x) { return x * sigmoid(x); }
inline double gelu_erf(double x) { return 0.5 * x * std::erfc(-x * 0.70710678118654752440); }
inline double gelu_tanh(double x) {  // x sigmoid(2 u): 1 + tanh(u) would cancel for negative u
  return x * sigmoid(1.59576912160573071176 * (x + 0.044715 * x * x * x));
}
inline double gelu_quick(double x) { return x * sigmoid(1.702 * x); }
inline double relu(double x) { return x < 0 ? 0 : x; }
}  // namespace ref

}  // namespace tenon
