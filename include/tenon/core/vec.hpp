#pragma once
//  N elements that move together: what a vectorised load returns and a vectorised store takes.
#include <tenon/config.hpp>

#include <cstddef>

namespace tenon {

namespace detail {
constexpr std::size_t vec_alignment(std::size_t bytes) {
  std::size_t a = 1;
  while (a < 16 && bytes % (2 * a) == 0) a *= 2;
  return a;
}
}  // namespace detail

/// A register's worth of elements, aligned to its size where that is a power of two, at most 16 bytes.
template <class T, int N>
struct alignas(detail::vec_alignment(sizeof(T) * N)) vec {
  static_assert(N >= 1, "tenon::vec: N must be positive");
  T element[N];

  TENON_HD constexpr T&       operator[](int i) { return element[i]; }
  TENON_HD constexpr T const& operator[](int i) const { return element[i]; }
};

}  // namespace tenon
