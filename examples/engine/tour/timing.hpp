#pragma once
//  How long things take beside each other: in turns, so that all see the same machine, and the shortest of each.
#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <vector>

namespace tenon::engine::tour {

/// Least seconds of each of `ways` over `turns` turns, behind one that is not counted: whatever else runs only adds.
[[nodiscard]] inline std::vector<double> seconds_in_turns(int turns, std::vector<std::function<void()>> const& ways) {
  using clock = std::chrono::steady_clock;
  std::vector<double> least(ways.size(), std::numeric_limits<double>::infinity());
  for (int turn = -1; turn < turns; ++turn)
    for (std::size_t i = 0; i < ways.size(); ++i) {
      auto const began = clock::now();
      ways[i]();
      double const seconds = std::chrono::duration<double>(clock::now() - began).count();
      if (turn >= 0) least[i] = std::min(least[i], seconds);
    }
  return least;
}

}  // namespace tenon::engine::tour
