#pragma once
//  N consecutive elements of a row as floats of one thread: a vector register on the host, an array here.
#include <tenon/config.hpp>

namespace tenon::inline cuda::arch {

template <int N>
struct stripe {
  float v[N];
};

/// N elements (f32, f16 or bf16) from `from` on; no alignment needed.
template <int N, class T>
__device__ inline stripe<N> load_stripe(T const* from) {
  stripe<N> r;
  TENON_UNROLL
  for (int i = 0; i < N; ++i) r.v[i] = static_cast<float>(from[i]);
  return r;
}

/// N floats to `to`; no alignment needed.
template <int N>
__device__ inline void store_stripe(float* to, stripe<N> const& r) {
  TENON_UNROLL
  for (int i = 0; i < N; ++i) to[i] = r.v[i];
}

/// The same value N times.
template <int N>
__device__ inline stripe<N> broadcast_stripe(float v) {
  stripe<N> r;
  TENON_UNROLL
  for (int i = 0; i < N; ++i) r.v[i] = v;
  return r;
}

/// sum += a * b, element by element.
template <int N>
__device__ inline void multiply_add(stripe<N>& sum, stripe<N> const& a, stripe<N> const& b) {
  TENON_UNROLL
  for (int i = 0; i < N; ++i) sum.v[i] += a.v[i] * b.v[i];
}

/// The sums of the elements of four stripes, each in one fixed order.
template <int N>
__device__ inline void sum(float (&sums)[4], stripe<N> const (&r)[4]) {
  TENON_UNROLL
  for (int k = 0; k < 4; ++k) {
    sums[k] = 0;
    TENON_UNROLL
    for (int i = 0; i < N; ++i) sums[k] += r[k].v[i];
  }
}

}  // namespace tenon::inline cuda::arch
