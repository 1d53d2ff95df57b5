#pragma once
//  What a matrix becomes when it is quantised and dequantised: the forward step of quantisation-aware training, and a
//  way to see what a format costs before anything is written.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/quant/fake_quantize_kernel.cuh>
#include <tenon/quant/fake_quantize_policy.hpp>
#include <tenon/quant/fake_quantize_rounding.hpp>
#include <tenon/quant/quantize_rows_options.hpp>

#include <type_traits>

namespace tenon {

struct fake_quantize_options {
  int group = 0;  // columns that share a scale; 0: a whole row
};

}  // namespace tenon

namespace tenon::inline TENON_TARGET {

/// y[i,j] = scales[i,g] * number(round_half_even(x[i,j] / scales[i,g])), saturated;  g = j / group
///
/// y        (m, k)               f32 f16 bf16   k contiguous, any row stride; x itself, or memory apart from x
/// scales   (m, ceil(k/group))   f32            any strides; (m, 1) where group is 0
///          float: found, from the largest magnitude of each cell, and written.   float const: given, and used as
///          they are; strides of 0 share one of them (per tensor)
/// x        (m, k)               the same as y  k contiguous, any row stride
/// options  group
/// rounding row_rounding<std::int8_t or e4m3>: what quantize_rows and a product of its codes make of x;
///          weight_rounding<weight_code::int4, int8 or fp8>{factor}: what quantize_weight (absmax) and dequantize make
///
/// Arithmetic  that of those operators, step by step, so y has the bits of quantising and dequantising: scale and
///             number in fp32, their product rounded once to y. Zeros, NaN and infinities as there; given to
///             weight_rounding, a NaN stays one. Given scales may use the codes -128 and -8; found ones do so where
///             quantize_rows does.
/// Cost        reads x once from memory, writes y and found scales once; no workspace.
/// Errors      shape_mismatch(m, k, groups), bad_stride(y, x), misaligned, out_of_range(group, m, k, factor).
/// Range       m < 2^31, k <= 2^30. Given scales are read on the device and checked by nobody: 0, or magnitudes in
///             [2^-126, 2^126]; negative ones are fine. factor in [2^-126, 2^126], a power of two; int4 and groups of
///             int8 keep scale / factor as f16, which becomes infinite above 65,504.
/// Source      Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
///             inference", 2018; Esser et al., "Learned step size quantization", 2020 (given scales).
/// Test tests/quant/fake_quantize_test.cpp.   Page docs/operators/fake_quantize.md.
template <floating T, element_of<float> Scale, element_of<T> X, class Rounding = row_rounding<std::int8_t>>
status fake_quantize(context const& where, tensor_view<T, 2> y, tensor_view<Scale, 2> scales, tensor_view<X, 2> x,
                     fake_quantize_options options = {}, Rounding rounding = {}) {
  extent   m{"m"}, k{"k"};
  contract c{"fake_quantize"};
  c.shape(x, m, k);
  TENON_TRY(require_rows(c, y, "y", scales, options.group, m, k)
                .contiguous(x, "x")
                .addressable(x, "x")
                .require(rounding.valid(), errc::out_of_range, "factor", 0, 1)
                .result);
  if (y.size() == 0) return {};

  bool const vectorised = is_vectorised<8>(x) && is_vectorised<8>(y) && is_vectorised_group(options.group);
  auto const policy     = choose_fake_quantize_policy({where.arch}, vectorised);
  return dispatch_policy<fake_quantize_menu>("fake_quantize", policy, [&]<class Policy>(Policy) {
    return arch::launch(
        "fake_quantize", where,
        {.grid           = static_cast<unsigned>(m.value),
         .block          = static_cast<unsigned>(Policy::value.threads_per_block),
         .shared_bytes   = sizeof(kernel::fake_quantize_storage<Policy>),
         .work_per_block = 5 * static_cast<double>(k.value)},
        kernel::fake_quantize<Policy, T, Scale, Rounding>,
        kernel::fake_quantize_params<T, Scale, Rounding>{y, scales, as_const(x), options.group, rounding});
  });
}

}  // namespace tenon::inline TENON_TARGET
