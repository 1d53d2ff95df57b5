#pragma once
//  Root mean square normalisation of rows.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/norm/rms_norm_kernel.cuh>
#include <tenon/norm/rms_norm_policy.hpp>
#include <tenon/op/epilogue.hpp>

namespace tenon {

struct rms_norm_options {
  float eps = 1e-6f;
};

}  // namespace tenon

namespace tenon::inline TENON_TARGET {

/// y[t,h] = epilogue(x[t,h] * weight[h] / sqrt(mean_h(x[t,:]^2) + eps))
///
/// y       (tokens, hidden)  f16 bf16 f32   hidden contiguous, any row stride; may alias x
/// x       (tokens, hidden)  f16 bf16 f32   hidden contiguous, any row stride
/// weight  (hidden)          f16 bf16 f32   contiguous
/// options eps > 0
/// epilogue(v, token, h)     fp32 -> fp32, called once per element, order unspecified
///
/// Arithmetic  fp32 sum of squares in an order that hidden and the policy fix; one rounding to Y. Same bits for every run
///             and batch.
/// Cost        reads x once from memory, writes y once; no workspace.
/// Errors      shape_mismatch(tokens, hidden), bad_stride(x, y, weight), misaligned, out_of_range(eps, tokens).
/// Range       tokens < 2^31.
/// Source      Zhang and Sennrich 2019, eq. 4.
/// Example     examples/01_normalise_a_row.cpp.   Test tests/norm/rms_norm_test.cpp.   Page docs/operators/rms_norm.md.
template <floating Y, class X, class W, elementwise Epilogue = identity>
status rms_norm(context const& where, tensor_view<Y, 2> y, tensor_view<X, 2> x, tensor_view<W, 1> weight,
                rms_norm_options options = {}, Epilogue epilogue = {}) {
  extent tokens{"tokens"}, hidden{"hidden"};
  TENON_TRY(contract{"rms_norm"}
                .shape(x, tokens, hidden)
                .shape(weight, hidden)
                .shape(y, tokens, hidden)
                .contiguous(x, "x")
                .contiguous(weight, "weight")
                .contiguous(y, "y")
                .addressable(x, "x")
                .addressable(weight, "weight")
                .addressable(y, "y")
                .require(options.eps > 0, errc::out_of_range, "eps", 0, 1)
                .require(tokens.value < (index_t{1} << 31), errc::out_of_range, "tokens", tokens.value,
                         (index_t{1} << 31) - 1)
                .result);
  if (y.size() == 0) return {};

  bool const vectorised = is_vectorised<8>(x) && is_vectorised<8>(y) && is_vectorised<8>(weight);
  auto const policy     = choose_rms_norm_policy({where.arch}, hidden.value, vectorised);
  using params          = kernel::rms_norm_params<Y, std::remove_const_t<X>, std::remove_const_t<W>, Epilogue>;
  return dispatch_policy<rms_norm_menu>("rms_norm", policy, [&]<class Policy>(Policy) {
    return arch::launch("rms_norm", where,
                        {.grid           = static_cast<unsigned>(tokens.value),
                         .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                         .shared_bytes   = sizeof(kernel::rms_norm_storage<Policy>),
                         .work_per_block = 4.0 * static_cast<double>(hidden.value)},
                        kernel::rms_norm<Policy, Y, std::remove_const_t<X>, std::remove_const_t<W>, Epilogue>,
                        params{y, as_const(x), as_const(weight), options.eps, epilogue});
  });
}

}  // namespace tenon::inline TENON_TARGET
