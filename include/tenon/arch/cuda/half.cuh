#pragma once
//  Arithmetic on packed pairs of f16 or bf16, one instruction each. PTX: fma.rn.f16x2, fma.rn.bf16x2 (sm_80).
#include <tenon/core/conversion.hpp>
#include <tenon/core/numeric.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline cuda::arch {

/// a b + c of each half, rounded once to nearest even; subnormals are kept, NaN is 0x7fff.
template <class T>
__device__ inline std::uint32_t fma_pair(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  static_assert(tenon::detail::is_half<T>, "tenon::arch::fma_pair: f16 or bf16");
  std::uint32_t d;
  if constexpr (std::is_same_v<T, f16>) asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  else asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}

}  // namespace tenon::inline cuda::arch
