#pragma once
//  Floats that one thread computes together, see cuda/lanes.cuh; here vectors of the compiler (GCC and clang split them
//  where the machine's registers are narrower).
#include <tenon/core/numeric.hpp>

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace tenon::inline host::arch {

namespace detail {
template <int N>
struct vectors {
  static_assert(N >= 4 && (N & (N - 1)) == 0, "tenon::arch::lanes: N must be a power of two from 4 on");
  typedef float         floats __attribute__((vector_size(4 * N)));
  typedef std::uint32_t words __attribute__((vector_size(4 * N)));
  typedef std::uint16_t halves __attribute__((vector_size(2 * N)));
};
}  // namespace detail

template <int N>
struct lanes {
  typename detail::vectors<N>::floats v;
};

template <int N, class T>
struct run {
  static constexpr int elements = N * static_cast<int>(4 / sizeof(T));
  lanes<N>             part[elements / N];
};

namespace detail {

/// words = the bits of the floats that the f16 in the lower halves of `bits` stand for; the upper halves are zero.
template <int N>
inline void f16_to_float(typename vectors<N>::words& words, typename vectors<N>::words const& bits) {
  // The exponent's bias grows from 15 to 127 by a multiplication, which makes subnormals normal on the way.
  auto const                  magnitude = (bits & 0x7fffu) << 13;
  typename vectors<N>::floats f;
  std::memcpy(&f, &magnitude, sizeof f);
  f *= 0x1p112f;
  std::memcpy(&words, &f, sizeof f);
  auto const special = reinterpret_cast<typename vectors<N>::words>((bits & 0x7c00u) == 0x7c00u);
  words |= (special & 0x7f800000u) | (bits & 0x8000u) << 16;
}

/// A run from its bytes; the 16-bit types' words hold two elements each.
template <int N, class T>
inline run<N, T> as_run(typename vectors<N>::words const (&bits)[1]) {
  run<N, T> r;
  if constexpr (std::is_same_v<T, float>) {
    std::memcpy(&r.part[0].v, &bits[0], sizeof bits[0]);
  } else {
    typename vectors<N>::words even, odd;
    if constexpr (std::is_same_v<T, bf16>) {
      even = bits[0] << 16, odd = bits[0] & 0xffff0000u;
    } else {
      static_assert(std::is_same_v<T, f16>, "tenon::arch::run: T must be f32, f16 or bf16");
#if defined(__F16C__) && defined(__GNUC__) && !defined(__clang__)
      if constexpr (N == 16) {  // the machine's conversion, eight at a time, joined in registers
        typedef short eight __attribute__((vector_size(16)));
        eight         from[4];
        std::memcpy(from, bits, sizeof from);
        for (int i = 0; i < 2; ++i)
          r.part[i].v = __builtin_shufflevector(__builtin_ia32_vcvtph2ps256(from[2 * i]),
                                                __builtin_ia32_vcvtph2ps256(from[2 * i + 1]), 0, 1, 2, 3, 4, 5, 6, 7, 8,
                                                9, 10, 11, 12, 13, 14, 15);
        return r;
      }
#endif
      f16_to_float<N>(even, bits[0] & 0xffffu), f16_to_float<N>(odd, bits[0] >> 16);
    }
    std::memcpy(&r.part[0].v, &even, sizeof even);
    std::memcpy(&r.part[1].v, &odd, sizeof odd);
  }
  return r;
}

}  // namespace detail

template <int N, class T>
inline run<N, T> load_run(T const* from) {
  typename detail::vectors<N>::words bits[1];
  std::memcpy(bits, from, sizeof bits);
  return detail::as_run<N, T>(bits);
}

template <int N, class T>
inline run<N, T> load_last_of_run(T const* from, int skip) {
  constexpr int elements = run<N, T>::elements;
  // Ones in the bytes that stay: a window into zeros and ones.
  struct window {
    unsigned char byte[2 * elements * sizeof(T)];
    constexpr window() : byte() {
      for (std::size_t i = sizeof byte / 2; i < sizeof byte; ++i) byte[i] = 0xff;
    }
  };
  static constexpr window            ones;
  typename detail::vectors<N>::words bits[1], mask;
  std::memcpy(bits, from, sizeof bits);
  std::memcpy(&mask, ones.byte + static_cast<std::size_t>(elements - skip) * sizeof(T), sizeof mask);
  bits[0] &= mask;
  return detail::as_run<N, T>(bits);
}

template <int N, class T>
inline void multiply_add(lanes<N>& sum, run<N, T> const& a, run<N, T> const& b) {
  sum.v += a.part[0].v * b.part[0].v;
  if constexpr (run<N, T>::elements > N) sum.v += a.part[1].v * b.part[1].v;
}

namespace detail {
/// Lanes l, l + 4, l + 8, ... of r, added by halving.
template <int N>
inline vectors<4>::floats quarter(typename vectors<N>::floats const& r) {
  if constexpr (N == 4) {
    return r;
  } else {
    typename vectors<N / 2>::floats low, high;
    std::memcpy(&low, &r, sizeof low);
    std::memcpy(&high, reinterpret_cast<char const*>(&r) + sizeof low, sizeof high);
    low += high;
    return quarter<N / 2>(low);
  }
}
}  // namespace detail

template <int N>
inline void sum(float (&sums)[4], lanes<N> const (&r)[4]) {
  using floats   = detail::vectors<4>::floats;
  floats const a = detail::quarter<N>(r[0].v), b = detail::quarter<N>(r[1].v);
  floats const c = detail::quarter<N>(r[2].v), d = detail::quarter<N>(r[3].v);
  floats const ab  = __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
  floats const cd  = __builtin_shufflevector(c, d, 0, 2, 4, 6) + __builtin_shufflevector(c, d, 1, 3, 5, 7);
  floats const all = __builtin_shufflevector(ab, cd, 0, 2, 4, 6) + __builtin_shufflevector(ab, cd, 1, 3, 5, 7);
  std::memcpy(sums, &all, sizeof all);
}

}  // namespace tenon::inline host::arch
