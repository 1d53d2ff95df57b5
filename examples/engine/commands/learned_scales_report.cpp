#include "engine/commands/learned_scales_report.hpp"

#include <algorithm>
#include <cstdio>

namespace tenon::engine {

nlohmann::ordered_json to_json(learned_layers const& layers) {
  nlohmann::ordered_json j;
  j["format"]  = to_string(layers.format);
  j["modules"] = nlohmann::ordered_json::array();
  for (learned_module const& m : layers.modules)
    j["modules"].push_back({{"name", m.name},
                            {"on_grid", m.grid.on_grid_part()},
                            {"distance", m.grid.distance},
                            {"saturated", m.grid.saturated_part()},
                            {"fixed_inputs", m.fixed_inputs}});
  j["kept"] = layers.kept, j["ignored"] = layers.ignored, j["cache_layers"] = layers.caches;
  return j;
}

std::string learned_scales_text(nlohmann::ordered_json const& report) {
  if (!report.contains("learned_scales")) return {};
  auto const& j = report["learned_scales"];
  std::string text;
  auto const  line = [&](char const* format, auto... values) {
    char buffer[240];
    std::snprintf(buffer, sizeof buffer, format, values...);
    text += buffer;
  };
  auto const& modules = j["modules"];
  std::size_t fixed = 0, off = 0;
  double      least = 1, saturated = 0;
  for (auto const& m : modules) {
    double const part = m["on_grid"].get<double>();
    fixed += m["fixed_inputs"].get<bool>(), off += part < on_grid_part;
    least = std::min(least, part), saturated = std::max(saturated, m["saturated"].get<double>());
  }
  line("%zu matrices in %s (%s) with the scales of the checkpoint, %zu of them with those of their inputs\n",
       modules.size(), report["quantize"].get<std::string>().c_str(), j["format"].get<std::string>().c_str(), fixed);
  if (off == 0) {
    line("  weights are on the grid of their scales, %.2f %% at least: codes are as they were\n", 100 * least);
  } else {
    line(
        "  warning: %zu matrices are not on the grid of their scales: taken for master weights and rounded as in "
        "training\n",
        off);
    std::size_t shown = 0;
    for (auto const& m : modules) {
      if (m["on_grid"].get<double>() >= on_grid_part) continue;
      if (++shown > 8) {
        text += "  ... the others are in compress_report.json\n";
        break;
      }
      line("  %-40s %6.2f %% on the grid, %.3f steps away at most, %.2f %% saturated\n",
           m["name"].get<std::string>().c_str(), 100 * m["on_grid"].get<double>(), m["distance"].get<double>(),
           100 * m["saturated"].get<double>());
    }
  }
  if (!j["kept"].empty()) line("  %zu matrices have no scale and stay as they are\n", j["kept"].size());
  if (!j["ignored"].empty())
    line("  %zu scales that nothing takes, the first: %s\n", j["ignored"].size(),
         j["ignored"][0].get<std::string>().c_str());
  return text;
}

}  // namespace tenon::engine
