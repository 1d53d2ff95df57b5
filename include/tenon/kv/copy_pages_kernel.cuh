#pragma once
//  kv.k[to, t, h, :] = kv.k[from, t, h, :] for t < tokens, for every (from, to, tokens) of the list, and v the same
//
//  Bytes of any format: what a token holds is rows of bytes, of numbers, or of codes and of scales.
//  Blocks (copy, share of its bytes, k or v); threads stride over pieces of 16, 4 or 1 bytes, as the strides of a view allow,
//  and have several in flight. The host: one thread, row by row.
//  Traffic: the list once per block, the tokens read once and written once.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/byte_piece.cuh>
#include <tenon/kv/byte_rows.hpp>
#include <tenon/kv/copy_pages_policy.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

/// One view of a cache as rows of bytes. Heads and parts that lie side by side are one row; axes along which elements are
/// shared (scales with a stride of 0) have one element.
struct copy_pages_rows {
  byte_rows at;
  int       access;  // byte_access(at)
};

struct copy_pages_params {
  copy_pages_rows                    rows[2][2];  // of k and of v: numbers and nothing, or codes and scales
  tensor_view<std::int32_t const, 2> copies;      // (copies, 3): from, to, tokens
  index_t                            pages;
};

/// The rows of the first tokens of a page, from `from` to `to`: by one thread.
template <class Policy, int Access>
requires(Policy::value.on_host())
    __device__ inline void copy_rows(byte_rows const& at, std::uint8_t const* from, std::uint8_t* to, int tokens) {
  byte_piece<Access> piece;
  for (index_t t = 0; t < tokens; ++t)
    for (index_t h = 0; h < at.extent[2]; ++h)
      for (index_t g = 0; g < at.extent[3]; ++g) {
        index_t const row = t * at.stride[1] + h * at.stride[2] + g * at.stride[3];
        for (index_t d = row; d < row + at.extent[4]; d += Access) piece.load(from + d), piece.store(to + d);
      }
}

/// The same by this block's share of the threads of all blocks (copy, _, k or v).
template <class Policy, int Access>
requires(!Policy::value.on_host())
    __device__ inline void copy_rows(byte_rows const& at, std::uint8_t const* from, std::uint8_t* to, int tokens) {
  constexpr int  threads = Policy::value.threads_per_block, held = Policy::value.held;
  unsigned const pieces = static_cast<unsigned>(at.extent[4]) / Access, heads = static_cast<unsigned>(at.extent[2]);
  unsigned const all = static_cast<unsigned>(tokens) * heads * pieces;  // of a part; less than 2^31

  for (index_t g = 0; g < at.extent[3]; ++g)
    for (unsigned first = blockIdx.y * (threads * held) + threadIdx.x; first < all;
         first += gridDim.y * (threads * held)) {
      byte_piece<Access> piece[held]  = {};
      index_t            offset[held] = {};
      TENON_UNROLL
      for (int n = 0; n < held; ++n)
        if (unsigned const i = first + static_cast<unsigned>(n * threads); i < all) {
          unsigned const row = i / pieces;
          offset[n]          = g * at.stride[3] + row / heads * at.stride[1] + row % heads * at.stride[2] +
                      static_cast<index_t>(i % pieces) * Access;
          piece[n].load(from + offset[n]);
        }
      TENON_UNROLL
      for (int n = 0; n < held; ++n)
        if (first + static_cast<unsigned>(n * threads) < all) piece[n].store(to + offset[n]);
    }
}

template <class Policy>
__global__ __launch_bounds__(Policy::value.threads_per_block) void copy_pages(
    __grid_constant__ copy_pages_params const p) {
  // Index map: a copy from or to a page outside the cache, or onto itself, is nobody's.
  index_t const copy = blockIdx.x;
  index_t const from = p.copies(copy, 0), to = p.copies(copy, 1);
  if (from == to || from < 0 || from >= p.pages || to < 0 || to >= p.pages) return;
  index_t const tokens = max(index_t{p.copies(copy, 2)}, index_t{0});

  // Copy: numbers, or codes and then scales.
  for (int part = 0; part < 2; ++part) {
    auto const& rows   = p.rows[blockIdx.z][part];
    auto const* source = rows.at.data + from * rows.at.stride[0];
    auto* const target = rows.at.data + to * rows.at.stride[0];
    int const   some   = static_cast<int>(min(tokens, rows.at.extent[1]));
    switch (rows.access) {
      case 16: copy_rows<Policy, 16>(rows.at, source, target, some); break;
      case 4: copy_rows<Policy, 4>(rows.at, source, target, some); break;
      default: copy_rows<Policy, 1>(rows.at, source, target, some);
    }
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
