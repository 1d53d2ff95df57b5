#pragma once
//  How a tensor core sums: a fused dot product and addition per output element.
//
//    1. Products are exact: significands multiply, exponents add; the product's significand lies in [1, 4) and is not
//       normalised. Subnormal operands count. tf32 operands lose their lower 13 bits first.
//    2. The largest exponent of the products and c is found; zeros have none; it is at least `floor`.
//    3. Every term is aligned to it and truncated toward zero to `fraction` bits after the point.
//    4. The truncated terms are added as integers.
//    5. The sum becomes the result: f32 by truncation to `kept` fraction bits, f16 by rounding to nearest even. Beyond the
//       largest finite value it is infinite. A sum of zero is +0; one that rounds to zero keeps its sign.
//    NaN, 0 * infinity and infinities of both signs give the canonical NaN (all bits but the sign set).
//
//  Sources: Li et al., "MMA-Sim: Bit-accurate reference model of tensor cores and matrix cores", 2025, and its program
//  (microsoft/MMA-Sim); Khattak and Mikaitis, "Accurate models of NVIDIA tensor cores", 2025, and theirs
//  (north-numerical-computing/MATLAB-tensor-core), from which `floor` and the rule for zeros are. Where the two differ
//  (a zero operand beside one of 2^100: MMA-Sim gives zero the exponent -126) ours is the latter.
//
//  fp8 on Hopper: mma.sync there is no instruction of its own. ptxas makes two of f16 of it, the first over the k with
//  k % 4 < 2, the second over the others, which begin at zero, and adds c at the end in the accumulator's own precision
//  (read from the machine code that CUDA 13.0 makes for sm_90a; CUTLASS issue 1986 says so too). So each part is Hopper's
//  f16 sum. That the f16 instruction then does what the model says is still to be verified on a GPU, as all of this is.
#include <tenon/simt/tensor_core/operation.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace tenon::simt::tensor_core {

/// The k that one step sums: elements [plane, plane_end) of words [word, word_end).
struct step {
  int word, word_end, plane, plane_end;
};

struct summation {
  int  steps;
  step over[2];
  int  fraction;     // bits after the point of aligned terms
  int  kept;         // fraction bits of an f32 result
  int  floor;        // least exponent that terms are aligned to
  bool half;         // the result is f16
  bool starts_at_0;  // c is added at the end, rounded to nearest even
};

constexpr summation summation_of(mma_operation const& what, numerics how) {
  bool const fp8 = is_fp8(what.a), half = what.d == accumulator::f16, hopper = how == numerics::hopper;
  int const  planes = 32 / operand_bits(what.a), words = what.k / planes;
  if (hopper && fp8) return {2, {{0, words, 0, 2}, {0, words, 2, 4}}, 25, 23, half ? -21 : -133, half, true};
  if (hopper) return {1, {{0, words, 0, planes}, {}}, 25, 23, half ? -21 : -133, half, false};
  // Ampere and Ada have half as many multipliers per instruction. fp8 came with Ada; `ampere` takes it for that.
  bool const twice    = words == 8;
  int const  fraction = fp8 ? 13 : 24, kept = fp8 ? 13 : 23, floor = half && !fp8 ? -20 : -132;
  if (!twice) return {1, {{0, words, 0, planes}, {}}, fraction, kept, floor, half, false};
  return {2, {{0, 4, 0, planes}, {4, 8, 0, planes}}, fraction, kept, floor, half, false};
}

constexpr std::uint32_t canonical_nan = 0x7fffffffu, canonical_nan_f16 = 0x7fffu;

/// A float as sign, exponent (at least `least`) and a significand with 23 fraction bits.
struct scientific {
  std::int64_t significand;  // with the sign
  int          exponent;
};
inline scientific split(float v, int least) {
  std::uint32_t u;
  std::memcpy(&u, &v, sizeof u);
  int          exponent    = static_cast<int>(u >> 23 & 255) - 127;
  std::int64_t significand = u & 0x7fffff;
  if (exponent == -127) ++exponent;
  else significand |= 0x800000;
  if (exponent < least) {  // zero, or one of the format's own subnormals: exact
    significand >>= least - exponent < 24 ? least - exponent : 24;
    exponent = least;
  }
  return {u >> 31 ? -significand : significand, exponent};
}

/// value * 2^exponent as the result's format has it, in a float.
inline float round_sum(std::int64_t value, int exponent, summation const& s) {
  if (value == 0) return 0.f;
  bool const          negative  = value < 0;
  std::uint64_t const magnitude = negative ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  int const           top       = 63 - __builtin_clzll(magnitude);  // of value; exponent + top of the number
  int const           kept = s.half ? 10 : s.kept, least = s.half ? -14 : -126;
  int const           leading = exponent + top > least ? exponent + top : least;
  int const           drop    = leading - kept - exponent;  // bits of value below the result's last
  std::uint64_t       result  = drop <= 0 ? magnitude << -drop : drop < 64 ? magnitude >> drop : 0;
  if (s.half && drop > 0 && drop < 64) {
    std::uint64_t const rest = magnitude << (64 - drop), half = std::uint64_t{1} << 63;
    if (rest > half || (rest == half && (result & 1))) ++result;
  }
  float v = std::ldexp(static_cast<float>(result), leading - kept);  // at most 24 bits; overflow is infinite
  if (s.half && v >= 65536.f) v = INFINITY;
  return negative ? -v : v;
}

/// One step of one output element: c + sum of a[i] b[i], written for clarity. The vector form is tensor_core/product.hpp.
inline float fused_sum(float const* a, float const* b, int count, int least_a, int least_b, float c,
                       summation const& s) {
  double specials = c;  // finite operands never overflow here, so only infinities and NaN make it one
  bool   any      = c != 0;
  int    exponent = s.floor;
  if (any && std::isfinite(c)) {
    int const e = split(c, -126).exponent;
    if (e > exponent) exponent = e;
  }
  for (int i = 0; i < count; ++i) {
    double const p = static_cast<double>(a[i]) * b[i];
    if (!std::isfinite(p)) specials += p;
    if (p == 0 || !std::isfinite(p)) continue;
    any         = true;
    int const e = split(a[i], least_a).exponent + split(b[i], least_b).exponent;
    if (e > exponent) exponent = e;
  }
  if (std::isnan(specials)) {
    float nan;
    std::memcpy(&nan, &canonical_nan, sizeof nan);
    return nan;
  }
  if (std::isinf(specials)) return static_cast<float>(specials);
  if (!any) return 0.f;
  std::int64_t sum = 0;
  auto const   add = [&](std::int64_t significand, int e) {  // 46 fraction bits
    int const drop = 46 - s.fraction + exponent - e;
    if (drop > 62) return;
    sum += significand < 0 ? -(-significand >> drop) : significand >> drop;
  };
  for (int i = 0; i < count; ++i) {
    scientific const x = split(a[i], least_a), y = split(b[i], least_b);
    if (x.significand != 0 && y.significand != 0) add(x.significand * y.significand, x.exponent + y.exponent);
  }
  scientific const z = split(c, -126);
  if (c != 0) add(z.significand * 0x800000, z.exponent);
  return round_sum(sum, exponent - s.fraction, s);
}

}  // namespace tenon::simt::tensor_core
