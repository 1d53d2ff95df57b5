#pragma once
//  Elementary functions, see cuda/math.cuh; here within half an ulp of the C library's.
#include <cmath>

namespace tenon::inline host::arch {

inline float exp2(float v) { return std::exp2(v); }
inline float log2(float v) { return std::log2(v); }
inline float rsqrt(float v) { return 1.0f / std::sqrt(v); }
inline float reciprocal(float v) { return 1.0f / v; }
inline float fma(float a, float b, float c) { return std::fma(a, b, c); }

}  // namespace tenon::inline host::arch
