#pragma once
//  Elements of a row that one load brings, see cuda/run.cuh.
#include <tenon/arch/host/stripe.cuh>
#include <tenon/core/numeric.hpp>

#include <cstddef>
#include <cstring>
#include <type_traits>

namespace tenon::inline host::arch {

template <int N, class T>
struct run {
  static constexpr int elements = N * static_cast<int>(4 / sizeof(T));
  stripe<N>            part[elements / N];
};

namespace detail {

/// A run from its bytes; the 16-bit types' words hold two elements each.
template <int N, class T>
inline run<N, T> as_run(typename stripe<N>::words const (&bits)[1]) {
  run<N, T> r;
  if constexpr (std::is_same_v<T, float>) {
    std::memcpy(&r.part[0].v, &bits[0], sizeof bits[0]);
  } else {
    typename stripe<N>::words even, odd;
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
  typename stripe<N>::words bits[1];
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
  static constexpr window   ones;
  typename stripe<N>::words bits[1], mask;
  std::memcpy(bits, from, sizeof bits);
  std::memcpy(&mask, ones.byte + static_cast<std::size_t>(elements - skip) * sizeof(T), sizeof mask);
  bits[0] &= mask;
  return detail::as_run<N, T>(bits);
}

template <int N, class T>
inline void multiply_add(stripe<N>& sum, run<N, T> const& a, run<N, T> const& b) {
  sum.v += a.part[0].v * b.part[0].v;
  if constexpr (run<N, T>::elements > N) sum.v += a.part[1].v * b.part[1].v;
}

}  // namespace tenon::inline host::arch
