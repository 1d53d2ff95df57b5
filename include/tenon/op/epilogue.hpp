#pragma once
//  What happens to a value between the accumulator and the store: stages joined by `|`, applied from left to right.
//
//    epilogue::scale_columns(s) | epilogue::bias(b) | epilogue::gelu_tanh() | epilogue::residual(r)
//
//  A stage is any callable  float(float v, index_t row, index_t column);  row and column are those of D. It holds plain
//  data (factors, views), is copied into the kernel's parameters, and runs on both targets (TENON_HD).
//
//  Pair mode. A stage that takes two values,  float(float gate, float up, index_t row, index_t column),  makes a gated
//  unit of a GEMM: B holds the rows of both weight matrices, interleaved in groups of eight (gemm/interleave.hpp)
//
//    B rows   0..7 gate 0..7    8..15 up 0..7    16..23 gate 8..15    24..31 up 8..15    ...
//
//  so that a tensor-core fragment brings gate and up of one column to one thread. Stages before the pair see gate and up
//  each with its B row as `column`; the pair and the stages after it see D's column.
#include <tenon/config.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/op/activation.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace tenon {

/// f(v, row, column): the fp32 value to store, given the fp32 value computed there.
template <class F>
concept elementwise = std::copyable<F> && requires(F const f, float v, index_t row, index_t column) {
  { f(v, row, column) } -> std::convertible_to<float>;
};

/// f(gate, up, row, column): one value of two.
template <class F>
concept pairwise = std::copyable<F> && requires(F const f, float v, index_t row, index_t column) {
  { f(v, v, row, column) } -> std::convertible_to<float>;
};

/// v
struct identity {
  TENON_HD constexpr float operator()(float v, index_t, index_t) const { return v; }
};
static_assert(elementwise<identity> && !pairwise<identity>);

/// Rows of one group of gate or up in an interleaved B.
inline constexpr int pair_group = 8;

/// B rows that hold the gate and the up of D's column.
TENON_HD constexpr index_t gate_row(index_t column) {
  return column / pair_group * (2 * pair_group) + column % pair_group;
}
TENON_HD constexpr index_t up_row(index_t column) { return gate_row(column) + pair_group; }

/// Rows of an interleaved B for `columns` columns of D.
TENON_HD constexpr index_t paired_rows(index_t columns) { return 2 * round_up(columns, pair_group); }

}  // namespace tenon

namespace tenon::epilogue {

template <class T>
concept stage = elementwise<T> || pairwise<T>;

namespace detail {

template <int Index, class Stage>
struct slot {
  Stage stage;
};

template <class Index, class... Stage>
struct slots;
template <int... Index, class... Stage>
struct slots<std::integer_sequence<int, Index...>, Stage...> : slot<Index, Stage>... {
  constexpr slots(Stage const&... s) : slot<Index, Stage>{s}... {}

  static constexpr int pairs = (0 + ... + (pairwise<Stage> ? 1 : 0));
  /// Index of the pair stage; the number of stages where there is none.
  TENON_HD static constexpr int pair_index() {
    int  at = 0, i = 0;
    bool found = false;
    ((found = found || pairwise<Stage>, at = found ? at : ++i), ...);
    return at;
  }

  /// Stages [First, Last) on v.
  template <int First, int Last>
  TENON_HD constexpr float apply(float v, index_t row, index_t column) const {
    ((v = apply_one<First, Last, Index>(static_cast<slot<Index, Stage> const&>(*this).stage, v, row, column)), ...);
    return v;
  }
  TENON_HD constexpr float apply_pair(float gate, float up, index_t row, index_t column) const {
    float v = 0;
    ((v = apply_if_pair(static_cast<slot<Index, Stage> const&>(*this).stage, v, gate, up, row, column)), ...);
    return v;
  }

 private:
  template <int First, int Last, int At, class S>
  TENON_HD static constexpr float apply_one(S const& s, float v, index_t row, index_t column) {
    if constexpr (At >= First && At < Last && !pairwise<S>) return static_cast<float>(s(v, row, column));
    return v;
  }
  template <class S>
  TENON_HD static constexpr float apply_if_pair(S const& s, float v, float gate, float up, index_t row,
                                                index_t column) {
    if constexpr (pairwise<S>) return static_cast<float>(s(gate, up, row, column));
    return v;
  }
};

}  // namespace detail

/// Stages in order; made by `|`. With one pairwise stage among them the pipeline is pairwise, else elementwise.
template <stage... Stage>
struct pipeline {
  using slots = detail::slots<std::make_integer_sequence<int, sizeof...(Stage)>, Stage...>;
  static_assert(slots::pairs <= 1, "tenon::epilogue: at most one stage may take a gate and an up");
  slots stages;

