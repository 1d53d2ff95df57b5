//  Cost models from JSON: given, fitted, and broken.
#include <engine/schedule/cost_model_file.hpp>

#include <gtest/gtest.h>

#include "../scratch_folder.hpp"

namespace {

using namespace tenon::engine;

cost_model read(std::string const& text) { return cost_model_of(parse_json(text, "f"), "f"); }

std::string message_of(std::string const& text) {
  try {
    (void)read(text);
  } catch (error const& e) {
    return e.what();
  }
  return "no error";
}

TEST(cost_model_file, terms) {
  for (char const* text :
       {R"({"step": 1e-3, "token": 2e-5})", R"({"cost_model": {"step": 1e-3, "token": 2e-5}, "steps": 7})"}) {
    cost_model const m = read(text);
    EXPECT_DOUBLE_EQ(m.step, 1e-3);
    EXPECT_DOUBLE_EQ(m.token, 2e-5);
    EXPECT_EQ(m.pair, 0);
  }
  cost_model const m{1, 2, 3, 4, 5, 6, 7};
  cost_model const again = cost_model_of(to_json(m), "f");
  step_load const  load{10, 20, 30, 40, 50};
  EXPECT_DOUBLE_EQ(again.seconds(load), m.seconds(load));
}

TEST(cost_model_file, fits_steps) {
  cost_model const truth{.step = 1e-4, .weights = 3e-3, .token = 2e-5, .key = 1e-8};
  nlohmann::json   j;
  for (std::int64_t const tokens : {1, 8, 64, 512, 2048})
    for (std::int64_t const keys : {100, 10000, 1000000}) {
      step_load const load{tokens, 1, 1, keys, 0};
      j["steps"].push_back({{"tokens", tokens},
                            {"sequences", 1},
                            {"rows", 1},
                            {"keys", keys},
                            {"pairs", 0},
                            {"seconds", truth.seconds(load)}});
    }
  cost_model const m = read(j.dump());
  for (step_load const& load : {step_load{4, 1, 1, 5000, 0}, step_load{1000, 1, 1, 500000, 0}})
    EXPECT_NEAR(m.seconds(load) / truth.seconds(load), 1, .02);
}

TEST(cost_model_file, what_is_broken) {
  EXPECT_TRUE(message_of("{}").starts_with("f: no model of costs: ")) << message_of("{}");
  EXPECT_TRUE(message_of("[]").starts_with("f: ")) << message_of("[]");
  EXPECT_NE(message_of(R"({"step": -1})").find("f: step: "), std::string::npos) << message_of(R"({"step": -1})");
  EXPECT_TRUE(message_of(R"({"steps": []})").starts_with("f: steps: ")) << message_of(R"({"steps": []})");
  std::string const missing = message_of(R"({"steps": [{"tokens": 1}]})");
  EXPECT_TRUE(missing.starts_with("f: steps[0].")) << missing;
}

TEST(cost_model_file, file_or_name) {
  EXPECT_GT(load_cost_model("llama-8b-bf16-h200").weights, 3e-3);
  EXPECT_THROW((void)load_cost_model("no-such-model"), error);
  test::scratch_folder const folder;
  test::write_text(folder / "m.json", R"({"step": 2})");
  EXPECT_EQ(load_cost_model((folder / "m.json").string()).step, 2);
}

}  // namespace
