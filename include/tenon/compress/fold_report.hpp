#pragma once
//  What the folds of weights have in common: numbers are computed in double and rounded once, to what they are stored
//  as; and a report of what that one rounding has cost.
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace tenon {

/// What a fold reads and writes: double is there for tests and for chains of folds that want one rounding at their end.
template <class T>
concept fold_element = element_of<T, float> || element_of<T, double> || element_of<T, f16> || element_of<T, bf16>;

/// What storing the results of a fold has changed.
struct fold_report {
  index_t values        = 0;  // that were written
  index_t rounded       = 0;  // of these, not the number that was meant
  double  largest_error = 0;  // |stored - meant| / |meant|, the largest of them

  bool exact() const { return rounded == 0; }
  /// More was lost than the rounding of an f32: 16-bit storage, or numbers below the normal ones.
  bool lossy() const { return largest_error > 0x1p-24; }

  void add(double meant, double error) {
    ++values;
    if (error == 0) return;
    ++rounded;
    double const relative = std::abs(error) / std::abs(meant);
    if (!(relative <= largest_error)) largest_error = relative;
  }
};

/// In place of a bias that a layer does not have.
inline constexpr tensor_view<float const, 1> no_bias{};

namespace fold {

template <fold_element T>
double number(T v) {
  if constexpr (std::is_same_v<T, double>) return v;
  else return static_cast<double>(static_cast<float>(v));
}

/// The T nearest to v, ties to even, in one rounding.
template <fold_element T>
T rounded(double v) {
  if constexpr (std::is_same_v<T, double> || std::is_same_v<T, float>) {
    return static_cast<T>(v);
  } else {
    // By way of an f32 that is rounded to odd: its last bit remembers that there was more, so no tie is made up.
    auto       f    = static_cast<float>(v);
    auto const bits = bit_cast<std::uint32_t>(f);
    if (static_cast<double>(f) != v && v == v && (bits & 1) == 0)
      f = bit_cast<float>(std::abs(static_cast<double>(f)) < std::abs(v) ? bits + 1 : bits - 1);
    return T(f);
  }
}

template <fold_element T>
bool finite(T v) {
  return std::isfinite(number(v));
}

template <class Element, int Rank>
Element& at(tensor_view<Element, Rank> const& v, index_t const* i) {
  index_t offset = 0;
  for (int d = 0; d < Rank; ++d) offset += i[d] * v.stride[d];
  return v.data[offset];
}

/// Both have the same extents.
template <class A, class B, int Rank>
contract& same_shape(contract& c, tensor_view<A, Rank> const& a, tensor_view<B, Rank> const& b, char const* subject) {
  for (int d = 0; d < Rank; ++d) {
    c.require(b.extent[d] >= 0, errc::out_of_range, subject, b.extent[d], 0);
    c.require(a.extent[d] == b.extent[d], errc::shape_mismatch, subject, a.extent[d], b.extent[d]);
  }
  return c;
}

/// Optional vectors: one without elements stands for `none` in every place.
template <class Element>
double number_or(double none, tensor_view<Element, 1> const& v, index_t i) {
  return v.extent[0] == 0 ? none : number(v(i));
}
/// Length n (or 0, where it is optional), an address, and finite numbers: the first that is not is `got`.
template <class Element>
contract& vector(contract& c, tensor_view<Element, 1> const& v, index_t n, char const* subject, bool optional) {
  if (optional && v.extent[0] == 0) return c;
  c.require(v.extent[0] >= 0, errc::out_of_range, subject, v.extent[0], 0)
      .require(v.extent[0] == n, errc::shape_mismatch, subject, v.extent[0], n)
      .addressable(v, subject);
  for (index_t i = 0; c.result.ok() && i < n; ++i) c.require(finite(v(i)), errc::out_of_range, subject, i, 0);
  return c;
}

/// visit(index per axis) for every element of `like`, the last axis innermost, until it answers a failure.
template <class Element, int Rank, class Visit>
status each(tensor_view<Element, Rank> const& like, Visit&& visit) {
  index_t i[Rank] = {};
  for (index_t n = like.size(); n > 0; --n) {
    if (status const s = visit(i); !s.ok()) return s;
    for (int d = Rank; d-- > 0 && ++i[d] == like.extent[d];) i[d] = 0;
  }
  return {};
}

/// `check` and then `write`: to[i] = value(i), rounded once, everywhere; or nothing at all where one would not be
/// finite, whose first index and place behind it are then `got` and `want` (out_of_range). `value` is asked twice, and
/// before its element is written.
template <fold_element T, int Rank, class Value>
status check(char const* primitive, char const* subject, tensor_view<T, Rank> const& to, Value&& value) {
  return each(to, [&](index_t const* i) -> status {
    if (finite(rounded<T>(value(i)))) return {};
    index_t within = 0;
    for (int d = 1; d < Rank; ++d) within = within * to.extent[d] + i[d];
    return {errc::out_of_range, primitive, subject, i[0], within};
  });
}
template <fold_element T, int Rank, class Value>
void write(tensor_view<T, Rank> const& to, Value&& value) {
  (void)each(to, [&](index_t const* i) -> status {
    at(to, i) = rounded<T>(value(i));
    return {};
  });
}

/// Weight and bias of a folded layer: both, or neither.
template <fold_element W, int Rank, fold_element B, class WeightAt>
status store_layer(char const* primitive, tensor_view<W, Rank> const& w, WeightAt&& weight_at,
                   tensor_view<B, 1> const& bias, std::vector<double> const& biases) {
  auto const bias_at = [&](index_t const* i) { return biases[static_cast<std::size_t>(i[0])]; };
  TENON_TRY(check(primitive, "w", w, weight_at));
  TENON_TRY(check(primitive, "bias", bias, bias_at));
  write(w, weight_at);
  write(bias, bias_at);
  return {};
}

}  // namespace fold

}  // namespace tenon
