#pragma once
//  Tensor-core fragments, see cuda/matrix.cuh for the layouts.
#include <tenon/core/numeric.hpp>
#include <tenon/simt/machine.hpp>

#include <cstddef>
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

template <int N>
inline void stmatrix(void* row, std::uint32_t const (&r)[N], simt::site at = simt::site::here()) {
  static_assert(N == 1 || N == 2 || N == 4, "tenon::arch::stmatrix: N must be 1, 2 or 4");
  simt::machine::stmatrix(N, false, r, row, at);
}
template <int N>
inline void stmatrix_transposed(void* row, std::uint32_t const (&r)[N], simt::site at = simt::site::here()) {
  static_assert(N == 1 || N == 2 || N == 4, "tenon::arch::stmatrix_transposed: N must be 1, 2 or 4");
  simt::machine::stmatrix(N, true, r, row, at);
}

inline std::uint32_t movmatrix(std::uint32_t v, simt::site at = simt::site::here()) {
  simt::movmatrix_lane mine{v, 0};
  simt::machine::meet(
      {simt::warp_operation::movmatrix, 0, true, "movmatrix"}, ~0u, &mine,
      [](void* const* lanes, unsigned here) {
        if (here == ~0u) simt::movmatrix_warp(lanes);
      },
      at);
  return mine.to;
}

namespace detail {

template <class T>
struct operand_of;  // T is no operand of mma.sync
template <simt::operand Type>
struct is_operand {
  static constexpr simt::operand type = Type;
  static constexpr int           bits = simt::operand_bits(Type);
};
template <>
struct operand_of<f16> : is_operand<simt::operand::f16> {
  static constexpr char const* name = "f16";
};
template <>
struct operand_of<bf16> : is_operand<simt::operand::bf16> {
  static constexpr char const* name = "bf16";
};
template <>
struct operand_of<tf32> : is_operand<simt::operand::tf32> {
  static constexpr char const* name = "tf32";
};
template <>
struct operand_of<e4m3> : is_operand<simt::operand::e4m3> {
  static constexpr char const* name = "e4m3";
};
template <>
struct operand_of<e5m2> : is_operand<simt::operand::e5m2> {
  static constexpr char const* name = "e5m2";
};
template <>
struct operand_of<std::int8_t> : is_operand<simt::operand::s8> {
  static constexpr char const* name = "int8_t";
};
template <>
struct operand_of<std::uint8_t> : is_operand<simt::operand::u8> {
  static constexpr char const* name = "uint8_t";
};
template <>
struct operand_of<s4> : is_operand<simt::operand::s4> {
  static constexpr char const* name = "s4";
};
template <>
struct operand_of<u4> : is_operand<simt::operand::u4> {
  static constexpr char const* name = "u4";
};

/// Registers of a fragment of `rows` x k elements.
template <class T, int Rows, int K>
inline constexpr int registers_of = Rows* K* operand_of<T>::bits / 1024;

/// The operation's name as kernels write it.
struct mma_name {
  char text[48] = {};
};
constexpr mma_name name_of(char const* shape, char const* a, char const* b) {
  mma_name   name;
  int        n      = 0;
  auto const append = [&](char const* s) {
    while (*s) name.text[n++] = *s++;
  };
  append(shape), append("<"), append(a);
  if (*b) append(", "), append(b);
  append(">");
  return name;
}

template <int M, int K>
struct shape;
template <>
struct shape<16, 4> {
  static constexpr char const* name = "mma_m16n8k4";
};
template <>
struct shape<16, 8> {
  static constexpr char const* name = "mma_m16n8k8";
};
template <>
struct shape<16, 16> {
  static constexpr char const* name = "mma_m16n8k16";
};
template <>
struct shape<16, 32> {
  static constexpr char const* name = "mma_m16n8k32";
};
template <>
struct shape<16, 64> {
  static constexpr char const* name = "mma_m16n8k64";
};
template <>
struct shape<8, 16> {
  static constexpr char const* name = "mma_m8n8k16";
};
template <>
struct shape<8, 32> {
  static constexpr char const* name = "mma_m8n8k32";
};

/// Whether mma.sync has these elements with this d, leaving the shape aside.
template <int M, class A, class B, class D, int N>
constexpr bool is_mma() {
  constexpr auto a = operand_of<A>::type, b = operand_of<B>::type;
  constexpr bool to_float = M == 16 && std::is_same_v<D, float> && N == 4;
  constexpr bool to_f16   = M == 16 && std::is_same_v<D, std::uint32_t> && N == 2;
  if constexpr (simt::is_fp8(a)) return simt::is_fp8(b) && (to_float || to_f16);
  else if constexpr (a == simt::operand::f16) return a == b && (to_float || to_f16);
  else if constexpr (a == simt::operand::bf16 || a == simt::operand::tf32) return a == b && to_float;
  else
    return operand_of<A>::bits == operand_of<B>::bits && !simt::is_fp8(b) && std::is_same_v<D, std::int32_t> &&
           N == M / 4;
}

/// The operation of these types, one object for the whole program.
template <int M, int K, class A, class B, overflow Overflow, class D>
inline simt::mma_operation const& operation_of() {
  using simt::accumulator;
  static constexpr mma_name name =
      name_of(shape<M, K>::name, operand_of<A>::name, std::is_same_v<A, B> ? "" : operand_of<B>::name);
  static constexpr simt::mma_operation what{M,
                                            8,
                                            K,
                                            operand_of<A>::type,
                                            operand_of<B>::type,
                                            std::is_same_v<D, float>           ? accumulator::f32
                                            : std::is_same_v<D, std::uint32_t> ? accumulator::f16
                                                                               : accumulator::s32,
                                            Overflow == overflow::saturate,
                                            name.text};
  return what;
}

template <int M, int K, class A, class B, overflow Overflow, class D, int N>
inline void mma(D (&d)[N], std::uint32_t const* a, std::uint32_t const* b, simt::site at) {
  static constexpr simt::mma_tiles one;
  simt::machine::mma(operation_of<M, K, A, B, Overflow, D>(), one, d, a, b, at);
}

/// Bytes from one object to another of the same array.
template <class T>
inline std::ptrdiff_t distance(T const& from, T const& to) {
  return reinterpret_cast<char const*>(&to) - reinterpret_cast<char const*>(&from);
}

}  // namespace detail

