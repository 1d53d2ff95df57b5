#pragma once
//  What happens to a value between the accumulator and the store: stages joined by `|`, applied from left to right.
//
//    epilogue::scale_columns(s) | epilogue::bias(b) | epilogue::gelu_tanh() | epilogue::residual(r)
//
//  Here are the stages that look at one value (or at a gate and an up); those that look along a row are in
//  op/epilogue_rows.hpp, and what a stage is, and how to write one, in op/epilogue_pipeline.hpp.
#include <tenon/core/vec.hpp>
#include <tenon/op/activation.hpp>
#include <tenon/op/epilogue_pipeline.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::epilogue {

/// v * factor
struct scale_stage {
  float                    factor;
  TENON_HD constexpr float operator()(float v, index_t, index_t) const { return v * factor; }
};
constexpr scale_stage scale(float factor) { return {factor}; }

namespace detail {
/// N neighbours from `from`, in as few loads as their alignment allows.
template <int N, class T>
TENON_HD inline void load_neighbours(float (&v)[N], T const* from, index_t stride) {
  if (stride == 1 && reinterpret_cast<std::uintptr_t>(from) % alignof(vec<T, N>) == 0) {
    vec<T, N> const all = *reinterpret_cast<vec<T, N> const*>(from);
    TENON_UNROLL_DEVICE
    for (int e = 0; e < N; ++e) v[e] = static_cast<float>(all[e]);
  } else {
    TENON_UNROLL_DEVICE
    for (int e = 0; e < N; ++e) v[e] = static_cast<float>(from[e * stride]);
  }
}

/// One value per row or column, any stride; the dense case has its own load so that loops over it vectorise.
template <class T>
struct vector_port {
  T const*                 data;
  index_t                  stride;
  TENON_HD constexpr float at(index_t i) const { return static_cast<float>(stride == 1 ? data[i] : data[i * stride]); }
  template <int N>
  TENON_HD void load(float (&v)[N], index_t i) const {
    load_neighbours(v, data + i * stride, stride);
  }
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
  template <int N>
  TENON_HD void run(float (&v)[N], index_t, index_t column) const {
    float added[N];
    values.load(added, column);
    TENON_UNROLL_DEVICE
    for (int e = 0; e < N; ++e) v[e] += added[e];
  }
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
  template <int N>
  TENON_HD void run(float (&v)[N], index_t, index_t column) const {
    float factors[N];
    values.load(factors, column);
    TENON_UNROLL_DEVICE
    for (int e = 0; e < N; ++e) v[e] *= factors[e];
  }
};
/// v * values[row]
template <class T>
struct scale_rows_stage {
  detail::vector_port<T>   values;
  TENON_HD constexpr float operator()(float v, index_t row, index_t) const { return v * values.at(row); }
};
/// v * factors[column] + shifts[column]
template <class F, class S>
struct scale_shift_columns_stage {
  detail::vector_port<F>   factors;
  detail::vector_port<S>   shifts;
  TENON_HD constexpr float operator()(float v, index_t, index_t column) const {
    return v * factors.at(column) + shifts.at(column);
  }
};
/// v - rows[row] * columns[column]
template <class R, class C>
struct subtract_outer_stage {
  detail::vector_port<R>   rows;
  detail::vector_port<C>   columns;
  TENON_HD constexpr float operator()(float v, index_t row, index_t column) const {
    return v - rows.at(row) * columns.at(column);
  }
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

/// v * factors[column] + shifts[column]: batch normalisation in evaluation, with factors = gamma / sqrt(variance + eps)
/// and shifts = beta - mean * factors. Ioffe and Szegedy, "Batch normalization", 2015. factors, shifts (n)
template <class F, class S>
constexpr auto scale_shift_columns(tensor_view<F, 1> factors, tensor_view<S, 1> shifts) {
  return scale_shift_columns_stage<std::remove_const_t<F>, std::remove_const_t<S>>{detail::port(factors),
                                                                                   detail::port(shifts)};
}
/// v - rows[row] * columns[column]: the zero points of asymmetric int8 rows, x = s (q - z), in a product with weights of
/// scale w and codes c. rows = s z, columns = w sum_k c. Jacob et al., "Quantization and training of neural networks for
/// efficient integer-arithmetic-only inference", 2018, eq. 7. rows (m), columns (n)
template <class R, class C>
constexpr auto zero_point_correction(tensor_view<R, 1> rows, tensor_view<C, 1> columns) {
  return subtract_outer_stage<std::remove_const_t<R>, std::remove_const_t<C>>{detail::port(rows),
                                                                              detail::port(columns)};
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
  template <int N>
  TENON_HD void run(float (&v)[N], index_t row, index_t column) const {
    float added[N];
    detail::load_neighbours(added, data + row * row_stride + column * column_stride, column_stride);
    TENON_UNROLL_DEVICE
    for (int e = 0; e < N; ++e) v[e] += added[e];
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

/// max(v, 0)^2. So et al., "Primer", 2021
struct relu_squared_stage {
  TENON_HD constexpr float operator()(float v, index_t, index_t) const { return tenon::relu(v) * tenon::relu(v); }
};

constexpr silu_stage         silu() { return {}; }
constexpr gelu_erf_stage     gelu_erf() { return {}; }
constexpr gelu_tanh_stage    gelu_tanh() { return {}; }
constexpr gelu_quick_stage   gelu_quick() { return {}; }
constexpr relu_stage         relu() { return {}; }
constexpr relu_squared_stage relu_squared() { return {}; }

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

/// What models vary about their gated units. The defaults are silu(gate) * up.
struct gate_options {
  float alpha     = 1;  // gate sigmoid(alpha gate); 1.702 makes it a quick GELU
  float limit     = 0;  // gate at most limit, up within [-limit, limit]; 0: no limit
  float up_offset = 0;  // added to up
};
/// g sigmoid(alpha g) (u + up_offset), g and u after their limits. OpenAI, gpt-oss model card, 2025: {1.702, 7, 1}
struct swiglu_with_stage {
  gate_options             options;
  TENON_HD constexpr float operator()(float gate, float up, index_t, index_t) const {
    limit(gate, up, options);
    return gate * sigmoid(options.alpha * gate) * (up + options.up_offset);
  }
  TENON_HD static constexpr void limit(float& gate, float& up, gate_options const& o) {
    if (o.limit > 0) {
      gate = gate > o.limit ? o.limit : gate;
      up   = up > o.limit ? o.limit : up < -o.limit ? -o.limit : up;
    }
  }
};
/// gelu(g) (u + up_offset) with the exact GELU or that by tanh; alpha is not used
template <bool Exact>
struct geglu_with_stage {
  gate_options             options;
  TENON_HD constexpr float operator()(float gate, float up, index_t, index_t) const {
    swiglu_with_stage::limit(gate, up, options);
    return (Exact ? tenon::gelu_erf(gate) : tenon::gelu_tanh(gate)) * (up + options.up_offset);
  }
};
constexpr swiglu_with_stage       swiglu(gate_options const& options) { return {options}; }
constexpr geglu_with_stage<true>  geglu_erf(gate_options const& options) { return {options}; }
constexpr geglu_with_stage<false> geglu_tanh(gate_options const& options) { return {options}; }

static_assert(elementwise<scale_stage> && elementwise<pipeline<scale_stage, silu_stage>>);
static_assert(pairwise<gated_stage<silu_stage>> &&
              pairwise<pipeline<scale_stage, gated_stage<silu_stage>, scale_stage>>);

}  // namespace tenon::epilogue
