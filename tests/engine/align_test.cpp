//  tenon align: which stage is to blame, on models that are alike but for what is planted in one.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "program.hpp"
#include "random_model.hpp"

namespace {

using nlohmann::json;
using test::model, test::run_program, test::scratch_folder, test::shape, test::plain_llama;

/// Two models, the first of which is tested, and a text of 50 ids.
class pair {
 public:
  pair(model const& tested, model const& reference) {
    tested.save(tested_), reference.save(reference_);
    json ids;
    for (int i = 0; i < 50; ++i) ids.push_back((i * 7 + i * i) % test::vocabulary);
    test::write_text(tested_ / "ids.json", json{{"per_text", {{{"ids", ids}}}}}.dump());
  }

  test::run_result align(std::vector<std::string> const& more = {}) const {
    std::vector<std::string> all = {"align",
                                    "--model",
                                    tested_.path().string(),
                                    "--against",
                                    reference_.path().string(),
                                    "--ids",
                                    (tested_ / "ids.json").string()};
    all.insert(all.end(), more.begin(), more.end());
    return run_program(all);
  }
  json report(std::vector<std::string> more = {}, int status = 0) const {
    more.insert(more.end(), {"--output", "json"});
    auto const r = align(more);
    EXPECT_EQ(r.status, status) << r.err;
    auto const lines = r.lines();
    return lines.size() == 1 ? lines[0] : json();
  }

 private:
  scratch_folder tested_, reference_;
};

double rel_l2(json const& report, std::string const& stage, char const* kind) {
  for (json const& s : report.at("stages"))
    if (s.at("name") == stage) return s.at(kind).at("rel_l2").get<double>();
  ADD_FAILURE() << "no stage " << stage;
  return -1;
}

TEST(align, a_model_is_itself) {
  auto const r = pair(model(plain_llama), model(plain_llama)).report();
  EXPECT_TRUE(r["pass"]);
  EXPECT_TRUE(r["first_divergent"].is_null());
  EXPECT_EQ(r["tokens"], 49);
  EXPECT_EQ(r["logits"]["kl"], 0);
  EXPECT_EQ(r["logits"]["top1_agreement"], 1);
  std::vector<std::string> names;
  for (json const& s : r["stages"]) {
    EXPECT_EQ(s["isolated"]["max_abs"], 0) << s;
    EXPECT_EQ(s["propagated"]["max_abs"], 0) << s;
    EXPECT_EQ(s["isolated"]["n"], 49 * s["width"].get<int>());
    names.push_back(s["name"]);
  }
  std::vector<std::string> want{"embedding"};
  for (char const* layer : {"layers.0.", "layers.1."})
    for (char const* stage : {"attention_norm", "q", "k", "v", "q_rotated", "attention", "attention_residual",
                              "mlp_norm", "gated", "mlp_residual"})
      want.push_back(std::string(layer) + stage);
  want.insert(want.end(), {"final_norm", "logits"});
  EXPECT_EQ(names, want);
}

// What one product does wrong is seen at that product alone, and handed on from there.
TEST(align, blames_the_stage_that_is_wrong) {
  model tested(plain_llama);
  tested.fill("model.layers.1.mlp.gate_proj.weight", .01f);
  auto const r = pair(tested, model(plain_llama)).report({}, 1);
  EXPECT_FALSE(r["pass"]);
  EXPECT_EQ(r["first_divergent"], "layers.1.gated");
  bool behind = false;
  for (json const& s : r["stages"]) {
    bool const guilty = s["name"] == "layers.1.gated";
    behind            = behind || guilty;
    EXPECT_EQ(s["pass"], !guilty) << s;
    EXPECT_EQ(s["isolated"]["rel_l2"] > 0, guilty) << s;
    EXPECT_EQ(s["propagated"]["rel_l2"] > 0, behind) << s;
  }
}

// Keys and values are the reference's in the isolated pass, also those of earlier steps.
TEST(align, isolates_attention_from_keys_that_are_wrong) {
  model tested(plain_llama);
  tested.fill("model.layers.0.self_attn.k_proj.weight", .05f);
  auto const r = pair(tested, model(plain_llama)).report({"--max-num-batched-tokens", "8"}, 1);
  EXPECT_EQ(r["first_divergent"], "layers.0.k");
  EXPECT_EQ(rel_l2(r, "layers.0.attention", "isolated"), 0);
  EXPECT_GT(rel_l2(r, "layers.0.attention", "propagated"), 0);
}

TEST(align, steps_and_windows_change_nothing) {
  pair const two{model(plain_llama), model(plain_llama)};
  auto const once   = two.report({"--dtype", "f16"}),
             pieces = two.report({"--dtype", "f16", "--max-num-batched-tokens", "7"});
  EXPECT_EQ(once["logits"], pieces["logits"]);
  EXPECT_NEAR(rel_l2(once, "layers.1.gated", "isolated"), rel_l2(pieces, "layers.1.gated", "isolated"), 1e-12);
  auto const windows = two.report({"--dtype", "f16", "--max-model-len", "20"});
  EXPECT_EQ(windows["tokens"], 49);
}

TEST(align, sixteen_bits_are_within_their_budget_and_beyond_a_smaller_one) {
  pair const two{model(plain_llama), model(plain_llama)};
  auto const r = two.report({"--dtype", "bf16"});
  EXPECT_GT(rel_l2(r, "layers.1.mlp_residual", "isolated"), 1e-5);
  EXPECT_GE(rel_l2(r, "logits", "propagated"), rel_l2(r, "logits", "isolated"));
  for (json const& s : r["stages"])
    EXPECT_LE(s["isolated"]["p99_ulp"], s["name"] == "logits" ? 1 << 17 : 2) << s;  // logits are f32
  auto const strict = two.report({"--dtype", "bf16", "--budget", "1e-6"}, 1);
  EXPECT_EQ(strict["first_divergent"], "embedding");
  EXPECT_FALSE(two.report({"--dtype", "bf16", "--max-kl", "0"}, 1)["pass"]);
}

TEST(align, counts_what_is_not_finite) {
  model tested(plain_llama);
  tested.fill("model.layers.1.post_attention_layernorm.weight", std::numeric_limits<float>::quiet_NaN());
  auto const r = pair(tested, model(plain_llama)).report({}, 1);
  EXPECT_EQ(r["first_divergent"], "layers.1.mlp_norm");
  EXPECT_EQ(r["logits"]["not_finite"], 49);
  EXPECT_NE(pair(tested, model(plain_llama)).align().out.find("not finite  FAIL"), std::string::npos);
}

TEST(align, says_in_text_what_it_says_in_json) {
  model tested(plain_llama);
  tested.fill("model.layers.1.mlp.gate_proj.weight", .01f);
  auto const r = pair(tested, model(plain_llama)).align();
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.out.find("FAIL, first at layers.1.gated\n"), std::string::npos) << r.out;
  EXPECT_NE(pair(model(plain_llama), model(plain_llama)).align().out.find(": PASS\n"), std::string::npos);
}

TEST(align, refuses_models_that_are_not_alike) {
  shape wide        = plain_llama;
  wide.intermediate = 48;
  auto const r      = pair(model(wide), model(plain_llama)).align();
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(r.err,
            "tenon: --against: the models have different stages: found layers.0.gated of 48, expected "
            "layers.0.gated of 40\n");
  auto const none = run_program({"align", "--model", "m"});
  EXPECT_EQ(none.status, 2);
}

}  // namespace
