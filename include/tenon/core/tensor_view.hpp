#pragma once
//  Non-owning strided views: what every operator takes.
#include <tenon/config.hpp>
#include <tenon/core/vec.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tenon {

using index_t = std::int64_t;

/// T is U or U const: `template <element_of<float> T> ... tensor_view<T, 2>` takes both views of floats.
template <class T, class U>
concept element_of = std::same_as<std::remove_const_t<T>, U>;

/// Extents and strides count elements and are 64-bit; the last axis is innermost.
template <class Element, int Rank>
struct tensor_view {
  static_assert(Rank >= 1 && Rank <= 6, "tenon::tensor_view: Rank must be in [1, 6]");
  using element = Element;

  Element* data         = nullptr;
  index_t  extent[Rank] = {};
  index_t  stride[Rank] = {};

  template <class... Index>
  TENON_HD constexpr Element& operator()(Index... index) const {
    static_assert(sizeof...(Index) == Rank, "tenon::tensor_view: one index per axis");
    index_t const i[]    = {static_cast<index_t>(index)...};
    index_t       offset = 0;
    for (int d = 0; d < Rank; ++d) offset += i[d] * stride[d];
    return data[offset];
  }

  TENON_HD constexpr index_t size() const {
    index_t n = 1;
    for (int d = 0; d < Rank; ++d) n *= extent[d];
    return n;
  }

  /// A mutable view is a read-only one where no template argument has to be deduced from it.
  template <class Const>
  requires(std::is_same_v<Const, Element const> && !std::is_const_v<Element>) TENON_HD constexpr
  operator tensor_view<Const, Rank>() const {
    tensor_view<Const, Rank> r{};
    r.data = data;
    for (int d = 0; d < Rank; ++d) r.extent[d] = extent[d], r.stride[d] = stride[d];
    return r;
  }

  /// Rows first..first+count of the outermost axis.
  TENON_HD constexpr tensor_view slice(index_t first, index_t count) const {
    tensor_view v = *this;
    v.data += first * stride[0];
    v.extent[0] = count;
    return v;
  }
};

/// The same view, read-only. Kernels are instantiated on this, so a const and a mutable argument share one kernel.
template <class Element, int Rank>
TENON_HD constexpr tensor_view<std::remove_const_t<Element> const, Rank> as_const(tensor_view<Element, Rank> const& v) {
  tensor_view<std::remove_const_t<Element> const, Rank> r{};
  r.data = v.data;
  for (int d = 0; d < Rank; ++d) r.extent[d] = v.extent[d], r.stride[d] = v.stride[d];
  return r;
}

/// A dense view: the last axis is contiguous, every other stride is the product of the extents behind it.
template <class Element, std::convertible_to<index_t>... Extent>
constexpr tensor_view<Element, static_cast<int>(sizeof...(Extent))> dense(Element* data, Extent... extent) {
  constexpr int              rank = sizeof...(Extent);
  tensor_view<Element, rank> v{data, {static_cast<index_t>(extent)...}, {}};
  index_t                    step = 1;
  for (int d = rank; d-- > 0;) v.stride[d] = step, step *= v.extent[d];
  return v;
}

/// Whether every run of N elements from a multiple of N on, in every row, may be moved by one vector access (`vec<T, N>`).
template <int N, class Element, int Rank>
bool is_vectorised(tensor_view<Element, Rank> const& v) {
  constexpr std::size_t bytes = alignof(vec<std::remove_const_t<Element>, N>);
  if (v.stride[Rank - 1] != 1 || reinterpret_cast<std::uintptr_t>(v.data) % bytes != 0) return false;
  for (int d = 0; d + 1 < Rank; ++d)
    if (v.extent[d] > 1 && v.stride[d] * static_cast<index_t>(sizeof(Element)) % static_cast<index_t>(bytes) != 0)
      return false;
  return true;
}

}  // namespace tenon
