#pragma once
//  What happens to a value between the accumulator and the store: a stage is any callable float(value, row, column).
//  (The GEMM's ports, with row and column vectors, tiles and pairs, build on this in gemm/.)
#include <tenon/config.hpp>
#include <tenon/core/tensor_view.hpp>

#include <concepts>

namespace tenon {

/// f(v, row, column): the fp32 value to store, given the fp32 value computed there.
template <class F>
concept elementwise = std::copyable<F> && requires(F const f, float v, index_t row, index_t column) {
  { f(v, row, column) } -> std::convertible_to<float>;
};

/// v
struct identity {
  TENON_HD constexpr float operator()(float v, index_t, index_t) const { return v; }
};
static_assert(elementwise<identity>);

}  // namespace tenon
