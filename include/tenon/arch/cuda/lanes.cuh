#pragma once
//  N floats that one thread computes together: a vector register on the host, an array here.
#include <tenon/config.hpp>

namespace tenon::inline cuda::arch {

template <int N>
struct lanes {
  float v[N];
};

/// N elements from `from` on, as floats; no alignment needed.
template <int N, class T>
__device__ inline lanes<N> load_lanes(T const* from) {
  lanes<N> r;
  TENON_UNROLL
  for (int l = 0; l < N; ++l) r.v[l] = static_cast<float>(from[l]);
  return r;
}

/// The first `count` elements `stride` apart, zeros in the lanes behind them.
template <int N, class T>
__device__ inline lanes<N> load_lanes(T const* from, long long stride, int count) {
  lanes<N> r;
  TENON_UNROLL
  for (int l = 0; l < N; ++l) r.v[l] = l < count ? static_cast<float>(from[l * stride]) : 0.f;
  return r;
}

/// sum += a * b, lane by lane.
template <int N>
__device__ inline void multiply_add(lanes<N>& sum, lanes<N> const& a, lanes<N> const& b) {
  TENON_UNROLL
  for (int l = 0; l < N; ++l) sum.v[l] += a.v[l] * b.v[l];
}

/// The sum of all lanes by halving: lane l + lane (l + N/2), and so on.
template <int N>
__device__ inline float sum(lanes<N> r) {
  TENON_UNROLL
  for (int half = N / 2; half > 0; half /= 2) {
    TENON_UNROLL
    for (int l = 0; l < half; ++l) r.v[l] += r.v[l + half];
  }
  return r.v[0];
}

}  // namespace tenon::inline cuda::arch
