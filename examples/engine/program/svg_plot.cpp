#include "engine/program/svg_plot.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace tenon::engine {

namespace {

constexpr double width = 800, left = 64, right = 176, top = 34, bottom = 46, panel_height = 270;
constexpr double plot_width = width - left - right, plot_height = panel_height - top - bottom;

// Okabe and Ito's colours, which colour-blind readers can tell apart; after eight, dashes.
constexpr char const* colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                   "#e69f00", "#56b4e9", "#8a8a8a", "#b8a800"};
constexpr char const* dashes[]  = {"", "6 3", "2 2", "8 3 2 3"};

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", v);
  return text;
}

/// Pixels: a hundredth is enough.
std::string pixel(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", v);
  std::string s = text;
  s.erase(s.find_last_not_of('0') + 1);
  if (s.ends_with('.')) s.pop_back();
  return s == "-0" ? "0" : s;
}

std::string escaped(std::string const& text) {
  std::string s;
  for (char const c : text) switch (c) {
      case '&': s += "&amp;"; break;
      case '<': s += "&lt;"; break;
      case '>': s += "&gt;"; break;
      case '"': s += "&quot;"; break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20) s += c;
    }
  return s;
}

/// Values to a line of `length` pixels.
struct scale {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  bool   logarithmic = false;

  bool shows(double v) const { return std::isfinite(v) && (!logarithmic || v > 0); }
  void take(double v) {
    if (shows(v)) low = std::min(low, v), high = std::max(high, v);
  }
  void close() {
    if (!(low <= high)) low = logarithmic ? .1 : 0, high = 1;
    if (!logarithmic) low = std::min(low, 0.);
    if (low == high) high = logarithmic ? low * 10 : low + 1;
  }
  double at(double v, double length) const {
    return logarithmic ? length * std::log(v / low) / std::log(high / low) : length * (v - low) / (high - low);
  }

  /// Round values within, few enough for their labels.
  std::vector<double> ticks() const {
    std::vector<double> values;
    if (logarithmic) {
      double const decades = std::log10(high / low);
      for (int e = static_cast<int>(std::floor(std::log10(low))); std::pow(10., e) <= high * 1.0001; ++e)
        for (double const m : {1., 2., 5.})
          if ((m == 1 || decades < 3.2) && m * std::pow(10., e) >= low * .9999 && m * std::pow(10., e) <= high * 1.0001)
            values.push_back(m * std::pow(10., e));
      return values;
    }
    double const rough = (high - low) / 6, unit = std::pow(10., std::floor(std::log10(rough)));
    double       step = 10 * unit;
    for (double const m : {5., 2., 1.})
      if (m * unit >= rough) step = m * unit;
    for (double v = std::ceil(low / step) * step; v <= high + step * 1e-6; v += step)
      values.push_back(std::fabs(v) < step * 1e-6 ? 0 : v);
    return values;
  }
};

std::string line_style(std::size_t i) {
  std::size_t const kinds = std::size(colours), dash = i / kinds % std::size(dashes);
  return std::string("stroke=\"") + colours[i % kinds] + "\"" +
         (dash == 0 ? std::string() : std::string(" stroke-dasharray=\"") + dashes[dash] + "\"");
}

