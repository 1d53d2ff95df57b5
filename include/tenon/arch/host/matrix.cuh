#pragma once
//  Tensor-core fragments, see cuda/matrix.cuh for the layouts.
#include <tenon/core/numeric.hpp>
#include <tenon/simt/machine.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline host::arch {

template <int N>
inline void ldmatrix(std::uint32_t (&r)[N], void const* row, simt::site at = simt::site::here()) {
  static_assert(N == 1 || N == 2 || N == 4, "tenon::arch::ldmatrix: N must be 1, 2 or 4");
  simt::machine::ldmatrix(N, false, r, row, at);
}

template <int N>
inline void ldmatrix_transposed(std::uint32_t (&r)[N], void const* row, simt::site at = simt::site::here()) {
  static_assert(N == 1 || N == 2 || N == 4, "tenon::arch::ldmatrix_transposed: N must be 1, 2 or 4");
  simt::machine::ldmatrix(N, true, r, row, at);
}

template <class T>
inline void mma_m16n8k16(float (&d)[4], std::uint32_t const (&a)[4], std::uint32_t const (&b)[2],
                         simt::site at = simt::site::here()) {
  static_assert(std::is_same_v<T, f16> || std::is_same_v<T, bf16>, "tenon::arch::mma_m16n8k16: T must be f16 or bf16");
  using simt::operand, simt::accumulator;
  constexpr bool                       half = std::is_same_v<T, f16>;
  static constexpr simt::mma_operation what{16,
                                            8,
                                            16,
                                            half ? operand::f16 : operand::bf16,
                                            half ? operand::f16 : operand::bf16,
                                            accumulator::f32,
                                            false,
                                            half ? "mma_m16n8k16<f16>" : "mma_m16n8k16<bf16>"};
  simt::machine::mma(what, d, a, b, at);
}

}  // namespace tenon::inline host::arch
