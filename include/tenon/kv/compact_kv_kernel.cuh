#pragma once
//  token j of head h of request r becomes what token kept[r,h,j] was: rows of bytes, as in copy_pages, of any format.
//
//  Blocks (request and head, share of its columns, k or v). A block takes its pieces in the order of the kept tokens,
//  as many at once as its threads hold: all loads, a barrier, all stores. In place that is free of races because lists
//  ascend, so kept[j] >= j: what piece (j, c) overwrites, piece (kept, c) of an index j' <= j has read, in this round,
//  in front of the barrier, or in an earlier one; and what later rounds read lies behind all that was written. Other
//  blocks have other columns. The host: one thread, token by token.
//  Traffic: lists and tables once per block (from cache), kept tokens read once and written once.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/byte_piece.cuh>
#include <tenon/kv/byte_rows.hpp>
#include <tenon/kv/compact_kv_policy.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

struct compact_kv_params {
  byte_rows                          to[2][2], from[2][2];  // of k and of v: byte_parts; no bytes: nothing to move
  int                                access[2][2];          // bytes that move at once: 16, 4 or 1
  tensor_view<std::int32_t const, 3> to_table, from_table;  // (requests, kv_heads, max_pages)
  tensor_view<std::int32_t const, 3> kept;                  // (requests, kv_heads, max_kept)
  tensor_view<std::int32_t const, 2> kept_length;           // (requests, kv_heads)
};

/// The row of a token, or nullptr where its table or its cache has no such token.
__device__ inline std::uint8_t* compact_row(byte_rows const& rows, tensor_view<std::int32_t const, 3> const& table,
                                            int request, int head, int token) {
  int const page_size = static_cast<int>(rows.extent[1]);
  if (token < 0 || token / page_size >= table.extent[2]) return nullptr;
  index_t const page = table(request, head, token / page_size);
  if (page < 0 || page >= rows.extent[0]) return nullptr;
  return rows.data + page * rows.stride[0] + token % page_size * rows.stride[1] + head * rows.stride[2];
}

/// One part of the rows of one head: by one thread, token by token.
template <class Policy, int Access>
requires(Policy::value.on_host())
    __device__ inline void compact_head(compact_kv_params const& p, byte_rows const& to, byte_rows const& from,
                                        int request, int head, int kept) {
  byte_piece<Access> piece;
  for (int j = 0; j < kept; ++j) {
    std::uint8_t const* const source = compact_row(from, p.from_table, request, head, p.kept(request, head, j));
    std::uint8_t* const       target = compact_row(to, p.to_table, request, head, j);
    if (source == target || source == nullptr || target == nullptr) continue;
    for (index_t g = 0; g < to.extent[3]; ++g)
      for (index_t c = 0; c < to.extent[4]; c += Access)
        piece.load(source + g * from.stride[3] + c), piece.store(target + g * to.stride[3] + c);
  }
}

/// The same by a block, for its share of the columns.
template <class Policy, int Access>
requires(!Policy::value.on_host())
    __device__ inline void compact_head(compact_kv_params const& p, byte_rows const& to, byte_rows const& from,
                                        int request, int head, int kept) {
  constexpr int threads = Policy::value.threads_per_block, held = Policy::value.held;

  // Index map: pieces first_column..first_column+columns-1 of every row, part after part.
  int const pieces = static_cast<int>(to.extent[4]) / Access, shares = static_cast<int>(gridDim.y);
  int const each = ceil_div(pieces, shares), first_column = static_cast<int>(blockIdx.y) * each;
  int const columns = min(each, pieces - first_column);
  if (columns <= 0) return;
  unsigned const all = static_cast<unsigned>(max(kept, 0)) * static_cast<unsigned>(columns);  // less than 2^31

  for (index_t g = 0; g < to.extent[3]; ++g)
    for (unsigned first = 0; first < all; first += threads * held) {
      // Load.
      byte_piece<Access> piece[held]  = {};
      std::uint8_t*      target[held] = {};
      TENON_UNROLL
      for (int n = 0; n < held; ++n)
        if (unsigned const i = first + static_cast<unsigned>(n * threads) + threadIdx.x; i < all) {
          int const     j      = static_cast<int>(i / static_cast<unsigned>(columns));
          index_t const column = (first_column + static_cast<index_t>(i % static_cast<unsigned>(columns))) * Access;
          auto const*   source = compact_row(from, p.from_table, request, head, p.kept(request, head, j));
          auto*         row    = compact_row(to, p.to_table, request, head, j);
          if (source == row || source == nullptr || row == nullptr) continue;
          piece[n].load(source + g * from.stride[3] + column);
          target[n] = row + g * to.stride[3] + column;
        }

      // Every piece of this round has left its place before any is put down.
      arch::sync_block();
      TENON_UNROLL
      for (int n = 0; n < held; ++n)
        if (target[n] != nullptr) piece[n].store(target[n]);
    }
}

template <class Policy>
__global__ __launch_bounds__(
    Policy::value.threads_per_block,
    Policy::value.blocks_per_multiprocessor()) void compact_kv(__grid_constant__ compact_kv_params const p) {
  int const heads   = static_cast<int>(p.kept.extent[1]);
  int const request = static_cast<int>(blockIdx.x) / heads, head = static_cast<int>(blockIdx.x) % heads;
  int const kept = min(p.kept_length(request, head), static_cast<int>(p.kept.extent[2]));

  // Numbers, or codes and then scales.
  for (int part = 0; part < 2; ++part) {
    auto const& to   = p.to[blockIdx.z][part];
    auto const& from = p.from[blockIdx.z][part];
    if (to.extent[4] == 0) continue;
    switch (p.access[blockIdx.z][part]) {
      case 16: compact_head<Policy, 16>(p, to, from, request, head, kept); break;
      case 4: compact_head<Policy, 4>(p, to, from, request, head, kept); break;
      default: compact_head<Policy, 1>(p, to, from, request, head, kept);
    }
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