template <class A, class B = A, class D, int N>
inline void mma_m16n8k4(D (&d)[N], std::uint32_t const (&a)[detail::registers_of<A, 16, 4>],
                        std::uint32_t const (&b)[detail::registers_of<B, 8, 4>], simt::site at = simt::site::here()) {
  static_assert(detail::operand_of<A>::bits == 32 && detail::is_mma<16, A, B, D, N>(),
                "tenon::arch::mma_m16n8k4: no such operands and accumulators");
  detail::mma<16, 4, A, B, overflow::wrap>(d, a, b, at);
}

template <class A, class B = A, class D, int N>
inline void mma_m16n8k8(D (&d)[N], std::uint32_t const (&a)[detail::registers_of<A, 16, 8>],
                        std::uint32_t const (&b)[detail::registers_of<B, 8, 8>], simt::site at = simt::site::here()) {
  static_assert(detail::operand_of<A>::bits >= 16 && detail::is_mma<16, A, B, D, N>(),
                "tenon::arch::mma_m16n8k8: no such operands and accumulators");
  detail::mma<16, 8, A, B, overflow::wrap>(d, a, b, at);
}

template <class A, class B = A, overflow Overflow = overflow::wrap, class D, int N>
inline void mma_m16n8k16(D (&d)[N], std::uint32_t const (&a)[detail::registers_of<A, 16, 16>],
                         std::uint32_t const (&b)[detail::registers_of<B, 8, 16>], simt::site at = simt::site::here()) {
  constexpr int bits = detail::operand_of<A>::bits;
  static_assert((bits == 16 || bits == 8) && detail::is_mma<16, A, B, D, N>(),
                "tenon::arch::mma_m16n8k16: no such operands and accumulators");
  detail::mma<16, 16, A, B, Overflow>(d, a, b, at);
}

