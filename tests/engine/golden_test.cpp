//  The program against others' programs: llama2.c's and PyTorch's ids, logits and losses on real models.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "program.hpp"

namespace {

using nlohmann::json;

struct subject {
  char const* name;       // of the golden files
  char const* model;      // below the shared data's models
  char const* tokenizer;  // "" where the model's folder has one
  int         length;     // positions that the golden run was allowed
};

std::ostream& operator<<(std::ostream& out, subject const& s) { return out << s.name; }

class golden : public testing::TestWithParam<subject> {
 protected:
  void SetUp() override {
    if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  }
  static std::vector<std::string> model_arguments() {
    subject const&           s    = GetParam();
    std::vector<std::string> args = {"--model", (test::shared_data() / "models" / s.model).string()};
    if (*s.tokenizer) args.insert(args.end(), {"--tokenizer", (test::shared_data() / "models" / s.tokenizer).string()});
    return args;
  }
  static json golden_file(char const* suffix) {
    return json::parse(test::read_text(test::shared_data() / "golden" / (std::string(GetParam().name) + suffix)));
  }
  static test::run_result run(std::string const& command, std::vector<std::string> const& more,
                              std::string const& input = {}) {
    std::vector<std::string> args  = {command};
    auto const               model = model_arguments();
    args.insert(args.end(), model.begin(), model.end());
    args.insert(args.end(), more.begin(), more.end());
    return test::run_program(args, input);
  }
  /// All prompts of the golden file in one run.
  static test::run_result greedy(std::vector<std::string> const& more) {
    std::string input;
    for (auto const& g : golden_file("_greedy.json"))
      input += json{{"prompt", g["prompt"]}, {"max_tokens", g["generated_ids"].size()}}.dump() + "\n";
    std::vector<std::string> args = {"--prompts", "-", "--dtype", "f32", "--temperature", "0", "--output", "json"};
    args.insert(args.end(), more.begin(), more.end());
    return run("generate", args, input);
  }
};

INSTANTIATE_TEST_SUITE_P(models, golden,
                         testing::Values(subject{"stories260K", "stories260K/hf", "stories260K/tok512.bin", 256},
                                         subject{"babyllama105", "babyllama105/hf", "babyllama105/tok105.bin", 256},
                                         subject{"tenon_demo", "tenon-demo", "", 512}),
                         [](auto const& model) { return std::string(model.param.name); });

// The same ids up to the first step where the two best logits are nearer than 1e-2.
TEST_P(golden, greedy_ids_are_those_of_the_reference_program) {
  auto const expected = golden_file("_greedy.json");
  auto const result   = greedy({"--max-model-len", std::to_string(GetParam().length)});
  ASSERT_EQ(result.status, 0) << result.err;
  auto const got = result.lines();
  ASSERT_EQ(got.size(), expected.size());
  std::size_t compared = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    SCOPED_TRACE(expected[i]["prompt"].dump());
    EXPECT_EQ(got[i]["prompt_ids"], expected[i]["prompt_ids"]);
    auto const want    = expected[i]["generated_ids"].get<std::vector<int>>(),
               have    = got[i]["ids"].get<std::vector<int>>();
    auto const margins = expected[i]["margins"].get<std::vector<double>>();
    for (std::size_t t = 0; t < want.size() && margins[t] >= 1e-2; ++t, ++compared) {
      bool const stops = t + 1 == want.size() && t == have.size();  // the stop token is not part of our ids
      if (stops) break;
      ASSERT_LT(t, have.size());
      ASSERT_EQ(have[t], want[t]) << "at step " << t;
    }
  }
  EXPECT_GT(compared, 200u);
}

