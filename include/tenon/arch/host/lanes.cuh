#pragma once
//  N floats that one thread computes together, see cuda/lanes.cuh; here a vector of the compiler (GCC and clang split it
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
inline lanes<N> load_lanes(T const* from) {
  using vectors = detail::vectors<N>;
  lanes<N> r;
  if constexpr (std::is_same_v<T, float>) {
    std::memcpy(&r.v, from, sizeof r.v);
  } else {
    typename vectors::halves bits;
    std::memcpy(&bits, from, sizeof bits);
    auto const wide = __builtin_convertvector(bits, typename vectors::words);
    if constexpr (std::is_same_v<T, bf16>) {
      auto const words = wide << 16;
      std::memcpy(&r.v, &words, sizeof words);
    } else {
      static_assert(std::is_same_v<T, f16>, "tenon::arch::load_lanes: T must be f32, f16 or bf16");
      // The exponent's bias grows from 15 to 127 by a multiplication, which makes subnormals normal on the way.
      auto const               magnitude = (wide & 0x7fffu) << 13;
      typename vectors::floats f;
      std::memcpy(&f, &magnitude, sizeof f);
      f *= 0x1p112f;
      typename vectors::words words;
      std::memcpy(&words, &f, sizeof f);
      auto const special = reinterpret_cast<typename vectors::words>((wide & 0x7c00u) == 0x7c00u);
      words |= (special & 0x7f800000u) | (wide & 0x8000u) << 16;
      std::memcpy(&r.v, &words, sizeof words);
    }
  }
  return r;
}

template <int N, class T>
inline lanes<N> load_lanes(T const* from, long long stride, int count) {
  T some[N] = {};
  for (int l = 0; l < count; ++l) some[l] = from[l * stride];
  return load_lanes<N>(some);
}

template <int N>
inline void multiply_add(lanes<N>& sum, lanes<N> const& a, lanes<N> const& b) {
  sum.v += a.v * b.v;
}

template <int N>
inline float sum(lanes<N> const& r) {
  if constexpr (N == 4) {
    return (r.v[0] + r.v[2]) + (r.v[1] + r.v[3]);
  } else {
    lanes<N / 2> low, high;
    std::memcpy(&low, &r, sizeof low);
    std::memcpy(&high, reinterpret_cast<char const*>(&r) + sizeof low, sizeof high);
    low.v += high.v;
    return sum(low);
  }
}

}  // namespace tenon::inline host::arch
