#pragma once
//  One head of one token's key or value in a paged cache, read as floats.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/kv/kv_format.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

template <class Pages>
struct kv_row;

template <class T>
struct kv_row<tensor_view<T const, 4>> {
  T const* at;

  __device__ kv_row(tensor_view<T const, 4> const& pages, index_t page, index_t place, index_t head)
      : at(&pages(page, place, head, 0)) {}
  /// Columns d..d+N-1.
  template <int N>
  __device__ void get(float (&x)[N], int d) const {
    auto const piece = arch::load<N>(at + d);
    TENON_UNROLL_DEVICE
    for (int i = 0; i < N; ++i) x[i] = static_cast<float>(piece[i]);
  }
};

template <class Format>
struct kv_row<kv_code_pages<Format const>> {
  std::uint8_t const*                code;
  typename Format::scale_type const* scale;
  index_t                            step;  // from a group's scale to the next one's

  __device__ kv_row(kv_code_pages<Format const> const& pages, index_t page, index_t place, index_t head)
      : code(&pages.code(page, place, head, 0)),
        scale(&pages.scale(page, place, head, 0)),
        step(pages.scale.stride[3]) {}
  /// Columns d..d+N-1 of one group, d a multiple of N.
  template <int N>
  __device__ void get(float (&x)[N], int d) const {
    auto const  s    = Format::group == 0 ? *scale : scale[d / max(Format::group, 1) * step];
    float const unit = kv_scale(s), shift = kv_offset(s);
    if constexpr (N * Format::bits % 8 == 0) {
      constexpr int bytes = N * Format::bits / 8;
      auto const    piece = arch::load<bytes>(code + d * Format::bits / 8);
      TENON_UNROLL_DEVICE
      for (int i = 0; i < N; ++i) x[i] = unit * kv_code_number<Format>(piece.element, i) + shift;
    } else {
      TENON_UNROLL_DEVICE
      for (int i = 0; i < N; ++i) x[i] = unit * kv_code_number<Format>(code, d + i) + shift;
    }
  }
};
template <class Pages>
kv_row(Pages, index_t, index_t, index_t) -> kv_row<Pages>;

}  // namespace tenon::inline TENON_TARGET::kernel
