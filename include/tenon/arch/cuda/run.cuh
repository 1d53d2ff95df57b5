#pragma once
//  Elements of a row that one load brings: stripes of floats, see stripe.cuh.
//
//  run<N, T> is one stripe of N for f32, two for the 16-bit types, even elements in the one and odd ones in the other where
//  that is cheaper. Two runs agree on it, so products and sums of them do not see it.
#include <tenon/arch/cuda/stripe.cuh>
#include <tenon/config.hpp>

namespace tenon::inline cuda::arch {

template <int N, class T>
struct run {
  static constexpr int elements = N * static_cast<int>(4 / sizeof(T));
  stripe<N>            part[elements / N];
};

/// `elements` elements from `from` on; no alignment needed.
template <int N, class T>
__device__ inline run<N, T> load_run(T const* from) {
  run<N, T> r;
  TENON_UNROLL
  for (int l = 0; l < r.elements; ++l) r.part[l / N].v[l % N] = static_cast<float>(from[l]);
  return r;
}

/// The same, zeros instead of the first `skip` elements (which are read).
template <int N, class T>
__device__ inline run<N, T> load_last_of_run(T const* from, int skip) {
  run<N, T> r;
  TENON_UNROLL
  for (int l = 0; l < r.elements; ++l) r.part[l / N].v[l % N] = l >= skip ? static_cast<float>(from[l]) : 0.f;
  return r;
}

/// sum += a * b, element by element, part after part.
template <int N, class T>
__device__ inline void multiply_add(stripe<N>& sum, run<N, T> const& a, run<N, T> const& b) {
  TENON_UNROLL
  for (int i = 0; i < a.elements; ++i) sum.v[i % N] += a.part[i / N].v[i % N] * b.part[i / N].v[i % N];
}

}  // namespace tenon::inline cuda::arch
