// The host target against what GPUs answered (tests/golden, written by probe), and the probe itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "../../probe/golden.hpp"
#include "../../probe/primitives.hpp"

namespace {

std::filesystem::path const project = TENON_SOURCE_DIR, goldens = project / "tests/golden";
probe::machine const        host = {"host target, which is not golden", 90};

probe::entry const& named(std::string const& name) {
  for (auto const& e : probe::table())
    if (e.name == name) return e;
  throw std::runtime_error("no case " + name);
}

// The first chunks of each case; `probe_host --compare tests/golden` takes all.
TEST(golden, the_host_target_answers_as_recorded) {
  int replayed = 0;
  if (std::filesystem::is_directory(goldens))
    for (auto const& file : std::filesystem::recursive_directory_iterator(goldens)) {
      if (file.path().extension() != ".txt") continue;
      auto const g = probe::read(file.path());
      ASSERT_TRUE(g) << file.path() << " is no golden data";
      EXPECT_EQ(g->device.find("host target"), std::string::npos) << file.path() << " was not recorded on a GPU";
      EXPECT_EQ(probe::compare(named(g->name), *g, {host.device, g->arch}, probe::kept), "") << file.path();
      ++replayed;
    }
  if (replayed == 0) GTEST_SKIP() << "no goldens recorded yet";
}

TEST(golden, a_difference_is_found_and_named) {
  auto const folder = std::filesystem::temp_directory_path() / "tenon_golden_test";
  for (std::string const name : {"votes", "mma_m16n8k16_bf16_f32", "rsqrt"}) {
    auto const& e = named(name);
    probe::write(probe::record(e, host), folder);
    auto g = probe::read(folder / (name + ".txt"));
    ASSERT_TRUE(g);
    EXPECT_EQ(g->name, name);
    EXPECT_EQ(g->hash.size(), std::size_t{probe::chunks});
    EXPECT_EQ(probe::compare(e, *g, host), "");

    auto changed = *g;
    changed.items += 64;
    EXPECT_NE(probe::compare(e, changed, host, 1).find("another form"), std::string::npos);
    if (e.approximate) {
      changed = *g, changed.hash[1] = 0;  // errors of one ulp are within what any machine may have
      EXPECT_EQ(probe::compare(e, changed, host, 2), "");
      continue;
    }
    changed = *g, changed.hash[3] ^= 1;
    EXPECT_NE(probe::compare(e, changed, host, 4).find("chunk 3 differs"), std::string::npos);
    EXPECT_EQ(probe::compare(e, changed, host, 3), "");
    changed         = *g, changed.raw[static_cast<std::size_t>(e.outputs) * 33] ^= 4;  // lane 1 of the second chunk
    auto const text = probe::compare(e, changed, host, 4);
    EXPECT_NE(text.find("item " + std::to_string(e.items / probe::chunks) + " lane 1 in"), std::string::npos) << text;
    EXPECT_NE(text.find("gave"), std::string::npos) << text;
  }
  std::filesystem::remove_all(folder);
}

// What another architecture's tensor cores sum otherwise is a difference.
TEST(golden, architectures_are_told_apart) {
  auto const& e = named("mma_m16n8k16_f16_f32");
  auto const  g = probe::record(e, host);
  EXPECT_NE(probe::compare(e, g, {host.device, 80}, 1), "");
}

TEST(golden, every_case_asks_something) {
  std::set<std::string> names, known;
  for (auto const& p : probe::primitives) EXPECT_TRUE(known.insert(p.name).second) << p.name << " is listed twice";
  for (auto const& e : probe::table()) {
    SCOPED_TRACE(e.name);
    EXPECT_TRUE(names.insert(e.name).second) << "two cases have this name";
    std::istringstream words(e.primitives);
    for (std::string word; words >> word;) EXPECT_TRUE(known.count(word)) << word << " is not in primitives.hpp";
    // Where inputs are taken in turn, the floats about one.
    auto const item = static_cast<std::uint32_t>(e.items / probe::chunks * 15);
    auto const a    = e.ask_items(host.context(), item, 8);
    ASSERT_EQ(a.raw.size(), 8 * 32 * static_cast<std::size_t>(e.outputs));
    EXPECT_GT(std::set<std::uint32_t>(a.raw.begin(), a.raw.end()).size(), 1u) << "all answers are alike";
    EXPECT_EQ(a.raw, e.ask_items(host.context(), item, 8).raw) << "asked again, it answers otherwise";
  }
}

TEST(golden, the_table_of_docs_is_up_to_date) {
  std::ifstream     file(project / "docs/fidelity.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find(probe::fidelity(goldens)), std::string::npos)
      << "docs/fidelity.md must contain what `probe_host --fidelity tests/golden` prints:\n"
      << probe::fidelity(goldens);
}

}  // namespace
