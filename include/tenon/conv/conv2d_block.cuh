#pragma once
//  Which part of a convolution a block makes, and how patches of the image become tiles of A in the ring of the dense product
//  (gemm_ring.cuh): the index map of conv2d_params.hpp, zeros for padding.
#include <tenon/arch/arch.cuh>
#include <tenon/conv/conv2d_params.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/gemm/gemm_block.cuh>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/gemm/gemm_ring.cuh>
#include <tenon/tile/copy.cuh>
#include <tenon/tile/swizzle.cuh>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

/// One block's share of the work: the dense product's, whose d and b end where the group's channels do.
template <class D, class T>
struct conv2d_block : gemm_block<D, T> {
  index_t  tile_of_group;
  index_t  first_column;  // of the group, in d (grouped convolutions have as many rows of b)
  T const* data;          // of x, from the group's first channel on

  template <class Pipeline>
  __device__ explicit conv2d_block(conv2d_params<D, T, Pipeline> const& p) : gemm_block<D, T>(p.product) {
    index_t const group = this->tile / p.group_tiles;
    tile_of_group       = this->tile - group * p.group_tiles;
    first_column        = group * p.group_columns;
    data                = p.image.data + group * p.image.channels;
    if constexpr (!Pipeline::paired)  // pairs have one group
      this->d.extent[1] = this->b.extent[0] = first_column + p.group_columns;
  }
};

/// Shared memory of the tiled kernels. The ring comes first: the block's end takes its place.
template <class Policy, class T>
struct conv2d_storage {
  gemm_ring<Policy, T> ring;
  /// Where the tile's rows of A start in x: 16 bytes each, moved at once.
  vec<std::int64_t, 2> pixels[Policy::value.rows];

  /// Collective over the block, with a barrier.
  __device__ void make_pixels(conv2d_image<T> const& image, index_t row, index_t rows) {
    for (int r = static_cast<int>(threadIdx.x); r < Policy::value.rows; r += Policy::value.threads)
      put_pixel(r, row + r < rows ? image.pixel(row + r) : image.no_pixel());
    arch::sync_block();
  }

  /// Starts copying tile `t` of K into stage `stage`; one group of copies, empty past the end.
  template <class D>
  __device__ void fetch(conv2d_image<T> const& image, conv2d_block<D, T> const& block, index_t depth,
                        gemm_tile_place const& place, int t, int end, int stage) {
    constexpr int threads = Policy::value.threads;
    int const     thread  = static_cast<int>(threadIdx.x);
    index_t const column  = static_cast<index_t>(t) * gemm_ring<Policy, T>::depth;
    if constexpr (Policy::value.wide) {
      if (t < end) {
        copy_patches_async(ring.a[stage], image, block.data, depth, column, thread);
        tile::copy_async<threads>(ring.b[stage], block.b, place.b_row, column, thread);
      }
      arch::cp_async_commit();
    } else if (t < end) {
      copy_patch_elements(ring.a[stage], image, block.data, depth, column, thread);
      tile::copy_elements<threads>(ring.b[stage], block.b, place.b_row, column, thread);
    }
  }

 private:
  using tile_type                = tile::shared_tile<T, Policy::value.rows, gemm_ring<Policy, T>::depth>;
  static constexpr int per_chunk = tile_type::per_chunk, chunks = tile_type::chunks_per_row;
  static constexpr int step = Policy::value.threads / chunks;  // rows; a thread stays in its column of chunks
  static_assert(Policy::value.threads % chunks == 0);

  __device__ void put_pixel(int r, conv2d_pixel const& pixel) {
    vec<std::int64_t, 2> words;
    words[0] = pixel.offset;
    words[1] = static_cast<std::int64_t>(pixel.y) << 32 | static_cast<std::uint32_t>(pixel.x);
    arch::store<2>(&pixels[r][0], words);
  }
  __device__ conv2d_pixel pixel(int r) const {
    auto const words = arch::load<2>(&pixels[r][0]);
    return {words[0], static_cast<int>(words[1] >> 32), static_cast<int>(words[1])};
  }

  /// Columns column.. of the tile's rows, chunks of one tap each: `channels` is a multiple of a chunk, all on 16 bytes.
  __device__ void copy_patches_async(tile_type& to, conv2d_image<T> const& image, T const* data, index_t depth,
                                     index_t column, int thread) const {
    int const        c = thread % chunks, first = thread / chunks;
    index_t const    k      = column + c * per_chunk;
    bool const       within = k < depth;
    conv2d_tap const tap    = within ? image.tap(static_cast<int>(k)) : conv2d_tap{};
    TENON_UNROLL_DEVICE
    for (int i = 0; i < Policy::value.rows; i += step) {
      int const r = first + i;
      if (Policy::value.rows % step != 0 && r >= Policy::value.rows) break;
      conv2d_pixel const from  = pixel(r);
      bool const         alive = within && image.inside(from, tap);
      arch::cp_async<16>(to.chunk(r, c), alive ? data + (from.offset + tap.offset) : image.data, alive ? 16 : 0);
    }
  }

  /// The same for any number of channels and any alignment, by element loads; done on return, for this thread.
  __device__ void copy_patch_elements(tile_type& to, conv2d_image<T> const& image, T const* data, index_t depth,
                                      index_t column, int thread) const {
    constexpr int     count = ceil_div(Policy::value.rows, step);
    int const         c = thread % chunks, first = thread / chunks;
    vec<T, per_chunk> v[count];
    TENON_UNROLL_DEVICE
    for (int e = 0; e < per_chunk; ++e) {
      index_t const    k      = column + c * per_chunk + e;
      bool const       within = k < depth;
      conv2d_tap const tap    = within ? image.tap(static_cast<int>(k)) : conv2d_tap{};
      TENON_UNROLL_DEVICE
      for (int i = 0; i < count; ++i) {
        int const r = first + i * step;
        v[i][e]     = T(0);
        if (!within || r >= Policy::value.rows) continue;
        conv2d_pixel const from = pixel(r);
        if (image.inside(from, tap)) v[i][e] = data[from.offset + tap.offset];
      }
    }
    TENON_UNROLL_DEVICE
    for (int i = 0; i < count; ++i)
      if (first + i * step < Policy::value.rows) arch::store<per_chunk>(to.chunk(first + i * step, c), v[i]);
  }
};

}  // namespace tenon::inline TENON_TARGET::kernel
