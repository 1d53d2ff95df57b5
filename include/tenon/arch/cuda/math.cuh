#pragma once
//  Fast elementary functions: one or two instructions. PTX: ex2.approx (2 ulp), rsqrt.approx (2^-22.9 relative),
//  rcp.approx (1 ulp), lg2.approx (2^-22.6 absolute in [0.5, 2]).

namespace tenon::inline cuda::arch {

/// 2^v; 0 for -infinity.
__device__ inline float exp2(float v) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(v));
  return r;
}
__device__ inline float log2(float v) { return __log2f(v); }
__device__ inline float rsqrt(float v) { return rsqrtf(v); }
__device__ inline float reciprocal(float v) { return __frcp_rn(v); }
/// a b + c, rounded once: where results must not depend on how a compiler contracts the sum.
__device__ inline float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }

}  // namespace tenon::inline cuda::arch
