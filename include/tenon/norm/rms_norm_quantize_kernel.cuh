#pragma once
//  The row sources of normalised rows, for the kernel of quant/quantize_rows_kernel.cuh.
//
//    v[t, h] = r[t, h] * weight[h] / sqrt(mean_h(r[t, :]^2) + eps);   r = x, or residual + x, which replaces residual
#include <tenon/arch/arch.cuh>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/quant/quantize_rows_kernel.cuh>

namespace tenon::inline TENON_TARGET::kernel {

template <int N, class T>
__device__ inline vec<float, N> load_floats(T const* from) {
  auto const    v = arch::load<N>(from);
  vec<float, N> r;
  TENON_UNROLL
  for (int i = 0; i < N; ++i) r[i] = static_cast<float>(v[i]);
  return r;
}

template <class X, class W>
struct normed_rows {
  static constexpr bool   normed = true;
  tensor_view<X const, 2> x;       // (tokens, hidden)
  tensor_view<W const, 1> weight;  // (hidden)
  float                   eps;

  template <int N>
  __device__ vec<float, N> load(index_t token, int h) const {
    return load_floats<N>(&x(token, 0) + h);
  }
  template <int N>
  __device__ vec<float, N> again(index_t token, int h) const {
    return load<N>(token, h);
  }
  template <int N>
  __device__ vec<float, N> weights(int h) const {
    return load_floats<N>(weight.data + h);
  }
};

template <class R, class X, class W>
struct added_normed_rows {
  static constexpr bool   normed = true;
  tensor_view<R, 2>       residual;  // (tokens, hidden), in and out
  tensor_view<X const, 2> x;         // (tokens, hidden)
  tensor_view<W const, 1> weight;    // (hidden)
  float                   eps;

  /// Adds, stores the sum, and answers what was stored.
  template <int N>
  __device__ vec<float, N> load(index_t token, int h) const {
    // By 16 bytes: all of eight f32 at once would not fit the registers of the largest block.
    constexpr int  part = N * sizeof(R) > 16 ? N / 2 : N;
    X const* const from = &x(token, 0) + h;
    R* const       at   = &residual(token, 0) + h;
    vec<float, N>  r;
    TENON_UNROLL
    for (int j = 0; j < N; j += part) {
      auto const   a = arch::load<part>(from + j);
      auto const   b = arch::load<part>(at + j);
      vec<R, part> sum;
      TENON_UNROLL
      for (int i = 0; i < part; ++i) {
        sum[i]   = static_cast<R>(static_cast<float>(b[i]) + static_cast<float>(a[i]));
        r[j + i] = static_cast<float>(sum[i]);
      }
      arch::store<part>(at + j, sum);
    }
    return r;
  }
  template <int N>
  __device__ vec<float, N> again(index_t token, int h) const {
    return load_floats<N>(&residual(token, 0) + h);
  }
  template <int N>
  __device__ vec<float, N> weights(int h) const {
    return load_floats<N>(weight.data + h);
  }
};

}  // namespace tenon::inline TENON_TARGET::kernel
