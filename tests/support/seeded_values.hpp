#pragma once
//  Seeded values: the same in every C++ library.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <random>
#include <type_traits>
#include <vector>

namespace test {

struct seeded_values {
  std::mt19937_64 engine;

  explicit seeded_values(std::uint64_t seed) : engine(seed) {}
  double uniform() { return (static_cast<double>(engine() >> 11) + 0.5) * 0x1p-53; }
  double normal() { return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform()); }
};

template <class T = float>
std::vector<T> normal(std::size_t n, std::uint64_t seed, double deviation = 1) {
  seeded_values  draw(seed);
  std::vector<T> v(n);
  if constexpr (std::is_floating_point_v<T>)
    for (auto& e : v) e = static_cast<T>(deviation * draw.normal());
  else
    for (auto& e : v) e = T(static_cast<float>(deviation * draw.normal()));
  return v;
}
template <class T = float>
std::vector<T> uniform(std::size_t n, std::uint64_t seed, double low, double high) {
  seeded_values  draw(seed);
  std::vector<T> v(n);
  for (auto& e : v) e = static_cast<T>(low + (high - low) * draw.uniform());
  return v;
}

}  // namespace test
