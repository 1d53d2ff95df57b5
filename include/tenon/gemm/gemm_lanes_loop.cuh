#pragma once
//  What the host's products are made of, block by block of one thread: dot products of a few rows of A with a few rows of B
//  in vector registers along K, and the epilogue over a run of a row of D.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/store_as.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/op/epilogue_pipeline.hpp>

#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

/// Columns of D that go through the epilogue together.
template <class Pipeline>
inline constexpr int gemm_lanes_group = Pipeline::segment > 16 ? Pipeline::segment : 16;

/// sums[r][c] += A[r,0..k) B[c,0..k) for contiguous rows at a[r] and b[c], k = 0 or at least one run.
template <int N, int R, int C, class T>
__device__ inline void gemm_lanes_add(arch::stripe<N> (&sums)[R][C], T const* const (&a)[R], T const* const (&b)[C],
                                      index_t k) {
  constexpr int run = arch::run<N, T>::elements;

  arch::stripe<N> mine[R][C];  // a copy that stays in registers
  TENON_UNROLL
  for (int i = 0; i < R * C; ++i) mine[i / C][i % C] = sums[i / C][i % C];
  auto const step = [&](auto const& load) {
    arch::run<N, T> row[R];
    TENON_UNROLL
    for (int r = 0; r < R; ++r) row[r] = load(a[r]);
    TENON_UNROLL
    for (int c = 0; c < C; ++c) {
      auto const column = load(b[c]);
      TENON_UNROLL
      for (int r = 0; r < R; ++r) arch::multiply_add(mine[r][c], row[r], column);
    }
  };

  index_t const whole = k / run * run;
  for (index_t i = 0; i < whole; i += run) step([i](T const* from) { return arch::load_run<N>(from + i); });
  if (whole < k) {  // the last run, less what is summed already
    int const done = static_cast<int>(run - (k - whole));
    step([=](T const* from) { return arch::load_last_of_run<N>(from + k - run, done); });
  }
  TENON_UNROLL
  for (int i = 0; i < R * C; ++i) sums[i / C][i % C] = mine[i / C][i % C];
}

/// The same for any k and strides, through zero-filled panels; every product in the lane that gemm_lanes_add gives it.
template <int N, int R, int C, class T>
__device__ void gemm_lanes_add_gathered(arch::stripe<N> (&sums)[R][C], T const* const (&a)[R], index_t a_step,
                                        T const* const (&b)[C], index_t b_step, index_t k) {
  constexpr int run = arch::run<N, T>::elements, panel = 4 * run;
  T             gathered[R + C][panel];
  T const*      rows[R];
  T const*      columns[C];
  for (int r = 0; r < R; ++r) rows[r] = gathered[r];
  for (int c = 0; c < C; ++c) columns[c] = gathered[R + c];

  index_t const whole = k / run * run;
  auto const    add   = [&](index_t first, int count, int offset) {  // elements first.. go to offset..
    int const  used   = round_up(count, run);
    auto const gather = [&](T(&to)[panel], T const* from, index_t step) {
      for (int i = 0; i < used; ++i) to[i] = T(0.f);
      for (int i = 0; i < count; ++i) to[offset + i] = from[(first + i) * step];
    };
    for (int r = 0; r < R; ++r) gather(gathered[r], a[r], a_step);
    for (int c = 0; c < C; ++c) gather(gathered[R + c], b[c], b_step);
    gemm_lanes_add<N>(sums, rows, columns, used);
  };
  for (index_t first = 0; first < whole; first += panel)
    add(first, static_cast<int>(min<index_t>(panel, whole - first)), 0);
  int const rest = static_cast<int>(k - whole);
  if (rest > 0) add(whole, rest, whole > 0 ? run - rest : 0);
}

/// products[r][c] = sum_k A[r,k] B[c,k] for R rows at a[r] and C rows at b[c], elements a_step and b_step apart.
template <class Policy, int R, int C, class T>
__device__ inline void gemm_lanes_tile(float (&products)[R][C], T const* const (&a)[R], index_t a_step,
                                       T const* const (&b)[C], index_t b_step, index_t k) {
  constexpr int   N          = Policy::value.depth;
  arch::stripe<N> sums[R][C] = {};
  if (Policy::value.wide && k >= arch::run<N, T>::elements) {
    gemm_lanes_add<N>(sums, a, b, k);
  } else {
    gemm_lanes_add_gathered<N>(sums, a, a_step, b, b_step, k);
  }
  TENON_UNROLL
  for (int r = 0; r < R; ++r) arch::sum(products[r], sums[r]);
}

