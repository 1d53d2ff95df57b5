#pragma once
//  What the decoder's products do with their sums, in as few kernels as there can be: one functor for all but the gated pair.
#include <tenon/core/tensor_view.hpp>
#include <tenon/op/epilogue.hpp>

namespace tenon::engine {

/// v + bias[column], where there is a bias.
template <class T>
struct optional_bias {
  T const* bias = nullptr;  // (columns) or null

  TENON_HD float operator()(float v, index_t, index_t column) const {
    return bias ? v + static_cast<float>(bias[column]) : v;
  }
};

/// v + bias + residual, where either may be absent.
template <class T>
struct product_finish {
  optional_bias<T>            bias;
  epilogue::residual_stage<T> residual = {};  // data null: none

  TENON_HD float operator()(float v, index_t row, index_t column) const {
    v = bias(v, row, column);
    return residual.data ? residual(v, row, column) : v;
  }
  template <int N>
  TENON_HD void run(float (&v)[N], index_t row, index_t column) const {
    if (bias.bias) {
      TENON_UNROLL_DEVICE
      for (int e = 0; e < N; ++e) v[e] = bias(v[e], row, column + e);
    }
    if (residual.data) residual.run(v, row, column);
  }
};

/// silu(gate) * v, of a gate in memory.
template <class T>
struct times_gate {
  epilogue::residual_stage<T> gate;

  TENON_HD float operator()(float v, index_t row, index_t column) const {
    return tenon::silu(gate(0, row, column)) * v;
  }
};

/// silu(gate + its bias) * (up + its bias), of a product whose rows are interleaved.
template <class T>
auto gated_finish(T const* bias) {
  return epilogue::from(optional_bias<T>{bias}) | epilogue::swiglu();
}

}  // namespace tenon::engine
