#pragma once
//  Rows of a table, chosen by token ids.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/embedding/embedding_gather_kernel.cuh>
#include <tenon/embedding/embedding_gather_policy.hpp>
#include <tenon/op/epilogue.hpp>

#include <concepts>
#include <cstdint>

namespace tenon::inline TENON_TARGET {

/// y[t,h] = epilogue(table[ids[t],h])
///
/// y       (tokens, hidden)      f16 bf16 f32   hidden contiguous, any row stride; must not overlap table
/// table   (vocabulary, hidden)  f16 bf16 f32   hidden contiguous, any row stride
/// ids     (tokens)              int32          any stride; an id outside [0, vocabulary) stands for a row of zeros
/// epilogue(v, token, h)         fp32 -> fp32, called once per element, order unspecified
///
/// Arithmetic  none but the epilogue's and one rounding to Y: a copy is bit-exact.
/// Cost        reads each token's table row once, writes y once; no workspace.
/// Errors      shape_mismatch(tokens, hidden), bad_stride(y, table), misaligned, out_of_range(tokens).
/// Range       tokens < 2^31. Ids are read on the device, so a wrong one is no error: its row is zeros and nothing
///             outside the table is read.
/// Test tests/embedding/embedding_gather_test.cpp.   Page docs/operators/embedding_gather.md.
template <floating Y, class T, element_of<std::int32_t> Id, elementwise Epilogue = identity>
status embedding_gather(context const& where, tensor_view<Y, 2> y, tensor_view<T, 2> table, tensor_view<Id, 1> ids,
                        Epilogue epilogue = {}) {
  extent tokens{"tokens"}, hidden{"hidden"}, vocabulary{"vocabulary"};
  TENON_TRY(contract{"embedding_gather"}
                .shape(table, vocabulary, hidden)
                .shape(ids, tokens)
                .shape(y, tokens, hidden)
                .contiguous(table, "table")
                .contiguous(y, "y")
                .addressable(table, "table")
                .addressable(ids, "ids")
                .addressable(y, "y")
                .require(tokens.value < (index_t{1} << 31), errc::out_of_range, "tokens", tokens.value,
                         (index_t{1} << 31) - 1)
                .result);
  if (y.size() == 0) return {};

  auto const policy = choose_embedding_gather_policy({where.arch}, is_vectorised<8>(table) && is_vectorised<8>(y));
  using params      = kernel::embedding_gather_params<Y, std::remove_const_t<T>, Epilogue>;
  return dispatch_policy<embedding_gather_menu>("embedding_gather", policy, [&]<class Policy>(Policy) {
    return arch::launch("embedding_gather", where,
                        {.grid           = static_cast<unsigned>(tokens.value),
                         .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                         .shared_bytes   = 0,
                         .work_per_block = static_cast<double>(hidden.value)},
                        kernel::embedding_gather<Policy, Y, std::remove_const_t<T>, Epilogue>,
                        params{y, as_const(table), as_const(ids), epilogue});
  });
}

}  // namespace tenon::inline TENON_TARGET
