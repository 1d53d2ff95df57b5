#pragma once
//  The row source of a gated unit: v[i, j] = pair(gate[i, j], up[i, j]).
#include <tenon/arch/arch.cuh>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/op/epilogue.hpp>
#include <tenon/quant/quantize_rows_kernel.cuh>

namespace tenon::inline TENON_TARGET::kernel {

template <class X, pairwise Pair>
struct gated_rows {
  static constexpr bool normed = false;
  X const*              gate;  // (m, n), of row stride gate_stride
  X const*              up;    // (m, n), of row stride up_stride
  index_t               gate_stride, up_stride;
  bool                  interleaved;  // element h of both lies at gate_row(h)
  Pair                  pair;

  /// h is a multiple of N.
  template <int N>
  __device__ vec<float, N> load(index_t row, int h) const {
    int const     at = interleaved ? static_cast<int>(gate_row(h)) : h;
    auto const    g = arch::load<N>(gate + row * gate_stride + at), u = arch::load<N>(up + row * up_stride + at);
    vec<float, N> r;
    TENON_UNROLL
    for (int i = 0; i < N; ++i) r[i] = pair(static_cast<float>(g[i]), static_cast<float>(u[i]), row, h + i);
    return r;
  }
  template <int N>
  __device__ vec<float, N> again(index_t row, int h) const {
    return load<N>(row, h);
  }
};

}  // namespace tenon::inline TENON_TARGET::kernel
