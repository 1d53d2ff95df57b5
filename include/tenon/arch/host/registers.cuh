#pragma once
//  Registers handed from one warpgroup to another, see cuda/registers.cuh. A checked build keeps the block's account.
#include <tenon/simt/machine.hpp>

namespace tenon::inline host::arch {

namespace detail {
template <int N>
inline constexpr bool register_count = N >= 24 && N <= 256 && N % 8 == 0;
}  // namespace detail

template <int N>
inline void increase_registers(simt::site at = simt::site::here()) {
  static_assert(detail::register_count<N>, "tenon::arch::increase_registers: N must be a multiple of 8 from 24 to 256");
  simt::machine::set_registers(N, true, at);
}
template <int N>
inline void decrease_registers(simt::site at = simt::site::here()) {
  static_assert(detail::register_count<N>, "tenon::arch::decrease_registers: N must be a multiple of 8 from 24 to 256");
  simt::machine::set_registers(N, false, at);
}

}  // namespace tenon::inline host::arch
