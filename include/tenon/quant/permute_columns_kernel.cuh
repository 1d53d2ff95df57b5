#pragma once
//  y[i,j] = x[i,order[j]]
//
//  One block per row; threads stride over its columns, so that writes and reads of the order coalesce. Reads of x are
//  scattered within one row, which stays in the first-level cache. Traffic: x and the order in, y out.
#include <tenon/arch/arch.cuh>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/permute_columns_policy.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

template <class T>
struct permute_columns_params {
  tensor_view<T, 2>                  y;      // (m, k)
  tensor_view<T const, 2>            x;      // (m, columns of x)
  tensor_view<std::int32_t const, 1> order;  // (k)
};

template <class Policy, class T>
__global__ __launch_bounds__(Policy::value.threads_per_block,
                             1) void permute_columns(__grid_constant__ permute_columns_params<T> const p) {
  // Index map: one block per row; threads stride over its columns.
  index_t const  row = blockIdx.x, k = p.y.extent[1], columns = p.x.extent[1];
  T const* const x = p.x.data + row * p.x.stride[0];
  T* const       y = p.y.data + row * p.y.stride[0];
  for (index_t j = threadIdx.x; j < k; j += Policy::value.threads_per_block) {
    index_t const from   = p.order.data[j * p.order.stride[0]];
    y[j * p.y.stride[1]] = from >= 0 && from < columns ? x[from * p.x.stride[1]] : T(0.0f);
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
