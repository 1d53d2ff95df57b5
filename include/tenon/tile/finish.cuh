#pragma once
//  The end of a matrix product: fp32 sums of a block's tile, through an epilogue, into D.
//
//  The warps lay their accumulators down in shared memory, as D's rows and B's rows, whichever way round the fragments
//  were. Then all threads walk along D's rows, four neighbouring columns each: loads and stores are contiguous, eight
//  neighbouring threads hold 32 columns of one row and can sum over them, and every kernel, orientation and split of K ends
//  in the same code, so that an epilogue means the same everywhere.
#include <tenon/arch/arch.cuh>
#include <tenon/core/store_as.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/op/epilogue_pipeline.hpp>
#include <tenon/tile/mma.cuh>

#include <cstdint>

namespace tenon::inline TENON_TARGET::tile {

/// Rows of D x rows of B, fp32. A pitch of 8 modulo 32 words serves accumulators whose rows are D's (two neighbours per
/// store), 4 modulo 32 those whose rows are B's (`Swapped`): neither has bank conflicts, and rows start on 16 bytes.
template <int Rows, int Columns, bool Swapped>
struct alignas(16) sums {
  static_assert(Columns % 32 == 0, "tenon::tile::sums: columns in multiples of 32");
  static constexpr int rows = Rows, columns = Columns;
  static constexpr int pitch = Columns + (Swapped ? 4 : 8);

  float value[Rows * pitch];

  /// An accumulator of this warp whose first element is D's row `row`, B's row `column`, both within the tile.
  __device__ void put(int row, int column, float const (&v)[4]) {
    int const lane = arch::lane();
    if constexpr (Swapped) {
      TENON_UNROLL_DEVICE
      for (int e = 0; e < 4; ++e)
        value[(row + accumulator_column(lane, e)) * pitch + column + accumulator_row(lane, e)] = v[e];
    } else {
      TENON_UNROLL_DEVICE
      for (int e = 0; e < 4; e += 2) {
        vec<float, 2> two;
        two[0] = v[e], two[1] = v[e + 1];
        arch::store<2>(&value[(row + accumulator_row(lane, e)) * pitch + column + accumulator_column(lane, 0)], two);
      }
    }
  }

  /// Four neighbours, `column` a multiple of four.
  __device__ void get(float (&v)[4], int row, int column) const {
    auto const four = arch::load<4>(&value[row * pitch + column]);
    TENON_UNROLL_DEVICE
    for (int e = 0; e < 4; ++e) v[e] = four[e];
  }
};

/// The threads that hold the columns of one aligned segment of a row, four columns each.
struct lane_segment {
  template <int Columns>
  __device__ float sum(float v) const {
    TENON_UNROLL_DEVICE
    for (int lanes = 1; lanes < Columns / 4; lanes *= 2) v += arch::shuffle_xor(v, lanes);
    return v;
  }
  template <int Columns>
  __device__ float largest(float v) const {
    TENON_UNROLL_DEVICE
    for (int lanes = 1; lanes < Columns / 4; lanes *= 2) {
      float const other = arch::shuffle_xor(v, lanes);
      v                 = v == v && !(other <= v) ? other : v;  // a NaN stays
    }
    return v;
  }
  template <int Columns>
  __device__ bool leads() const {
    return arch::lane() % (Columns / 4) == 0;
  }
};

/// Room for the row values of an epilogue (epilogue_pipeline.hpp): empty where it has none.
template <class Pipeline, int Rows>
struct row_values {
  static constexpr int per_row = Pipeline::row_values;

  float value[per_row > 0 ? Rows* per_row : 1];

  /// Fills it for rows row.. of D, one warp per row. Collective over the block's warps; a barrier must follow.
  __device__ void make(Pipeline const& epilogue, index_t row, index_t rows, int warps) {
    if constexpr (per_row > 0) {
      for (int r = arch::warp(); r < Rows; r += warps)
        epilogue.each_row_value([&](auto const& stage, int i) {
          float sum = row + r < rows ? stage.row_term(row + r, arch::lane(), 32) : 0.f;
          TENON_UNROLL_DEVICE
          for (int lanes = 16; lanes > 0; lanes /= 2) sum += arch::shuffle_xor(sum, lanes);
          if (arch::lane() == 0) value[r * per_row + i] = stage.row_value(sum);
        });
    }
  }
  __device__ float const* of(int r) const { return value + r * per_row; }
};

/// Four neighbours of a row of D, the first `count` of them, as wide as alignment allows.
template <class D>
__device__ inline void store_neighbours(tensor_view<D, 2> const& d, index_t row, index_t column, float const (&v)[4],
                                        int count) {
  D* const to = d.data + row * d.stride[0] + column * d.stride[1];
  if (count == 4 && d.stride[1] == 1 && reinterpret_cast<std::uintptr_t>(to) % (4 * sizeof(D)) == 0) {
    vec<D, 4> all;
    TENON_UNROLL_DEVICE
    for (int e = 0; e < 4; ++e) all[e] = store_as<D>(v[e]);
    arch::store<4>(to, all);
  } else {
    TENON_UNROLL_DEVICE
    for (int e = 0; e < 4; ++e)
      if (e < count) to[e * d.stride[1]] = store_as<D>(v[e]);
  }
}

/// D's rows row..row+Rows-1 and the columns of D that B's rows b_row..b_row+Columns-1 make, from sums that
/// load(v, r, c) brings: four neighbours of row r of the tile from B's row c of the tile on (c a multiple of four).
/// Collective over Threads threads (whole warps), without a barrier: `load`'s memory and `values` must be ready.
template <int Threads, int Rows, int Columns, class D, class Pipeline, class Load>
__device__ inline void finish(tensor_view<D, 2> const& d, Pipeline const& epilogue,
                              row_values<Pipeline, Rows> const& values, index_t row, index_t b_row, int thread,
                              Load const& load) {
  constexpr int across = (Pipeline::paired ? Columns / 2 : Columns) / 4;  // threads along a row
  constexpr int total  = Rows * across;
  static_assert(Pipeline::segment <= 4 * across && 4 * across % Pipeline::segment == 0,
                "tenon::tile::finish: the epilogue looks along more columns than this tile has");
  static_assert(total % 32 == 0, "tenon::tile::finish: whole warps");
  index_t const first = Pipeline::paired ? b_row / 2 : b_row;  // of D's columns
  for (int i = thread; i < total; i += Threads) {
    int const     r = i / across, c = i % across * 4;
    index_t const column = first + c, left = d.extent[1] - column;
    int const     count = row + r >= d.extent[0] || left <= 0 ? 0 : left < 4 ? static_cast<int>(left) : 4;
    float         v[4];
    if constexpr (Pipeline::paired) {
      float     up[4];
      int const gate = c / pair_group * (2 * pair_group) + c % pair_group;
      load(v, r, gate), load(up, r, gate + pair_group);
      epilogue.run(lane_segment{}, v, up, row + r, column, count, values.of(r));
    } else {
      load(v, r, c);
      epilogue.run(lane_segment{}, v, row + r, column, count, values.of(r));
    }
    if (count > 0) store_neighbours(d, row + r, column, v, count);
  }
}

}  // namespace tenon::inline TENON_TARGET::tile