template <class A, class B = A, overflow Overflow = overflow::wrap, class D, int N>
inline void mma_m16n8k32(D (&d)[N], std::uint32_t const (&a)[detail::registers_of<A, 16, 32>],
                         std::uint32_t const (&b)[detail::registers_of<B, 8, 32>], simt::site at = simt::site::here()) {
  static_assert(detail::operand_of<A>::bits <= 8 && detail::is_mma<16, A, B, D, N>(),
                "tenon::arch::mma_m16n8k32: no such operands and accumulators");
  detail::mma<16, 32, A, B, Overflow>(d, a, b, at);
}

template <class A, class B = A, overflow Overflow = overflow::wrap, class D, int N>
inline void mma_m16n8k64(D (&d)[N], std::uint32_t const (&a)[detail::registers_of<A, 16, 64>],
                         std::uint32_t const (&b)[detail::registers_of<B, 8, 64>], simt::site at = simt::site::here()) {
  static_assert(detail::operand_of<A>::bits == 4 && detail::is_mma<16, A, B, D, N>(),
                "tenon::arch::mma_m16n8k64: no such operands and accumulators");
  detail::mma<16, 64, A, B, Overflow>(d, a, b, at);
}

template <class A, class B = A, overflow Overflow = overflow::wrap, class D, int N>
inline void mma_m8n8k16(D (&d)[N], std::uint32_t const (&a)[detail::registers_of<A, 8, 16>],
                        std::uint32_t const (&b)[detail::registers_of<B, 8, 16>], simt::site at = simt::site::here()) {
  static_assert(detail::operand_of<A>::bits == 8 && detail::is_mma<8, A, B, D, N>(),
                "tenon::arch::mma_m8n8k16: no such operands and accumulators");
  detail::mma<8, 16, A, B, Overflow>(d, a, b, at);
}

template <class A, class B = A, overflow Overflow = overflow::wrap, class D, int N>
inline void mma_m8n8k32(D (&d)[N], std::uint32_t const (&a)[detail::registers_of<A, 8, 32>],
                        std::uint32_t const (&b)[detail::registers_of<B, 8, 32>], simt::site at = simt::site::here()) {
  static_assert(detail::operand_of<A>::bits == 4 && detail::is_mma<8, A, B, D, N>(),
                "tenon::arch::mma_m8n8k32: no such operands and accumulators");
  detail::mma<8, 32, A, B, Overflow>(d, a, b, at);
}

template <class T, class D, class A, class B, int High, int Wide, int Pairs>
inline void mma_m16n8k16_tiles(D (&d)[High][Wide], A const (&a)[High], B const (&b)[Pairs][2],
                               simt::site at = simt::site::here()) {
  static_assert(Wide == 2 * Pairs, "tenon::arch::mma_m16n8k16_tiles: one fragment of b for each column of d");
  static constexpr simt::mma_tiles tiles{High, Wide, sizeof(D[Wide]), sizeof(D), sizeof(A), sizeof(B)};
  simt::machine::mma(detail::operation_of<16, 16, T, T, overflow::wrap, float>(), tiles, d[0][0].v, a[0].r, b[0][0].r,
                     at);
}

template <class T, class D, class A, class B>
inline void mma_m16n8k16_pair(D& first, D& second, A const& a, B const (&b)[2], simt::site at = simt::site::here()) {
  simt::mma_tiles const tiles{1, 2, 0, detail::distance(first, second), 0, sizeof(B)};
  simt::machine::mma(detail::operation_of<16, 16, T, T, overflow::wrap, float>(), tiles, first.v, a.r, b[0].r, at);
}

}  // namespace tenon::inline host::arch
