#pragma once
//  Numbers to compute with that are the same on every machine.
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace tenon::engine::tour {

/// Normally distributed, by Box and Muller's transform of a counter that SplitMix64 has mixed.
[[nodiscard]] inline std::vector<float> normal_values(index_t count, std::uint64_t seed, double deviation = 1) {
  std::uint64_t state   = seed << 32;
  auto const    uniform = [&state] {
    std::uint64_t z = state += 0x9e3779b97f4a7c15u;
    z               = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z               = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (static_cast<double>((z ^ (z >> 31)) >> 11) + .5) * 0x1p-53;
  };
  std::vector<float> values;
  for (index_t i = 0; i < count; ++i) {
    double const length = std::sqrt(-2 * std::log(uniform())), angle = 2 * std::numbers::pi * uniform();
    values.push_back(static_cast<float>(deviation * length * std::cos(angle)));
  }
  return values;
}

}  // namespace tenon::engine::tour