TEST_P(golden, logits_agree_to_a_thousandth) {
  for (auto const& entry : test::fs::directory_iterator(test::shared_data() / "golden")) {
    std::string const name   = entry.path().filename().string();
    std::string const prefix = std::string(GetParam().name) + "_logits_prompt0_";
    if (name.rfind(prefix, 0) != 0) continue;
    auto const        g         = golden_file("_greedy.json")[0];
    auto              ids       = g["prompt_ids"].get<std::vector<int>>();
    auto const        generated = g["generated_ids"].get<std::vector<int>>();
    std::size_t const rows      = std::stoul(name.substr(prefix.size()));
    ids.insert(ids.end(), generated.begin(), generated.end());
    ids.resize(rows + 1);
    test::scratch_folder const folder;
    test::write_text(folder / "ids.json", json{{"per_text", {{{"ids", ids}}}}}.dump());
    auto const r = run("perplexity", {"--ids", (folder / "ids.json").string(), "--dtype", "f32", "--dump-logits",
                                      (folder / "logits.npy").string(), "--output", "json"});
    ASSERT_EQ(r.status, 0) << r.err;
    std::string const raw = test::read_text(entry.path()), npy = test::read_text(folder / "logits.npy");
    ASSERT_EQ(npy.size(), raw.size() + 128);
    double worst = 0;
    for (std::size_t i = 0; i < raw.size(); i += 4) {
      float want, have;
      std::memcpy(&want, raw.data() + i, 4), std::memcpy(&have, npy.data() + 128 + i, 4);
      worst = std::max(worst, std::abs(double(want) - double(have)));
    }
    EXPECT_LE(worst, 1e-3);
    return;
  }
  GTEST_SKIP() << "no stored logits for " << GetParam().name;
}

TEST_P(golden, loss_agrees) {
  auto const        expected = golden_file("_nll.json");
  std::string const ids      = (test::shared_data() / "golden" / (std::string(GetParam().name) + "_nll.json")).string();
  for (auto const& [dtype, bound] : {std::pair{"f32", 1e-3}, std::pair{"bf16", 3e-3}, std::pair{"f16", 1e-3}}) {
    SCOPED_TRACE(dtype);
    auto const r = run("perplexity", {"--ids", ids, "--dtype", dtype, "--output", "json"});
    ASSERT_EQ(r.status, 0) << r.err;
    auto const got = r.lines().at(0);
    EXPECT_EQ(got["tokens"], expected["predicted_tokens"]);
    EXPECT_NEAR(got["nll"].get<double>() / expected["mean_nll"].get<double>(), 1, bound);
  }
}

TEST_P(golden, a_batch_gives_each_prompt_what_it_gets_alone) {
  auto const prompts = golden_file("_greedy.json");
  for (char const* const cache : {"f32", "int8"}) {
    SCOPED_TRACE(std::string("a cache of ") + cache);
    std::vector<std::string> const args = {"--max-tokens",  "60", "--dtype",  "f32", "--kv-cache-dtype", cache,
                                           "--temperature", "0",  "--output", "json"};
    std::vector<json>              alone;
    for (auto const& g : prompts) {
      auto one = args;
      one.insert(one.end(), {"--prompt", g["prompt"]});
      auto const r = run("generate", one);
      ASSERT_EQ(r.status, 0) << r.err;
      alone.push_back(r.lines().at(0)["ids"]);
    }
    std::string input;
    for (auto const& g : prompts) input += json{{"prompt", g["prompt"]}}.dump() + "\n";
    for (char const* const block_size : {"1", "16", "64"}) {
      SCOPED_TRACE(std::string("block size ") + block_size);
      auto all = args;
      all.insert(all.end(), {"--prompts", "-", "--batch-invariant", "on", "--block-size", block_size});
      auto const r = run("generate", all, input);
      ASSERT_EQ(r.status, 0) << r.err;
      auto const batch = r.lines();
      ASSERT_EQ(batch.size(), alone.size());
      for (std::size_t i = 0; i < alone.size(); ++i) EXPECT_EQ(batch[i]["ids"], alone[i]) << prompts[i]["prompt"];
    }
  }
}

}  // namespace
