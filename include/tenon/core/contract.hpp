#pragma once
//  Argument checks of one call, chained; the first failure is kept and named.
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cstddef>
#include <cstdint>

namespace tenon {

/// A named extent: bound by the first view that mentions it, checked by every later one.
struct extent {
  char const* name;
  index_t     value = -1;
};

/// contract{"rms_norm"}.shape(x, tokens, hidden).contiguous(x, "x").result
struct contract {
  char const* primitive;
  status      result{};

  template <class Element, int Rank, std::same_as<extent>... Extent>
  constexpr contract& shape(tensor_view<Element, Rank> const& v, Extent&... e) {
    static_assert(sizeof...(Extent) == Rank, "tenon::contract::shape: one named extent per axis");
    extent* const bound[] = {&e...};
    for (int d = 0; d < Rank; ++d) {
      require(v.extent[d] >= 0, errc::out_of_range, bound[d]->name, v.extent[d], 0);
      if (bound[d]->value < 0) bound[d]->value = v.extent[d];
      require(bound[d]->value == v.extent[d], errc::shape_mismatch, bound[d]->name, v.extent[d], bound[d]->value);
    }
    return *this;
  }

  /// The innermost axis has stride 1 (or at most one element).
  template <class Element, int Rank>
  constexpr contract& contiguous(tensor_view<Element, Rank> const& v, char const* subject) {
    return require(v.stride[Rank - 1] == 1 || v.extent[Rank - 1] <= 1, errc::bad_stride, subject, v.stride[Rank - 1],
                   1);
  }

  /// A view with elements has an address, and it is a multiple of the element's size.
  template <class Element, int Rank>
  contract& addressable(tensor_view<Element, Rank> const& v, char const* subject) {
    if (v.size() == 0) return *this;
    require(v.data != nullptr, errc::out_of_range, subject, 0, 1);
    auto const address = reinterpret_cast<std::uintptr_t>(v.data);
    return require(address % alignof(Element) == 0, errc::misaligned, subject,
                   static_cast<index_t>(address % alignof(Element)), 0);
  }

  constexpr contract& require(bool holds, errc code, char const* subject, index_t got = 0, index_t want = 0) {
    if (result.ok() && !holds) result = {code, primitive, subject, got, want};
    return *this;
  }
};

}  // namespace tenon
