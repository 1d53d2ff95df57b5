#pragma once
//  Line plots as SVG: panels below each other that share colours and a legend. Follows the reader's light or dark scheme.
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tenon::engine {

struct plot_axis {
  std::string label;
  bool        logarithmic = false;  // only what is above 0 is drawn then
};

struct plot_line {
  std::string                            name;  // equal names have equal colours in all panels
  std::vector<std::pair<double, double>> points;
};

struct plot_panel {
  std::string            title;
  plot_axis              x, y;
  std::vector<plot_line> lines;
};

/// Axes span what there is, from 0 where linear. Points that are not finite are left out.
[[nodiscard]] std::string to_svg(std::span<plot_panel const> panels);

/// Survival function of sorted values: (v, share of values above v), few points and most of them in the tail.
[[nodiscard]] std::vector<std::pair<double, double>> share_above(std::span<double const> sorted);

}  // namespace tenon::engine
