#pragma once
//  mma.sync: the fragments of 32 lanes in, their accumulators out. The arithmetic is compiled for the vectors that every
//  processor of the architecture has, on x86-64 for AVX2 as well; the processor decides when it runs.
#include <tenon/config.hpp>
#include <tenon/simt/tensor_core/model.hpp>
#include <tenon/simt/tensor_core/operands.hpp>
#include <tenon/simt/tensor_core/operation.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>

// A value that the next addition must not be fused with, whatever the compiler's flags.
#if defined(__x86_64__)
#  define TENON_SIMT_UNFUSED(v) __asm__("" : "+x"(v))
#elif defined(__aarch64__)
#  define TENON_SIMT_UNFUSED(v) __asm__("" : "+w"(v))
#else
#  define TENON_SIMT_UNFUSED(v) (void)(v)
#endif

#if !defined(__AVX2__)
#  define TENON_SIMT_ISA baseline
#  define TENON_SIMT_LANES 4
#  include <tenon/simt/tensor_core/product.hpp>
#  undef TENON_SIMT_LANES
#  undef TENON_SIMT_ISA
#endif

#if defined(__x86_64__)
#  if defined(__clang__)
#    pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#  else
#    pragma GCC push_options
#    pragma GCC target("avx2")
#  endif
#  define TENON_SIMT_ISA avx2
#  define TENON_SIMT_LANES 8
#  include <tenon/simt/tensor_core/product.hpp>
#  undef TENON_SIMT_LANES
#  undef TENON_SIMT_ISA
#  if defined(__clang__)
#    pragma clang attribute pop
#  else
#    pragma GCC pop_options
#  endif
#endif
#undef TENON_SIMT_UNFUSED

namespace tenon::simt {

#if TENON_CHECKED  // this is checked_runtime.cpp, which has it for the program
void mma_warp(mma_operation const& what, numerics how, void* const* lanes) {
#else
inline void mma_warp(mma_operation const& what, numerics how, void* const* lanes) {
#endif
  tensor_core::operands o;
  tensor_core::gather(what, lanes, o);
#if defined(__AVX2__)
  tensor_core::avx2::multiply(what, how, o);
#elif defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) tensor_core::avx2::multiply(what, how, o);
  else tensor_core::baseline::multiply(what, how, o);
#else
tensor_core::baseline::multiply(what, how, o);
#endif
  tensor_core::scatter(what, o, lanes);
}

}  // namespace tenon::simt