std::string panel_svg(plot_panel const& panel, std::vector<std::string> const& names, double y0) {
  scale x{.logarithmic = panel.x.logarithmic}, y{.logarithmic = panel.y.logarithmic};
  for (plot_line const& line : panel.lines)
    for (auto const& [px, py] : line.points)
      if (x.shows(px) && y.shows(py)) x.take(px), y.take(py);
  x.close(), y.close();
  double const base  = y0 + top + plot_height;
  auto const   put_x = [&](double v) { return pixel(left + x.at(v, plot_width)); };
  auto const   put_y = [&](double v) { return pixel(base - y.at(v, plot_height)); };

  std::string s;
  s += "<text class=\"title\" x=\"" + pixel(left) + "\" y=\"" + pixel(y0 + 20) + "\">" + escaped(panel.title) +
       "</text>\n";
  for (double const v : x.ticks())
    s += "<path class=\"grid\" d=\"M" + put_x(v) + " " + pixel(y0 + top) + "V" + pixel(base) + "\"/><text x=\"" +
         put_x(v) + "\" y=\"" + pixel(base + 16) + "\" text-anchor=\"middle\">" + number(v) + "</text>\n";
  for (double const v : y.ticks())
    s += "<path class=\"grid\" d=\"M" + pixel(left) + " " + put_y(v) + "H" + pixel(left + plot_width) +
         "\"/><text x=\"" + pixel(left - 6) + "\" y=\"" + put_y(v) + "\" dy=\"4\" text-anchor=\"end\">" + number(v) +
         "</text>\n";
  s += "<text x=\"" + pixel(left + plot_width / 2) + "\" y=\"" + pixel(base + 35) + "\" text-anchor=\"middle\">" +
       escaped(panel.x.label) + "</text>\n";
  s += "<text transform=\"translate(14 " + pixel(y0 + top + plot_height / 2) +
       ") rotate(-90)\" text-anchor=\"middle\">" + escaped(panel.y.label) + "</text>\n";
  s += "<path class=\"axis\" d=\"M" + pixel(left) + " " + pixel(y0 + top) + "V" + pixel(base) + "H" +
       pixel(left + plot_width) + "\"/>\n";

  double legend = y0 + top + 8;
  for (plot_line const& line : panel.lines) {
    auto const index = static_cast<std::size_t>(std::find(names.begin(), names.end(), line.name) - names.begin());
    std::string const style = line_style(index);
    std::string       path;
    for (auto const& [px, py] : line.points)
      if (x.shows(px) && y.shows(py)) path += (path.empty() ? "M" : "L") + put_x(px) + " " + put_y(py);
    s += "<path class=\"line\" " + style + " d=\"" + path + "\"><title>" + escaped(line.name) + "</title></path>\n";
    double const at = left + plot_width + 14;
    s += "<path class=\"line\" " + style + " d=\"M" + pixel(at) + " " + pixel(legend) + "h22\"/><text x=\"" +
         pixel(at + 28) + "\" y=\"" + pixel(legend) + "\" dy=\"4\">" + escaped(line.name) + "</text>\n";
    legend += 17;
  }
  return s;
}

}  // namespace

std::string to_svg(std::span<plot_panel const> panels) {
  std::vector<std::string> names;
  for (plot_panel const& panel : panels)
    for (plot_line const& line : panel.lines)
      if (std::find(names.begin(), names.end(), line.name) == names.end()) names.push_back(line.name);
  std::string title;
  for (plot_panel const& panel : panels) title += (title.empty() ? "" : "; ") + panel.title;
  double const height = panel_height * static_cast<double>(panels.size());
  std::string  s = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + pixel(width) + " " + pixel(height) +
                  "\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"" +
                  escaped(title) + "\">\n";
  s += "<style>\n"
       ".paper{fill:#fff} text{fill:#333} .title{font-size:14px;font-weight:600} .grid{stroke:#e4e4e4;fill:none} "
       ".axis{stroke:#777;fill:none} .line{fill:none;stroke-width:1.8;stroke-linejoin:round}\n"
       "@media (prefers-color-scheme: dark){.paper{fill:#16191d} text{fill:#d8d8d8} .grid{stroke:#33383e} "
       ".axis{stroke:#999}}\n</style>\n";
  s += "<rect class=\"paper\" width=\"" + pixel(width) + "\" height=\"" + pixel(height) + "\"/>\n";
  double y0 = 0;
  for (plot_panel const& panel : panels) s += panel_svg(panel, names, y0), y0 += panel_height;
  return s + "</svg>\n";
}

std::vector<std::pair<double, double>> share_above(std::span<double const> sorted) {
  std::vector<std::pair<double, double>> points;
  double const                           n = static_cast<double>(sorted.size());
  // Shares 1 ... 0.1 in steps of 1/50, then 40 a decade down to one value of all.
  for (double share = 1; !sorted.empty() && share * n >= 1;
       share        = share > .1 ? share - .02 : share * std::pow(.1, .025)) {
    auto const at = std::min(sorted.size() - 1, static_cast<std::size_t>((1 - share) * n));
    points.emplace_back(sorted[at], share);
  }
  if (!sorted.empty()) points.emplace_back(sorted.back(), 1 / n);
  return points;
}

}  // namespace tenon::engine