  constexpr explicit pipeline(Stage const&... s) : stages(s...) {}

  TENON_HD constexpr float operator()(float v, index_t row, index_t column) const requires(slots::pairs == 0) {
    return stages.template apply<0, sizeof...(Stage)>(v, row, column);
  }
  TENON_HD constexpr float operator()(float gate, float up, index_t row, index_t column) const
      requires(slots::pairs == 1) {
    constexpr int pair = slots::pair_index();
    gate               = stages.template apply<0, pair>(gate, row, gate_row(column));
    up                 = stages.template apply<0, pair>(up, row, up_row(column));
    return stages.template apply<pair + 1, sizeof...(Stage)>(stages.apply_pair(gate, up, row, column), row, column);
  }
};

namespace detail {
template <class Stage>
constexpr pipeline<Stage> as_pipeline(Stage const& s) {
  return pipeline<Stage>(s);
}
template <class... Stage>
constexpr pipeline<Stage...> as_pipeline(pipeline<Stage...> const& p) {
  return p;
}
template <class... A, class... B, int... Index, int... Later>
constexpr pipeline<A..., B...> join(pipeline<A...> const& a, pipeline<B...> const& b,
                                    std::integer_sequence<int, Index...>, std::integer_sequence<int, Later...>) {
  return pipeline<A..., B...>(static_cast<slot<Index, A> const&>(a.stages).stage...,
                              static_cast<slot<Later, B> const&>(b.stages).stage...);
}
template <class... A, class... B>
constexpr pipeline<A..., B...> join(pipeline<A...> const& a, pipeline<B...> const& b) {
  return join(a, b, std::make_integer_sequence<int, sizeof...(A)>{}, std::make_integer_sequence<int, sizeof...(B)>{});
}
}  // namespace detail

/// first, then second. Found by its arguments: one of them is a stage of this namespace (or from(...) of your own).
template <stage First, stage Second>
constexpr auto operator|(First const& first, Second const& second) {
  return detail::join(detail::as_pipeline(first), detail::as_pipeline(second));
}

/// Your own callable as the start of a pipeline: from(mine) | bias(b).
template <stage Stage>
constexpr pipeline<Stage> from(Stage const& s) {
  return pipeline<Stage>(s);
}

// --- stages -------------------------------------------------------------------------------------------------------------

/// v * factor
struct scale_stage {
  float                    factor;
  TENON_HD constexpr float operator()(float v, index_t, index_t) const { return v * factor; }
};
constexpr scale_stage scale(float factor) { return {factor}; }

namespace detail {
/// One value per row or column, any stride; the dense case has its own load so that loops over it vectorise.
template <class T>
struct vector_port {
  T const*                 data;
  index_t                  stride;
  TENON_HD constexpr float at(index_t i) const { return static_cast<float>(stride == 1 ? data[i] : data[i * stride]); }
};
template <class T>
constexpr vector_port<std::remove_const_t<T>> port(tensor_view<T, 1> const& v) {
  return {v.data, v.stride[0]};
}
}  // namespace detail

/// v + values[column]
template <class T>
struct add_columns_stage {
  detail::vector_port<T>   values;
  TENON_HD constexpr float operator()(float v, index_t, index_t column) const { return v + values.at(column); }
};
/// v + values[row]
template <class T>
struct add_rows_stage {
  detail::vector_port<T>   values;
  TENON_HD constexpr float operator()(float v, index_t row, index_t) const { return v + values.at(row); }
};
/// v * values[column]
template <class T>
struct scale_columns_stage {
  detail::vector_port<T>   values;
  TENON_HD constexpr float operator()(float v, index_t, index_t column) const { return v * values.at(column); }
};
/// v * values[row]
template <class T>
struct scale_rows_stage {
  detail::vector_port<T>   values;
  TENON_HD constexpr float operator()(float v, index_t row, index_t) const { return v * values.at(row); }
};

/// v + b[column]; b (n)
template <class T>
constexpr auto bias(tensor_view<T, 1> b) {
  return add_columns_stage<std::remove_const_t<T>>{detail::port(b)};
}
template <class T>
constexpr auto add_columns(tensor_view<T, 1> values) {
  return add_columns_stage<std::remove_const_t<T>>{detail::port(values)};
}
/// v + values[row]; values (m)
template <class T>
constexpr auto add_rows(tensor_view<T, 1> values) {
  return add_rows_stage<std::remove_const_t<T>>{detail::port(values)};
}
/// v * values[column]; values (n)
template <class T>
constexpr auto scale_columns(tensor_view<T, 1> values) {
  return scale_columns_stage<std::remove_const_t<T>>{detail::port(values)};
}
/// v * values[row]; values (m)
template <class T>
constexpr auto scale_rows(tensor_view<T, 1> values) {
  return scale_rows_stage<std::remove_const_t<T>>{detail::port(values)};
}

/// v + r[row, column]; r (m, n), any strides, may be D itself: each element is read before it is written, by one thread
template <class T>
struct residual_stage {
  T const*                 data;
  index_t                  row_stride, column_stride;
  TENON_HD constexpr float operator()(float v, index_t row, index_t column) const {
    T const* const from = data + row * row_stride;
    return v + static_cast<float>(column_stride == 1 ? from[column] : from[column * column_stride]);
  }
};
template <class T>
constexpr auto residual(tensor_view<T, 2> r) {
  return residual_stage<std::remove_const_t<T>>{r.data, r.stride[0], r.stride[1]};
}

/// v rounded to T: what a store in T between two operators would have done.
template <class T>
struct round_stage {
  TENON_HD constexpr float operator()(float v, index_t, index_t) const { return static_cast<float>(T(v)); }
};
template <class T>
constexpr round_stage<T> round_to() {
  return {};
}

/// v sigmoid(v)
struct silu_stage {
  TENON_HD constexpr float operator()(float v, index_t, index_t) const { return tenon::silu(v); }
};
/// v Phi(v), the exact GELU
struct gelu_erf_stage {
  TENON_HD constexpr float operator()(float v, index_t, index_t) const { return tenon::gelu_erf(v); }
};
/// GELU by tanh
struct gelu_tanh_stage {
  TENON_HD constexpr float operator()(float v, index_t, index_t) const { return tenon::gelu_tanh(v); }
};
/// v sigmoid(1.702 v)
struct gelu_quick_stage {
  TENON_HD constexpr float operator()(float v, index_t, index_t) const { return tenon::gelu_quick(v); }
};
/// max(v, 0)
struct relu_stage {
  TENON_HD constexpr float operator()(float v, index_t, index_t) const { return tenon::relu(v); }
};

constexpr silu_stage       silu() { return {}; }
constexpr gelu_erf_stage   gelu_erf() { return {}; }
constexpr gelu_tanh_stage  gelu_tanh() { return {}; }
constexpr gelu_quick_stage gelu_quick() { return {}; }
constexpr relu_stage       relu() { return {}; }

/// activation(gate) * up
template <elementwise Activation>
struct gated_stage {
  Activation               activation;
  TENON_HD constexpr float operator()(float gate, float up, index_t row, index_t column) const {
    return activation(gate, row, column) * up;
  }
};
template <elementwise Activation>
constexpr gated_stage<Activation> gated(Activation const& activation) {
  return {activation};
}
/// silu(gate) * up. Shazeer, "GLU variants improve transformer", 2020; so are the next ones.
constexpr auto swiglu() { return gated(silu()); }
constexpr auto geglu_erf() { return gated(gelu_erf()); }
constexpr auto geglu_tanh() { return gated(gelu_tanh()); }
constexpr auto geglu_quick() { return gated(gelu_quick()); }
constexpr auto reglu() { return gated(relu()); }

static_assert(elementwise<scale_stage> && elementwise<pipeline<scale_stage, silu_stage>>);
static_assert(pairwise<gated_stage<silu_stage>> &&
              pairwise<pipeline<scale_stage, gated_stage<silu_stage>, scale_stage>>);

}  // namespace tenon::epilogue
