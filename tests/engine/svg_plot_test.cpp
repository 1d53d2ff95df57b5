//  Plots: what is drawn, that it is XML, and that odd numbers do no harm.
#include <engine/program/svg_plot.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <regex>

namespace {

using namespace tenon::engine;

std::size_t count(std::string const& text, std::string const& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// Every tag is closed by its own end; attributes are in quotes.
void expect_xml(std::string const& svg) {
  std::vector<std::string> open;
  std::regex const         tag(R"(<(/?)([a-z]+)((?: [a-zA-Z:-]+="[^"<]*")*)(/?)>)");
  std::string              rest = svg;
  for (std::sregex_iterator at(svg.begin(), svg.end(), tag), end; at != end; ++at) {
    if ((*at)[1].length() > 0) {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), (*at)[2]);
      open.pop_back();
    } else if ((*at)[4].length() == 0) {
      open.push_back((*at)[2]);
    }
  }
  EXPECT_TRUE(open.empty());
  std::string const left = std::regex_replace(svg, tag, "");
  EXPECT_EQ(left.find('<'), left.npos) << left;
}

TEST(svg_plot, panels_share_colours) {
  plot_panel const first{
      "Gaps", {"ms", true}, {"share", true}, {{"a", {{1, 1}, {10, .1}}}, {"b", {{2, 1}, {200, .01}}}}};
  plot_panel const  second{"Use", {"s", false}, {"share", false}, {{"b", {{0, .5}, {9, .25}}}}};
  std::string const svg = to_svg(std::vector{first, second});
  expect_xml(svg);
  EXPECT_EQ(count(svg, "class=\"line\""), 6u);  // three lines, and each in a legend
  EXPECT_EQ(count(svg, "#0072b2"), 2u);
  EXPECT_EQ(count(svg, "#d55e00"), 4u);  // b, in both
  EXPECT_NE(svg.find(">100</text>"), std::string::npos);
  EXPECT_NE(svg.find("prefers-color-scheme: dark"), std::string::npos);
  EXPECT_NE(svg.find("aria-label=\"Gaps; Use\""), std::string::npos);
}

TEST(svg_plot, names_are_text) {
  std::string const svg =
      to_svg(std::vector{plot_panel{"<&>", {"\"x\"", false}, {"", false}, {{"a<b>\x01", {{0, 1}}}}}});
  expect_xml(svg);
  EXPECT_NE(svg.find("a&lt;b&gt;"), std::string::npos);
  EXPECT_EQ(svg.find('\x01'), std::string::npos);
}

TEST(svg_plot, odd_numbers) {
  double const inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  for (bool const logarithmic : {false, true})
    for (std::vector<std::pair<double, double>> const& points : {std::vector<std::pair<double, double>>{},
                                                                 {{nan, 1}, {inf, -inf}},
                                                                 {{0, 0}, {-1, -1}},
                                                                 {{5, 5}},
                                                                 {{1e-300, 1e300}, {1, 1}}}) {
      std::string const svg =
          to_svg(std::vector{plot_panel{"t", {"x", logarithmic}, {"y", logarithmic}, {{"a", points}}}});
      expect_xml(svg);
      EXPECT_EQ(svg.find("nan"), std::string::npos);
      EXPECT_EQ(svg.find("inf"), std::string::npos);
      EXPECT_LT(svg.size(), 200000u);
    }
  expect_xml(to_svg({}));
}

TEST(share_above, falls_from_all_to_one) {
  std::vector<double> values(100000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  auto const points = share_above(values);
  EXPECT_LT(points.size(), 400u);
  EXPECT_EQ(points.front(), std::pair(0., 1.));
  EXPECT_EQ(points.back(), std::pair(99999., 1e-5));
  for (auto const& [v, share] : points) EXPECT_NEAR(share, 1 - v / 1e5, 1.1e-5);
  EXPECT_TRUE(share_above({}).empty());
  EXPECT_EQ(share_above(std::vector<double>{7}).back(), std::pair(7., 1.));
}

}  // namespace