/// The first `count` of a group of columns, `step` apart in memory.
template <class D, class Pipeline, int Group>
__device__ inline void store_gemm_lanes(Pipeline const& stages, float (&v)[Group], float (&up)[Group], index_t row,
                                        index_t column, int count, D* to, index_t step) {
  if constexpr (needs_of<Pipeline>().direct()) {  // all stages in one loop
    float results[Group];
    for (int c = 0; c < count; ++c) {
      if constexpr (Pipeline::paired) results[c] = stages(v[c], up[c], row, column + c);
      else results[c] = stages(v[c], row, column + c);
    }
    for (int c = 0; c < count; ++c) to[c * step] = store_as<D>(results[c]);
  } else {
    float values[Pipeline::row_values + 1] = {};
    stages.each_row_value([&](auto const& stage, int i) { values[i] = stage.row_value(stage.row_term(row, 0, 1)); });
    if constexpr (Pipeline::paired) stages.run(epilogue::own_segment{}, v, up, row, column, count, values);
    else stages.run(epilogue::own_segment{}, v, row, column, count, values);
    for (int c = 0; c < count; ++c) to[c * step] = store_as<D>(v[c]);
  }
}

/// D's rows row..row+rows-1, a group of columns from `column` on as far as D goes, from products v, or gates v and ups. One
/// code for every number of rows, so that a row's bits do not depend on its neighbours.
template <class D, class Pipeline, int Rows, int Ups, int Group>
__device__ void end_gemm_lanes(tensor_view<D, 2> const& d, Pipeline const& epilogue, int rows, float (&v)[Rows][Group],
                               float (&up)[Ups][Group], index_t row, index_t column) {
  auto const stages = epilogue;
  int const  count  = static_cast<int>(min<index_t>(Group, d.extent[1] - column));
  for (int r = 0; r < rows; ++r) {
    float(&second)[Group] = up[Pipeline::paired ? r : 0];
    D* const to           = d.data + (row + r) * d.stride[0] + column * d.stride[1];
    if (count == Group && d.stride[1] == 1) store_gemm_lanes(stages, v[r], second, row + r, column, Group, to, 1);
    else store_gemm_lanes(stages, v[r], second, row + r, column, count, to, d.stride[1]);
  }
}

/// Tile `tile` of D's rows from first_row on and columns from first_column on: tile_rows rows by a group of columns at a time,
/// then single rows. products.template sum<R>(to, row, column, b_row) puts sum_k A[row + r, k] B[b_row(column + c), k] into
/// to[r][c], r < R, as far as D has columns; what is beyond them is not stored.
template <class Policy, class D, class Pipeline, class Products>
__device__ inline void walk_gemm_lanes(tensor_view<D, 2> const& d, Pipeline const& epilogue, index_t tile,
                                       index_t first_row, index_t first_column, Products const& products) {
  constexpr gemm_policy policy  = Policy::value;
  constexpr int         columns = policy.d_columns(needs_of<Pipeline>());
  constexpr int         group   = gemm_lanes_group<Pipeline>;
  index_t const         across  = ceil_div(d.extent[1] - first_column, columns);
  index_t const         top = first_row + tile / across * policy.rows, left = first_column + tile % across * columns;
  index_t const         bottom = min<index_t>(top + policy.rows, d.extent[0]);
  index_t const         right  = min<index_t>(left + columns, d.extent[1]);

  float      v[policy.tile_rows][group]                         = {};  // products, or those of the gate
  float      up[Pipeline::paired ? policy.tile_rows : 1][group] = {};
  auto const run = [&]<int R>(std::integral_constant<int, R>, index_t row, index_t column) {
    if constexpr (Pipeline::paired) {
      products.template sum<R>(v, row, column, [](index_t j) { return gate_row(j); });
      products.template sum<R>(up, row, column, [](index_t j) { return up_row(j); });
    } else {
      products.template sum<R>(v, row, column, [](index_t j) { return j; });
    }
    end_gemm_lanes(d, epilogue, R, v, up, row, column);
  };
  for (index_t column = left; column < right; column += group) {
    index_t row = top;
    for (; row + policy.tile_rows <= bottom; row += policy.tile_rows)
      run(std::integral_constant<int, policy.tile_rows>{}, row, column);
    for (; row < bottom; ++row) run(std::integral_constant<int, 1>{}, row, column);
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
