#pragma once
//  Scales that move from one linear layer to the next through whatever is linear between them, offline: what smoothing
//  and searches of scales need, and what evens out the ranges of channels before they are quantised.
//
//    up, down:  y = down (act(gate x) * (up x + b))
//               up'[j, :] = s[j] up[j, :]    b'[j] = s[j] b[j]    down'[:, j] = down[:, j] / s[j]
//    v, o:      the same; column (head h, channel d) of o is divided by the scale of (kv head of h, channel d) of v
//
//  Never the gate half, whose activation is not linear. Meller et al., "Same, same but different: recovering neural
//  network quantization error through weight factorization", 2019; Xiao et al., "SmoothQuant", 2023.
#include <tenon/compress/fold_report.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <cstddef>
#include <type_traits>
#include <vector>

namespace tenon {

namespace fold {

/// Rows and their biases times their scale, column j over scale number `scale_of(j)`; shapes have been checked.
template <class R, class B, class C, class ScaleOf>
status scale_rows_and_columns(char const* name, char const* const (&subjects)[3], fold_report& report,
                              tensor_view<R, 2> rows, tensor_view<B, 1> bias, tensor_view<C, 2> columns,
                              std::vector<double> const& scale, ScaleOf&& scale_of) {
  fold_report done;
  for (bool const write : {false, true}) {
    for (index_t i = 0; i < rows.extent[0]; ++i) {
      double const s   = scale[static_cast<std::size_t>(i)];
      auto const   one = [&](auto& at) {
        using T           = std::remove_reference_t<decltype(at)>;
        double const from = number(at);
        T const      to   = rounded<T>(from * s);
        if (write) at = to, done.add(from * s, std::fma(from, s, -number(to)));
        return finite(to);
      };
      for (index_t j = 0; j < rows.extent[1]; ++j)
        if (!one(rows(i, j))) return {errc::out_of_range, name, subjects[0], i, j};
      if constexpr (!std::is_const_v<B>)
        if (bias.extent[0] != 0 && !one(bias(i))) return {errc::out_of_range, name, subjects[1], i, 0};
    }
    for (index_t i = 0; i < columns.extent[0]; ++i)
      for (index_t j = 0; j < columns.extent[1]; ++j) {
        double const s = scale[static_cast<std::size_t>(scale_of(j))], from = number(columns(i, j));
        C const      to = rounded<C>(from / s);
        if (!finite(to)) return {errc::out_of_range, name, subjects[2], i, j};
        if (write) columns(i, j) = to, done.add(from / s, std::fma(number(to), s, -from) / s);
      }
  }
  report = done;
  return {};
}

template <class S>
std::vector<double> numbers(tensor_view<S, 1> const& v) {
  std::vector<double> all;
  for (index_t i = 0; i < v.extent[0]; ++i) all.push_back(number(v(i)));
  return all;
}

/// A writable bias of n, or none.
template <class B>
contract& optional_bias(contract& c, tensor_view<B, 1> const& bias, index_t n, char const* subject) {
  if (bias.extent[0] == 0) return c;
  return c.require(!std::is_const_v<B>, errc::unsupported, subject)
      .require(bias.extent[0] == n, errc::shape_mismatch, subject, bias.extent[0], n)
      .addressable(bias, subject);
}

template <class S>
contract& scales(contract& c, tensor_view<S, 1> const& scale, index_t n) {
  vector(c, scale, n, "scale", false);
  for (index_t i = 0; c.result.ok() && i < n; ++i) c.require(number(scale(i)) != 0, errc::out_of_range, "scale", i, 0);
  return c;
}

}  // namespace fold

/// up'[j, :] = scale[j] up[j, :], bias'[j] = scale[j] bias[j], down'[:, j] = down[:, j] / scale[j]
///
/// report  what rounding has changed (fold_report.hpp): powers of two are exact. Written when the call succeeds
/// up      (inner, hidden)  f32 f64 f16 bf16, any strides; changed in place. The linear half of a gated MLP (up_proj),
///                          or any layer whose output reaches `down` linearly; with a ReLU between them, only for
///                          positive scales
/// bias    (inner), or no_bias   of up; changed in place
/// down    (out, inner)     f32 f64 f16 bf16, any strides; changed in place
/// scale   (inner)          f32 f64 f16 bf16; any sign and size, not 0
///
/// Arithmetic  double, rounded once to the element of each weight; down is divided, not multiplied by a rounded
///             inverse.
/// Cost        two passes over the weights, the first of which only checks; a vector of inner.
/// Errors      out_of_range(scale: the first that is 0 or not finite; up, bias, down: `got` and `want` are row and
///             column of the first result that its storage cannot hold), shape_mismatch(inner, bias), unsupported(bias:
///             read-only), misaligned. Nothing is written then.
/// Test tests/compress/scale_pair_test.cpp.   Page docs/operators/folds.md.
template <fold_element U, fold_element B, fold_element D, fold_element S>
requires(!std::is_const_v<U> && !std::is_const_v<D>) status
    scale_pair(fold_report& report, tensor_view<U, 2> up, tensor_view<B, 1> bias, tensor_view<D, 2> down,
               tensor_view<S, 1> scale) {
  extent   inner{"inner"}, hidden{"hidden"}, out{"out"};
  contract c{"scale_pair"};
  c.shape(up, inner, hidden).shape(down, out, inner).addressable(up, "up").addressable(down, "down");
  fold::optional_bias(c, bias, inner.value, "bias");
  fold::scales(c, scale, inner.value);
  TENON_TRY(c.result);
  return fold::scale_rows_and_columns(c.primitive, {"up", "bias", "down"}, report, up, bias, down, fold::numbers(scale),
                                      [](index_t j) { return j; });
}

/// v'[c, :] = scale[c] v[c, :], bias'[c] = scale[c] bias[c],
/// o'[:, (h, d)] = o[:, (h, d)] / scale[(h / (q_heads / kv_heads), d)]
///
/// With grouped-query attention a kv head serves a group of query heads: its scale goes to the columns of all of them.
///
/// report   what rounding has changed. Written when the call succeeds
/// v        (kv_heads * head_dim, hidden)  f32 f64 f16 bf16, any strides; changed in place
/// bias     (kv_heads * head_dim), or no_bias   of v; changed in place
/// o        (out, q_heads * head_dim)      f32 f64 f16 bf16, any strides; changed in place. head_dim is that of values
/// scale    (kv_heads * head_dim)          f32 f64 f16 bf16; any sign and size, not 0
///
/// Not where values pass a norm before they are used.
///
/// Arithmetic  as of scale_pair.
/// Errors      out_of_range(kv_heads, q_heads, scale, v, bias, o), shape_mismatch(q_heads: not a multiple of kv_heads;
///             v: rows are not a multiple of kv_heads; bias; o: columns are not q_heads * head_dim), unsupported(bias:
///             read-only), misaligned. Nothing is written then.
/// Test tests/compress/scale_pair_test.cpp.   Page docs/operators/folds.md.
template <fold_element V, fold_element B, fold_element O, fold_element S>
requires(!std::is_const_v<V> && !std::is_const_v<O>) status
    scale_value_heads(fold_report& report, tensor_view<V, 2> v, tensor_view<B, 1> bias, tensor_view<O, 2> o,
                      tensor_view<S, 1> scale, index_t q_heads, index_t kv_heads) {
  extent   values{"v"}, hidden{"hidden"}, out{"out"}, columns{"o"};
  contract c{"scale_value_heads"};
  c.shape(v, values, hidden)
      .shape(o, out, columns)
      .require(kv_heads >= 1, errc::out_of_range, "kv_heads", kv_heads, 1)
      .require(q_heads >= 1, errc::out_of_range, "q_heads", q_heads, 1);
  TENON_TRY(c.result);
  index_t const head_dim = values.value / kv_heads, group = q_heads / kv_heads;
  c.require(q_heads % kv_heads == 0, errc::shape_mismatch, "q_heads", q_heads, kv_heads)
      .require(values.value % kv_heads == 0, errc::shape_mismatch, "v", values.value, kv_heads)
      .require(columns.value % q_heads == 0 && columns.value / q_heads == head_dim, errc::shape_mismatch, "o",
               columns.value, head_dim)
      .addressable(v, "v")
      .addressable(o, "o");
  fold::optional_bias(c, bias, values.value, "bias");
  fold::scales(c, scale, values.value);
  TENON_TRY(c.result);
  return fold::scale_rows_and_columns(c.primitive, {"v", "bias", "o"}, report, v, bias, o, fold::numbers(scale),
                                      [&](index_t j) { return j / head_dim / group * head_dim + j % head_dim; });
}

}  // namespace tenon
