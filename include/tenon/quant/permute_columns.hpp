#pragma once
//  Columns of a matrix in another order: the inputs of a weight whose columns were sorted by group.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/quant/permute_columns_kernel.cuh>
#include <tenon/quant/permute_columns_policy.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET {

/// y[i,j] = x[i,order[j]]
///
/// y       (m, k)        f16 bf16 f32   any strides; must not overlap x
/// x       (m, columns)  the same       any strides
/// order   (k)           int32          any stride; an index outside [0, columns) stands for a column of zeros
///
/// Arithmetic  none: a copy, bit for bit.
/// Cost        reads x and order once per row, writes y once; no workspace.
/// Errors      shape_mismatch(m, k), misaligned, out_of_range(m).
/// Range       m < 2^31. The order is read on the device, so a wrong index is no error: its column is zeros and nothing
///             outside x is read.
/// Test tests/quant/permute_columns_test.cpp.   Page docs/operators/permute_columns.md.
template <floating T, element_of<T> X, element_of<std::int32_t> Index>
status permute_columns(context const& where, tensor_view<T, 2> y, tensor_view<X, 2> x, tensor_view<Index, 1> order) {
  extent m{"m"}, k{"k"}, columns{"columns"};
  TENON_TRY(contract{"permute_columns"}
                .shape(x, m, columns)
                .shape(order, k)
                .shape(y, m, k)
                .addressable(x, "x")
                .addressable(order, "order")
                .addressable(y, "y")
                .require(m.value < (index_t{1} << 31), errc::out_of_range, "m", m.value, (index_t{1} << 31) - 1)
                .result);
  if (y.size() == 0) return {};

  auto const policy = choose_permute_columns_policy({where.arch});
  return dispatch_policy<permute_columns_menu>("permute_columns", policy, [&]<class Policy>(Policy) {
    return arch::launch("permute_columns", where,
                        {.grid           = static_cast<unsigned>(m.value),
                         .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                         .shared_bytes   = 0,
                         .work_per_block = static_cast<double>(k.value)},
                        kernel::permute_columns<Policy, T>,
                        kernel::permute_columns_params<T>{y, as_const(x), as_const(order)});
  });
}

}  // namespace tenon::inline TENON_TARGET
