//  `tenon bench` as a stranger uses it: the form of its table and of its JSON. No time is judged.
#include <gtest/gtest.h>

#include <algorithm>

#include "program.hpp"

namespace {

using nlohmann::json;

std::string const demo = std::string(TENON_SOURCE_DIR) + "/examples/models/tenon-demo";

test::run_result bench(std::string const& flags) {
  return test::run_program({"bench", "--model", demo}, test::words(flags));
}

TEST(bench, table) {
  auto const r = bench("-p 32 -n 4 -b 1,3 -d 0,16 -r 2");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(std::count(r.out.begin(), r.out.end(), '\n'), 2 + 2 * 3) << r.out;
  EXPECT_EQ(r.out.rfind("| model | size | params | dtype | device | test | t/s | GB/s |\n", 0), 0u) << r.out;
  for (auto const* words : {"| tenon-demo |", "| pp32 |", "| tg4 b1 |", "| tg4 b3 @ d16 |", " ± ", "| f32 | host |"})
    EXPECT_NE(r.out.find(words), std::string::npos) << words << "\n" << r.out;
}

TEST(bench, json_has_the_steps_and_the_model_of_their_cost) {
  auto const r = bench("-p 64 -n 2 -b 1,2 -r 1 --output json");
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
  auto const r = test::run_program({"bench", "--load-format", "dummy", "--config", demo + "/config.json"},
                                   test::words("-p 8 -n 0 -r 1 --output json --no-steps"));
  ASSERT_EQ(r.status, 0) << r.err;
  json const j = r.lines().at(0);
  EXPECT_EQ(j["results"].size(), 1u);
  EXPECT_FALSE(j.contains("steps") || j.contains("cost_model"));
}

TEST(bench, names_the_folder_of_the_model) {
  for (std::string const where : {"/", "/.", "/../tenon-demo"}) {
    auto const r = test::run_program({"bench", "--model", demo + where}, test::words("-p 8 -n 0 -r 1"));
    EXPECT_NE(r.out.find("\n| tenon-demo | 7.51 MiB |"), std::string::npos) << r.out << r.err;
  }
  auto const r = test::run_program({"bench", "--load-format", "dummy", "--config", demo + "/config.json"},
                                   test::words("-p 8 -n 0 -r 1"));
  EXPECT_NE(r.out.find("\n| tenon-demo | 7.51 MiB |"), std::string::npos) << r.out << r.err;
}

// A step reads all weights but the embedding, where the head is a matrix of its own.
TEST(bench, size_of_the_model_and_of_what_a_step_reads) {
  test::scratch_folder const folder;
  json                       config = json::parse(test::read_text(demo + "/config.json"));
  int const                  embedding =
      config["vocab_size"].get<int>() * config["hidden_size"].get<int>();  // one matrix where it is tied
  auto const measured = [&](bool tied, std::string const& flags) {
    config["tie_word_embeddings"] = tied;
    test::write_text(folder / "config.json", config.dump());
    auto const r = test::run_program({"bench", "--load-format", "dummy", "--config", (folder / "config.json").string()},
                                     test::words("-p 8 -n 0 -r 1 --no-steps --output json " + flags));
    EXPECT_EQ(r.status, 0) << r.err;
    return r.lines().at(0);
  };
  json const tied = measured(true, ""), own = measured(false, "");
  EXPECT_EQ(tied["weight_bytes"], 4 * 1967808);
  EXPECT_EQ(tied["step_bytes"], 4 * 1967808);
  EXPECT_TRUE(tied["quantize"].is_null());
  EXPECT_EQ(own["weight_bytes"], 4 * (1967808 + embedding));
  EXPECT_EQ(own["step_bytes"], 4 * 1967808);
  json const quantised = measured(false, "--quantize w8a8");
  EXPECT_EQ(quantised["quantize"], "w8a8");
  EXPECT_LT(quantised["weight_bytes"], own["weight_bytes"]);
  EXPECT_EQ(quantised["weight_bytes"].get<int>() - quantised["step_bytes"].get<int>(), 4 * embedding);
  EXPECT_NE(bench("-p 8 -n 0 -r 1 --quantize w8a8").out.find("| f32 w8a8 | host |"), std::string::npos);
}

TEST(bench, what_is_longer_than_the_model_is_refused) {
  auto const r = bench("-p 2000");
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(r.err,
            "tenon: --n-prompt: is longer than the model: found pp2000, expected at most 1024 tokens, --depth "
            "among them\n");
}

}  // namespace
