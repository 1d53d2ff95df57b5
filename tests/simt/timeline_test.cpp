// What the warps of a block did, in words and as a picture.
#include <tenon/arch/arch.cuh>
#include <tenon/simt/check.hpp>
#include <tenon/simt/cuda.hpp>
#include <tenon/simt/expect.hpp>

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#if TENON_CHECKED

namespace {

using namespace tenon;

constexpr int stages = 2, tile = 64;
struct storage {
  alignas(16) float in[stages][tile];
  arch::mbarrier full[stages], empty[stages];
};

/// One warp brings tiles by bulk copies, two use them.
__global__ void pipeline(float* y, float const* x, int tiles) {
  auto& s = arch::shared<storage>();
  if (threadIdx.x == 0)
    for (int i = 0; i < stages; ++i) arch::mbarrier_init(&s.full[i], 1), arch::mbarrier_init(&s.empty[i], tile);
  arch::sync_block();
  if (threadIdx.x >= tile) {
    for (int t = 0; threadIdx.x == tile && t < tiles; ++t) {
      arch::mbarrier_wait(&s.empty[t % stages], static_cast<unsigned>(t / stages) % 2 ^ 1);
      arch::mbarrier_arrive_expect(&s.full[t % stages], sizeof s.in[0]);
      arch::bulk_load(s.in[t % stages], x + t * tile, sizeof s.in[0], &s.full[t % stages]);
    }
  } else {
    for (int t = 0; t < tiles; ++t) {
      arch::mbarrier_wait(&s.full[t % stages], static_cast<unsigned>(t / stages) % 2);
      y[t * tile + static_cast<int>(threadIdx.x)] = 2 * s.in[t % stages][threadIdx.x];
      arch::mbarrier_arrive(&s.empty[t % stages]);
    }
  }
}

simt::report run(bool trace) {
  simt::buffer<float> x(4 * tile, 1.f), y(4 * tile);
  return simt::check({.trace = trace}, pipeline, 1, 96, sizeof(storage), y.data(), x.data(), 4);
}

TEST(timeline, tells_who_waits_and_what_arrives) {
  auto const found = run(true);
  ASSERT_TRUE(is_clean(found));
  ASSERT_EQ(found.timelines.size(), 1u);
  std::ostringstream text;
  text << found.timelines[0];
  std::string const t = text.str();
  EXPECT_EQ(t.find("timeline of block (0, 0, 0), 3 warps\n"), 0u) << t;
  for (char const* const line :
       {"     1  *||  warp 0, lane 0      mbarrier_init                       timeline_test.cpp:",
        "  .*|  warp 1              waits in sync_block                 timeline_test.cpp:",
        "  ..*  warp 2, lane 0      bulk load                           timeline_test.cpp:",
        "  ...  engine              bulk load arrives                   timeline_test.cpp:",
        "warp 0              returns\n"})
    EXPECT_NE(t.find(line), std::string::npos) << line << "\nin\n" << t;
  std::size_t loads = 0;
  for (auto const& e : found.timelines[0].events) loads += e.what == simt::deed::arrives;
  EXPECT_EQ(loads, 4u);
}

TEST(timeline, is_a_picture_too) {
  auto const        found = run(true);
  std::string const svg   = to_svg(found.timelines.at(0));
  EXPECT_EQ(svg.find("<svg xmlns="), 0u);
  EXPECT_NE(svg.find(">warp 2</text>"), std::string::npos);
  EXPECT_NE(svg.find("bulk load arrives at "), std::string::npos);
  EXPECT_EQ(svg.substr(svg.size() - 7), "</svg>\n");
  std::size_t circles = 0;
  for (std::size_t i = svg.find("<circle"); i != std::string::npos; i = svg.find("<circle", i + 1)) ++circles;
  EXPECT_EQ(circles, found.timelines[0].events.size());
}

TEST(timeline, shows_findings_and_is_kept_on_request_only) {
  EXPECT_TRUE(run(false).timelines.empty());
  simt::buffer<int> y(1);
  auto const        found = simt::check(
             {.trace = true}, [](int* to) { *to = static_cast<int>(threadIdx.x); }, 1, 64, 0, y.data());
  ASSERT_FALSE(found.clean());
  std::ostringstream text;
  text << found.timelines.at(0);
  EXPECT_NE(text.str().find("!|  warp 0, lane 1      !! race: write after write"), std::string::npos) << text.str();
}

}  // namespace

#endif
