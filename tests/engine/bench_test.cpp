//  `tenon bench` as a stranger uses it: the form of its table and of its JSON. No time is judged.
#include <gtest/gtest.h>

#include <algorithm>

#include "program.hpp"

namespace {

using nlohmann::json;

std::string const demo = std::string(TENON_SOURCE_DIR) + "/examples/models/tenon-demo";

test::run_result bench(std::vector<std::string> const& more) {
  std::vector<std::string> args = {"bench", "--model", demo};
  args.insert(args.end(), more.begin(), more.end());
  return test::run_program(args);
}

TEST(bench, table) {
  auto const r = bench({"-p", "32", "-n", "4", "-b", "1,3", "-d", "0,16", "-r", "2"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(std::count(r.out.begin(), r.out.end(), '\n'), 2 + 2 * 3) << r.out;
  EXPECT_EQ(r.out.rfind("| model | size | params | dtype | device | test | t/s | GB/s |\n", 0), 0u) << r.out;
  for (auto const* words : {"| tenon-demo |", "| pp32 |", "| tg4 b1 |", "| tg4 b3 @ d16 |", " ± ", "| f32 | host |"})
    EXPECT_NE(r.out.find(words), std::string::npos) << words << "\n" << r.out;
}

TEST(bench, json_has_the_steps_and_the_model_of_their_cost) {
  auto const r = bench({"-p", "64", "-n", "2", "-b", "1,2", "-r", "1", "--output", "json"});
  ASSERT_EQ(r.status, 0) << r.err;
  json const j = r.lines().at(0);
  ASSERT_EQ(j["results"].size(), 3u);
  EXPECT_EQ(j["results"][0]["kind"], "prefill");
  EXPECT_EQ(j["results"][2]["batch"], 2);
  EXPECT_GT(j["results"][2]["tokens_per_second"], 0);
  EXPECT_GT(j["results"][2]["bytes_per_second"], 0);
  ASSERT_GT(j["steps"].size(), 10u);
  bool mixed = false;
  for (auto const& s : j["steps"]) {
    for (auto const* key : {"tokens", "sequences", "rows", "keys", "pairs", "seconds"}) EXPECT_GT(s[key], 0) << key;
    mixed = mixed || (s["sequences"] > 1 && s["tokens"] > s["sequences"]);
  }
  EXPECT_TRUE(mixed);
  for (auto const* key : {"step", "weights", "token", "sequence", "row", "key", "pair"})
    EXPECT_GE(j["cost_model"][key], 0) << key;
  EXPECT_GE(j["cost_model_error"]["worst"], j["cost_model_error"]["mean"]);
}

TEST(bench, dummy_weights) {
  auto const r = test::run_program({"bench", "--load-format", "dummy", "--config", demo + "/config.json", "-p", "8",
                                    "-n", "0", "-r", "1", "--output", "json", "--no-steps"});
  ASSERT_EQ(r.status, 0) << r.err;
  json const j = r.lines().at(0);
  EXPECT_EQ(j["results"].size(), 1u);
  EXPECT_FALSE(j.contains("steps") || j.contains("cost_model"));
}

TEST(bench, what_is_longer_than_the_model_is_refused) {
  auto const r = bench({"-p", "2000"});
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(r.err,
            "tenon: --n-prompt: is longer than the model: found pp2000, expected at most 1024 tokens, --depth "
            "among them\n");
}

}  // namespace
