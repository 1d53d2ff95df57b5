#pragma once
//  What the GEMMs are held to: how many times as quick as cuBLASLt on the same device, as a geometric mean over the layers,
//  and which part of the floor. A summary prints these beside what was measured; none of them is a measurement.
#include <tenon/core/tensor_view.hpp>

#include <cstdint>

namespace bench {

/// Where a goal's column of M begins; it ends where the next one begins.
inline constexpr tenon::index_t goal_rows[] = {1, 16, 32, 64, 128, 512, 2048, 8192};

struct goal {
  char const* format;
  char const* against;   // "heuristic": what cuBLASLt proposes; "best": the best of all its algorithms
  double      ratio[8];  // by goal_rows
};

inline constexpr goal goals[] = {
    {"bf16", "heuristic", {1.10, 1.08, 1.05, 1.05, 1.05, 1.03, 1.00, 1.00}},
    {"bf16", "best", {1.05, 1.03, 1.02, 1.02, 1.02, 1.00, 0.98, 0.99}},
    {"fp8", "heuristic", {1.15, 1.12, 1.10, 1.08, 1.05, 1.02, 1.00, 1.00}},
    {"fp8 block", "heuristic", {1.20, 1.20, 1.15, 1.10, 1.10, 1.05, 1.05, 1.05}},
    {"w8a16", "heuristic", {1.75, 1.75, 1.70, 1.60, 1.20, 0.97, 0.93, 0.96}},
    {"w4a16 g128", "heuristic", {3.0, 3.0, 2.6, 1.9, 1.25, 0.93, 0.93, 0.96}},
    {"w4a16 g128 zero points", "heuristic", {2.9, 2.9, 2.5, 1.8, 1.2, 0.92, 0.92, 0.96}},
};

constexpr int goal_column(tenon::index_t m) {
  int column = 0;
  while (column < 7 && m >= goal_rows[column + 1]) ++column;
  return column;
}

/// The least part of the floor for M <= 16, by bytes of the weight.
struct floor_goal {
  char const*  name;
  std::int64_t from, to;  // bytes
  double       least;     // 0: none
};
inline constexpr floor_goal floor_goals[] = {
    {"under 12 MB", 0, 12'000'000, 0},
    {"12 to 60 MB", 12'000'000, 60'000'000, 0.75},
    {"over 60 MB", 60'000'000, std::int64_t{1} << 62, 0.85},
};

}  // namespace bench
