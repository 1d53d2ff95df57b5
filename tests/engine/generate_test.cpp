//  `tenon generate`, `perplexity` and `info` as a stranger uses them, on the model in this repository.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "program.hpp"

namespace {

using nlohmann::json;

std::string const demo = std::string(TENON_SOURCE_DIR) + "/examples/models/tenon-demo";

test::run_result generate(std::vector<std::string> more, std::string const& input = {}) {
  std::vector<std::string> args = {"generate", "--model", demo};
  args.insert(args.end(), more.begin(), more.end());
  return test::run_program(args, input);
}

/// One line on stderr that begins with `tenon: `, and nothing on stdout.
void expect_error(test::run_result const& r, int status, std::string const& words) {
  EXPECT_EQ(r.status, status);
  EXPECT_EQ(r.err.rfind("tenon: ", 0), 0u) << r.err;
  EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
  EXPECT_NE(r.err.find(words), std::string::npos) << r.err;
  EXPECT_EQ(r.out, "");
}

TEST(generate, one_prompt_streams_after_itself) {
  auto const r = generate({"--prompt", "Once upon a time", "--temperature", "0", "--max-tokens", "5"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out, "Once upon a time, there was a little\n");
  EXPECT_NE(r.err.find("5 tokens in "), std::string::npos);
  EXPECT_EQ(generate({"--prompt", "Once upon a time", "--max-tokens", "5", "--quiet"}).err, "");
}

TEST(generate, several_prompts_are_printed_whole_and_in_order) {
  auto const r =
      generate({"--prompt", "The old man", "--prompt", "Once upon a time", "--temperature", "0", "--max-tokens", "3"});
  ASSERT_EQ(r.status, 0) << r.err;
  auto const first = r.out.find("The old man"), second = r.out.find("\n\nOnce upon a time, there was\n");
  EXPECT_EQ(first, 0u);
  EXPECT_NE(second, std::string::npos) << r.out;
}

TEST(generate, a_draw_is_the_same_alone_and_in_a_batch) {
  std::string const line  = R"({"prompt":"The garden","seed":11})";
  auto const        alone = generate({"--prompts", "-", "--max-tokens", "20", "--output", "json"}, line + "\n").lines();
  auto const        again = generate({"--prompts", "-", "--max-tokens", "20", "--output", "json"},
                                     line + "\n{\"prompt\":\"A\"}\n{\"prompt\":\"One day\"}\n")
                         .lines();
  ASSERT_EQ(alone.size(), 1u);
  ASSERT_EQ(again.size(), 3u);
  EXPECT_EQ(alone[0]["ids"], again[0]["ids"]);
  auto const other = generate({"--prompts", "-", "--max-tokens", "20", "--output", "json"},
                              "{\"prompt\":\"The garden\",\"seed\":12}\n")
                         .lines();
  EXPECT_NE(alone[0]["ids"], other.at(0)["ids"]);
}

TEST(generate, a_stop_text_ends_the_completion_and_is_not_part_of_it) {
  auto const r = generate({"--prompt", "Once upon a time", "--temperature", "0", "--max-tokens", "50", "--stop",
                           " little g", "--output", "json"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.lines().at(0)["text"], ", there was a");
  EXPECT_EQ(r.lines().at(0)["finish_reason"], "stop");
}

TEST(generate, logprobs_are_of_the_model_itself) {
  auto const plain =
      generate({"--prompt", "The", "--temperature", "0", "--max-tokens", "3", "--logprobs", "3", "--output", "json"})
          .lines()
          .at(0);
  ASSERT_EQ(plain["logprobs"].size(), 3u);
  for (auto const& t : plain["logprobs"]) {
    ASSERT_EQ(t["top"].size(), 3u);
    EXPECT_EQ(t["top"][0]["id"], t["id"]);
    EXPECT_EQ(t["top"][0]["logprob"], t["logprob"]);
    EXPECT_GE(t["top"][0]["logprob"], t["top"][1]["logprob"]);
  }
  // A bias changes what is drawn, not what the model says of it.
  int const  second = plain["logprobs"][0]["top"][1]["id"];
  auto const biased = generate({"--prompt", "The", "--temperature", "0", "--max-tokens", "1", "--logprobs", "3",
                                "--logit-bias", std::to_string(second) + ":50", "--output", "json"})
                          .lines()
                          .at(0);
  EXPECT_EQ(biased["ids"][0], second);
  EXPECT_EQ(biased["logprobs"][0]["logprob"], plain["logprobs"][0]["top"][1]["logprob"]);
}

TEST(generate, a_completion_ends_one_token_past_the_models_length) {
  auto const r = generate({"--prompt", "Once upon a time", "--max-tokens", "500", "--max-model-len", "16",
                           "--ignore-eos", "--output", "json"});
  ASSERT_EQ(r.status, 0) << r.err;
  auto const j = r.lines().at(0);
  EXPECT_EQ(j["prompt_ids"].size() + j["ids"].size(), 17u);
  EXPECT_EQ(j["finish_reason"], "length");
}

TEST(generate, a_prompt_fed_in_pieces_gives_the_same_ids) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "The little dog ran to the house. ";
  std::vector<std::string> const args   = {"--prompt",     text, "--temperature", "0",
                                           "--max-tokens", "8",  "--output",      "json"};
  auto                           pieces = args;
  pieces.insert(pieces.end(), {"--max-num-batched-tokens", "64"});
  auto const whole = generate(args), cut = generate(pieces);
  ASSERT_EQ(whole.status, 0) << whole.err;
  ASSERT_EQ(cut.status, 0) << cut.err;
  EXPECT_EQ(whole.lines().at(0)["ids"], cut.lines().at(0)["ids"]);
}

TEST(generate, refuses_what_it_cannot_do_in_one_line) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "word ";
  expect_error(generate({"--prompt", text}), 1, "longer than the model's length");
  expect_error(generate({"--prompt", "x", "--quantize", "w4"}), 2, "--quantize");
  expect_error(generate({"--prompt", "x", "--kv-cache-dtype", "int8"}), 1, "--kv-cache-dtype");
  expect_error(generate({"--prompts", "-"}, "{\"prompt_ids\":[99999]}\n"), 1, "outside the vocabulary");
  expect_error(generate({"--prompts", "-"}, "{broken\n"), 1, "standard input:1");
  expect_error(generate({"--prompt", "x", "--dtype", "f64"}), 2, "--dtype");
  expect_error(test::run_program({"generate", "--model", "/nonexistent", "--prompt", "x"}), 1, "/nonexistent");
  expect_error(generate({"--prompt", "x", "--max-model-len", "2000"}), 1, "--max-model-len");
}

TEST(generate, bytes_that_are_no_utf8_are_a_prompt_like_any_other) {
  auto const r = generate({"--prompt", "bad \xff\xfe bytes", "--max-tokens", "3", "--output", "json"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.lines().at(0)["ids"].size(), 3u);
}

TEST(generate, dummy_weights_are_fixed_by_their_seed) {
  std::vector<std::string> const args = {"generate",
                                         "--load-format",
                                         "dummy",
                                         "--config",
                                         demo + "/config.json",
                                         "--prompts",
                                         "-",
                                         "--temperature",
                                         "0",
                                         "--max-tokens",
                                         "8",
                                         "--output",
                                         "json",
                                         "--seed"};
  auto const                     with = [&](std::string const& seed) {
    auto a = args;
    a.push_back(seed);
    return test::run_program(a, "{\"prompt_ids\":[1,2,3]}\n");
  };
  auto const a = with("1"), b = with("1"), c = with("2");
  ASSERT_EQ(a.status, 0) << a.err;
  EXPECT_EQ(a.out, b.out);
  EXPECT_NE(a.out, c.out);
}

TEST(generate, an_output_that_cannot_be_written_is_an_error) {
  int const raw = std::system((test::shell_quoted(TENON_PROGRAM) + " generate --model " + test::shell_quoted(demo) +
                               " --prompt x --max-tokens 2 >/dev/full 2>/dev/null")
                                  .c_str());
  EXPECT_EQ(WEXITSTATUS(raw), 1);
  auto const r = test::run_program(
      {"perplexity", "--model", demo, "--text", demo + "/README.md", "--dump-logits", "/nonexistent/x.npy"});
  expect_error(r, 1, "/nonexistent/x.npy");
}

TEST(perplexity, every_token_but_the_first_is_scored_once) {
  test::scratch_folder const folder;
  std::vector<int>           ids;
  for (int i = 0; i < 50; ++i) ids.push_back(i * 31 % 2048);
  test::write_text(folder / "ids.json", json{{"per_text", {{{"ids", ids}}}}}.dump());
  for (char const* const length : {"1024", "49", "7"}) {
    auto const r = test::run_program({"perplexity", "--model", demo, "--ids", (folder / "ids.json").string(),
                                      "--max-model-len", length, "--reference", "f32", "--output", "json"});
    ASSERT_EQ(r.status, 0) << r.err;
    auto const j = r.lines().at(0);
    EXPECT_EQ(j["tokens"], 49);
    EXPECT_NEAR(std::log(j["perplexity"].get<double>()), j["nll"].get<double>(), 1e-9);
    EXPECT_EQ(j["kl"], 0.0);
    EXPECT_EQ(j["top1_agreement"], 1.0);
  }
}

TEST(info, describes_the_model) {
  auto const r = test::run_program({"info", "--model", demo, "--output", "json"});
  ASSERT_EQ(r.status, 0) << r.err;
  auto const j = r.lines().at(0);
  EXPECT_EQ(j["parameters"], 1967808);
  EXPECT_EQ(j["kv_bytes_per_token"]["bf16"], 4 * 2 * 64 * 2);
  EXPECT_EQ(j["bytes_by_dtype"]["BF16"], 2 * 1967808);
}

}  // namespace
