#pragma once
//  Residual addition and root mean square normalisation in one launch.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/norm/add_rms_norm_kernel.cuh>
#include <tenon/norm/add_rms_norm_policy.hpp>
#include <tenon/norm/rms_norm.hpp>
#include <tenon/op/epilogue.hpp>

namespace tenon::inline TENON_TARGET {

/// residual[t,h] += x[t,h];  y[t,h] = epilogue(residual[t,h] * weight[h] / sqrt(mean_h(residual[t,:]^2) + eps))
///
/// y         (tokens, hidden)  f16 bf16 f32   hidden contiguous, any row stride; may alias x, not residual
/// residual  (tokens, hidden)  f16 bf16 f32   hidden contiguous, any row stride; in and out
/// x         (tokens, hidden)  f16 bf16 f32   hidden contiguous, any row stride
/// weight    (hidden)          f16 bf16 f32   contiguous
/// options   eps > 0
/// epilogue(v, token, h)       fp32 -> fp32, called once per element of y, order unspecified
///
/// Arithmetic  the sum in fp32, rounded once to residual's type; the norm is of the rounded sum, as if by rms_norm. Squares
///             are summed in fp32 in an order that hidden and the policy fix. Same bits for every run and batch.
/// Cost        reads x and residual once from memory, writes residual and y once; no workspace.
/// Errors      shape_mismatch(tokens, hidden), bad_stride(x, residual, weight, y), misaligned, out_of_range(eps, tokens).
/// Range       tokens < 2^31.
/// Source      Zhang and Sennrich 2019, eq. 4.
/// Test tests/norm/add_rms_norm_test.cpp.   Page docs/operators/add_rms_norm.md.
template <floating Y, floating R, class X, class W, elementwise Epilogue = identity>
status add_rms_norm(context const& where, tensor_view<Y, 2> y, tensor_view<R, 2> residual, tensor_view<X, 2> x,
                    tensor_view<W, 1> weight, rms_norm_options options = {}, Epilogue epilogue = {}) {
  extent tokens{"tokens"}, hidden{"hidden"};
  TENON_TRY(contract{"add_rms_norm"}
                .shape(x, tokens, hidden)
                .shape(residual, tokens, hidden)
                .shape(weight, hidden)
                .shape(y, tokens, hidden)
                .contiguous(x, "x")
                .contiguous(residual, "residual")
                .contiguous(weight, "weight")
                .contiguous(y, "y")
                .addressable(x, "x")
                .addressable(residual, "residual")
                .addressable(weight, "weight")
                .addressable(y, "y")
                .require(options.eps > 0, errc::out_of_range, "eps", 0, 1)
                .require(tokens.value < (index_t{1} << 31), errc::out_of_range, "tokens", tokens.value,
                         (index_t{1} << 31) - 1)
                .result);
  if (y.size() == 0) return {};

  bool const vectorised =
      is_vectorised<8>(x) && is_vectorised<8>(residual) && is_vectorised<8>(y) && is_vectorised<8>(weight);
  auto const policy = choose_add_rms_norm_policy({where.arch}, hidden.value, vectorised);
  using params      = kernel::add_rms_norm_params<Y, R, std::remove_const_t<X>, std::remove_const_t<W>, Epilogue>;
  return dispatch_policy<add_rms_norm_menu>("add_rms_norm", policy, [&]<class Policy>(Policy) {
    return arch::launch("add_rms_norm", where,
                        {.grid           = static_cast<unsigned>(tokens.value),
                         .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                         .shared_bytes   = sizeof(kernel::add_rms_norm_storage<Policy>),
                         .work_per_block = 5.0 * static_cast<double>(hidden.value)},
                        kernel::add_rms_norm<Policy, Y, R, std::remove_const_t<X>, std::remove_const_t<W>, Epilogue>,
                        params{y, residual, as_const(x), as_const(weight), options.eps, epilogue});
  });
}

}  // namespace tenon::inline TENON_TARGET
