//  `tenon generate`, `perplexity` and `info` as a stranger uses them, on the model in this repository.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "random_model.hpp"

namespace {

using nlohmann::json;

std::string const demo = std::string(TENON_SOURCE_DIR) + "/examples/models/tenon-demo";

test::run_result generate(std::vector<std::string> const& more, std::string const& input = {}) {
  return test::run_program({"generate", "--model", demo}, more, input);
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
  expect_error(generate({"--prompt", "x", "--kv-cache-dtype", "int2"}), 2, "--kv-cache-dtype");
  expect_error(generate({"--prompts", "-"}, "{\"prompt_ids\":[99999]}\n"), 1, "outside the vocabulary");
  expect_error(generate({"--prompts", "-"}, "{broken\n"), 1, "standard input:1");
  expect_error(generate({"--prompt", "x", "--dtype", "f64"}), 2, "--dtype");
  expect_error(test::run_program({"generate", "--model", "/nonexistent", "--prompt", "x"}), 1, "/nonexistent");
  expect_error(generate({"--prompt", "x", "--max-model-len", "2000"}), 1, "--max-model-len");
}

TEST(generate, a_model_whose_logits_are_not_finite) {
  test::scratch_folder const folder;
  test::save_broken_model(folder);
  for (std::string const quiet : {"", " --quiet"}) {
    auto const r = test::run_program({"generate", "--model", folder.path().string()},
                                     test::words("--prompts - --output json --max-tokens 3" + quiet),
                                     "{\"prompt_ids\":[1,2]}\n{\"prompt_ids\":[3]}\n");
    EXPECT_EQ(r.status, 1);
    ASSERT_EQ(r.lines().size(), 2u) << r.err;
    for (auto const& line : r.lines()) {
      EXPECT_EQ(line["finish_reason"], "error");
      EXPECT_EQ(line["ids"].size(), 0u);
    }
    EXPECT_EQ(r.err.find("tokens in ") != std::string::npos, quiet.empty()) << r.err;
    EXPECT_TRUE(
        r.err.ends_with("tenon: --model: completions could not be made: found 2 whose logits are not finite, "
                        "expected none\n"))
        << r.err;
  }
}

TEST(generate, bytes_that_are_no_utf8_are_a_prompt_like_any_other) {
  auto const r = generate({"--prompt", "bad \xff\xfe bytes", "--max-tokens", "3", "--output", "json"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.lines().at(0)["ids"].size(), 3u);
}

// A cache of another format than the decoder's: what is drawn is nearly what would have been, and a request's tokens are its
// own whatever runs beside it and however its pages are cut.
TEST(generate, caches_of_every_format_on_every_page_size) {
  std::vector<std::string> const prompts = {"Once upon a time", "The old man",
                                            "One day a little girl named Lily went to", "A"};
  auto const with = [&](std::string const& format, std::string const& block_size, std::string const& input) {
    auto const r = generate({"--prompts", "-", "--temperature", "0", "--max-tokens", "24", "--ignore-eos", "--output",
                             "json", "--kv-cache-dtype", format, "--block-size", block_size, "--batch-invariant", "on"},
                            input);
    EXPECT_EQ(r.status, 0) << r.err;
    return r.lines();
  };
  std::string all;
  for (auto const& p : prompts) all += json{{"prompt", p}}.dump() + "\n";
  auto const exact = with("auto", "16", all);
  ASSERT_EQ(exact.size(), prompts.size());
  for (std::string const format : {"f32", "bf16", "f16", "fp8", "int8", "int4"}) {
    SCOPED_TRACE(format);
    std::vector<json> alone;
    for (auto const& p : prompts) alone.push_back(with(format, "16", json{{"prompt", p}}.dump() + "\n").at(0)["ids"]);
    for (char const* const block_size : {"1", "16", "64"}) {
      auto const batch = with(format, block_size, all);
      ASSERT_EQ(batch.size(), prompts.size());
      for (std::size_t i = 0; i < prompts.size(); ++i) EXPECT_EQ(batch[i]["ids"], alone[i]) << block_size;
    }
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      if (format != "int4") {
        EXPECT_EQ(alone[i][0], exact[i]["ids"][0]);
      }
      if (format == "f32") {
        EXPECT_EQ(alone[i], exact[i]["ids"]);
      }
    }
  }
}

TEST(generate, windows_do_not_limit_the_length) {
  test::scratch_folder const folder;
  auto const                 dummy = [&](json patch) {
    json config = {{"architectures", {"MistralForCausalLM"}},
                   {"vocab_size", 64},
                   {"hidden_size", 32},
                   {"num_hidden_layers", 2},
                   {"num_attention_heads", 4},
                   {"intermediate_size", 48},
                   {"max_position_embeddings", 128},
                   {"sliding_window", 8}};
    config.merge_patch(patch);
    test::write_text(folder / "config.json", config.dump());
    return test::run_program({"generate", "--load-format", "dummy", "--config", (folder / "config.json").string(),
                              "--prompts", "-", "--max-tokens", "100", "--ignore-eos", "--output", "json"},
                                             "{\"prompt_ids\":[1,2,3,4,5,6,7,8,9,10,11,12]}\n");
  };
  auto const r = dummy(json::object());
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.lines().at(0)["ids"].size(), 100u);
  auto const info =
      test::run_program({"info", "--load-format", "dummy", "--config", (folder / "config.json").string()});
  EXPECT_NE(info.out.find("windows           8 tokens in 2 of 2 layers\n"), std::string::npos) << info.out;
  expect_error(dummy({{"hidden_act", "gelu"}}), 1, "hidden_act is not supported yet");
  expect_error(dummy({{"head_dim", 12}}), 1, "head_dim is not supported yet: found 12, expected a multiple of 8");
}

TEST(generate, dummy_weights_are_fixed_by_their_seed) {
  auto const with = [](std::string const& seed) {
    return test::run_program({"generate", "--load-format", "dummy", "--config", demo + "/config.json"},
                             test::words("--prompts - --temperature 0 --max-tokens 8 --output json --seed " + seed),
                             "{\"prompt_ids\":[1,2,3]}\n");
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
  // Four layers, keys and values, one head of 64; scales are four bytes each, int4's for 32 columns.
  int const rows = 4 * 2;
  EXPECT_EQ(j["kv_bytes_per_token"], (json{{"f32", rows * 64 * 4},
                                           {"bf16", rows * 64 * 2},
                                           {"f16", rows * 64 * 2},
                                           {"fp8", rows * (64 + 4)},
                                           {"int8", rows * (64 + 4)},
                                           {"int4", rows * (32 + 2 * 4)}}));
  EXPECT_FALSE(j.contains("sliding_windows"));
  auto const text = test::run_program({"info", "--model", demo});
  EXPECT_NE(
      text.out.find("KV per token      2.00 KiB in f32, 1.00 KiB in bf16 or f16, 544 B in fp8, 544 B in int8, 320 B "
                    "in int4\n"),
      std::string::npos)
      << text.out;
  EXPECT_EQ(j["bytes_by_dtype"]["BF16"], 2 * 1967808);
}

}  // namespace
