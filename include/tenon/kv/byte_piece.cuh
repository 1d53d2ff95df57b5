#pragma once
//  A piece of a row of bytes, in registers: 16, 4 or 1 bytes as they are.
#include <tenon/arch/arch.cuh>
#include <tenon/core/vec.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

/// Access bytes, whose address is a multiple of that.
template <int Access>
struct byte_piece {
  using word                 = std::conditional_t<Access % 4 == 0, std::uint32_t, std::uint8_t>;
  static constexpr int words = Access / static_cast<int>(sizeof(word));

  vec<word, words> value;

  __device__ void load(std::uint8_t const* from) { value = arch::load<words>(reinterpret_cast<word const*>(from)); }
  __device__ void store(std::uint8_t* to) const { arch::store(reinterpret_cast<word*>(to), value); }
};

}  // namespace tenon::inline TENON_TARGET::kernel
