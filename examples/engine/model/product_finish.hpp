#pragma once
//  What the decoder's products do with their sums, in as few kernels as there can be: one functor for all but the gated pair.
#include <tenon/core/tensor_view.hpp>
#include <tenon/op/activation.hpp>
#include <tenon/op/epilogue.hpp>
#include <tenon/op/logits.hpp>

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

/// The gates of models, one functor for all: x / (1 + e^-(linear x + cubic x^3)). SiLU is {1, 0}, quick GELU {1.702, 0}, GELU by
/// tanh {sqrt(8 / pi), 0.044715 sqrt(8 / pi)} (tenon/op/activation.hpp).
struct gate_activation {
  float linear = 1, cubic = 0;

  TENON_HD constexpr float operator()(float x) const {
    float const square = x * x;
    return x / (1.f + tenon::exponential(-(x * (linear + cubic * (square < 1e30f ? square : 1e30f)))));
  }
};

/// activation(gate) * v, of a gate in memory.
template <class T>
struct times_gate {
  epilogue::residual_stage<T> gate;
  gate_activation             activation;

  TENON_HD float operator()(float v, index_t row, index_t column) const { return activation(gate(0, row, column)) * v; }
};

/// activation(gate) * up
struct gated_unit {
  gate_activation activation;

  TENON_HD float operator()(float gate, float up, index_t, index_t) const { return activation(gate) * up; }
};

/// activation(gate + its bias) * (up + its bias), of a product whose rows are interleaved.
template <class T>
auto gated_finish(T const* bias, gate_activation activation) {
  return epilogue::from(optional_bias<T>{bias}) | epilogue::from(gated_unit{activation});
}

/// cap tanh(v / cap); v where there is no cap.
struct optional_soft_cap {
  float cap = 0;

  TENON_HD float operator()(float v, index_t, index_t) const { return cap > 0 ? soft_cap{cap}(v, 0, 0, 0, 0) : v; }
  template <int N>
  TENON_HD void run(float (&v)[N], index_t row, index_t column) const {
    if (cap > 0) {
      TENON_UNROLL_DEVICE
      for (int e = 0; e < N; ++e) v[e] = (*this)(v[e], row, column + e);
    }
  }
};

}  // namespace tenon::engine
