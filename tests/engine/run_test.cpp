//  `tenon run` as a stranger uses it: results in order, times, summaries, and what a request may ask of its scheduling.
#include <gtest/gtest.h>

#include <algorithm>

#include "program.hpp"

namespace {

using nlohmann::json;

std::string const demo = std::string(TENON_SOURCE_DIR) + "/examples/models/tenon-demo";

test::run_result run(std::vector<std::string> more, std::string const& requests) {
  std::vector<std::string> args = {"run", "--model", demo, "--requests", "-", "--max-tokens", "6"};
  args.insert(args.end(), more.begin(), more.end());
  return test::run_program(args, requests);
}

TEST(run, results_are_in_the_order_of_the_file_and_have_times) {
  auto const r = run({"--output", "json", "--temperature", "0"},
                     "{\"prompt\":\"The\",\"arrival\":0.2}\n{\"prompt\":\"Once upon a time\",\"max_tokens\":1}\n");
  ASSERT_EQ(r.status, 0) << r.err;
  auto const lines = r.lines();
  ASSERT_EQ(lines.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(lines[i]["index"], i);
  EXPECT_EQ(lines[0]["prompt"], "The");
  EXPECT_EQ(lines[0]["ids"].size(), 6u);
  EXPECT_EQ(lines[0]["finish_reason"], "length");
  EXPECT_EQ(lines[0]["arrival"], 0.2);
  EXPECT_GE(lines[0]["ttft"], 0);
  EXPECT_GE(lines[0]["e2e"], lines[0]["ttft"]);
  EXPECT_TRUE(lines[0]["tpot"].is_number());
  EXPECT_TRUE(lines[1]["tpot"].is_null()) << "one token has no successor";
  for (auto const* words : {"TTFT", "TPOT", "ITL", "E2EL", "P90", "P99", "Prompt tokens computed", "Preemptions"})
    EXPECT_NE(r.err.find(words), std::string::npos) << words << "\n" << r.err;
  EXPECT_EQ(r.err.find('\r'), std::string::npos) << "progress is for terminals";
}

TEST(run, gives_what_generate_gives) {
  std::string const prompts = "{\"prompt\":\"The old man\",\"seed\":3}\n{\"prompt\":\"Once\",\"temperature\":0}\n";
  auto const        served  = run({"--quiet"}, prompts);
  auto const        there =
      test::run_program({"generate", "--model", demo, "--prompts", "-", "--max-tokens", "6", "--quiet"}, prompts);
  ASSERT_EQ(served.status, 0) << served.err;
  EXPECT_EQ(served.out, there.out);
  EXPECT_EQ(served.err, "");
}

TEST(run, a_prompt_may_have_several_completions) {
  auto const r = run({"--output", "json", "--n", "2"},
                     "{\"prompt\":\"The\",\"seed\":1}\n{\"prompt\":\"The\",\"n\":3,\"seed\":1}\n");
  ASSERT_EQ(r.status, 0) << r.err;
  auto const lines = r.lines();
  ASSERT_EQ(lines.size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(lines[i]["index"], i < 2 ? 0 : 1);
    EXPECT_EQ(lines[i]["completion"], i < 2 ? i : i - 2);
  }
  EXPECT_NE(lines[0]["ids"], lines[1]["ids"]);
}

TEST(run, a_deadline_ends_a_completion) {
  auto const r = run({"--output", "json"}, "{\"prompt\":\"The\",\"deadline\":0}\n{\"prompt\":\"A\",\"deadline\":60}\n");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.lines().at(0)["finish_reason"], "deadline");
  EXPECT_EQ(r.lines().at(0)["ids"].size(), 0u);
  EXPECT_TRUE(r.lines().at(0)["ttft"].is_null());
  EXPECT_EQ(r.lines().at(1)["finish_reason"], "length");
}

TEST(run, saves_its_summary) {
  test::scratch_folder const folder;
  std::string const          file   = (folder / "result.json").string();
  std::string                prompt = "\"prompt_ids\":[", requests;
  for (int i = 0; i < 200; ++i) prompt += (i ? "," : "") + std::to_string(100 + i);
  for (int i = 0; i < 4; ++i) requests += "{" + prompt + "," + std::to_string(400 + i) + "]}\n";
  ASSERT_EQ(run({"--save-result", file, "--quiet"}, requests).status, 0);
  auto const with = json::parse(test::read_text(file));
  for (auto const* key : {"mean_ttft_ms", "median_tpot_ms", "p90_itl_ms", "p99_e2el_ms", "output_throughput", "steps"})
    EXPECT_TRUE(with.contains(key)) << key;
  EXPECT_EQ(with["completed"], 4);
  EXPECT_EQ(with["computed_prompt_tokens"].get<int>() + with["prefix_cache_hits"].get<int>(), 4 * 201);
  EXPECT_GE(with["prefix_cache_hits"], 3 * 192);
  ASSERT_EQ(run({"--save-result", file, "--no-enable-prefix-caching"}, requests).status, 0);
  EXPECT_EQ(json::parse(test::read_text(file))["computed_prompt_tokens"], 4 * 201);
}

TEST(run, every_mode_and_policy) {
  std::string const requests =
      "{\"prompt\":\"The\",\"tenant\":\"a\",\"priority\":1}\n{\"prompt\":\"A dog\",\"tenant\":2}\n";
  std::string const wanted = run({"--quiet", "--temperature", "0"}, requests).out;
  for (std::vector<std::string> const& flags :
       std::vector<std::vector<std::string>>{{"--batching", "static"},
                                             {"--batching", "dynamic", "--dynamic-wait-ms", "1"},
                                             {"--prefill-first", "--scheduling-policy", "fcfs"},
                                             {"--no-enable-chunked-prefill"},
                                             {"--itl-target-ms", "5", "--cost-model", "llama-8b-bf16-h200"},
                                             {"--num-gpu-blocks-override", "4", "--max-num-seqs", "3"}}) {
    auto args = flags;
    args.insert(args.end(), {"--quiet", "--temperature", "0"});
    auto const r = run(args, requests);
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.out, wanted) << flags[0] << " " << flags.back();
  }
}

TEST(run, replays_a_trace) {
  test::scratch_folder const folder;
  std::string const          trace = (folder / "trace.csv").string(), file = (folder / "result.json").string();
  test::write_text(trace,
                   "TIMESTAMP,ContextTokens,GeneratedTokens\n"
                   "2023-11-16 18:00:00.0000000,400,40\n2023-11-16 18:00:01.0000000,200,20\n");
  auto const r = test::run_program({"run", "--model", demo, "--trace", trace, "--time-scale", "0.01", "--scale-lengths",
                                    "0.1", "--save-result", file, "--output", "json"});
  ASSERT_EQ(r.status, 0) << r.err;
  auto const lines = r.lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["prompt_ids"].size(), 40u);
  EXPECT_EQ(lines[0]["ids"].size(), 4u);
  EXPECT_EQ(lines[1]["prompt_ids"].size(), 20u);
  EXPECT_NEAR(lines[1]["arrival"].get<double>(), 0.01, 1e-9);
  EXPECT_EQ(json::parse(test::read_text(file))["total_output_tokens"], 6);
}

TEST(run, what_cannot_run_is_said_and_the_rest_runs) {
  auto const r = run({"--output", "json", "--max-model-len", "8"},
                     "{\"prompt_ids\":[5,6,7,8,9,10,11,12,13]}\n{\"prompt_ids\":[5],\"max_tokens\":2}\n");
  EXPECT_EQ(r.status, 1);
  auto const lines = r.lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["finish_reason"], "error");
  EXPECT_NE(lines[0]["error"].get<std::string>().find("longer than the model's length"), std::string::npos);
  EXPECT_EQ(lines[1]["ids"].size(), 2u);
  EXPECT_NE(r.err.find("tenon: -: completions could not be made: found 1 with an error, expected none\n"),
            std::string::npos)
      << r.err;
}

TEST(run, errors_are_one_line) {
  struct bad {
    std::vector<std::string> flags;
    std::string              requests, words;
  };
  for (bad const& b : std::vector<bad>{
           {{}, "{\"prompt\":\"a\",\"arrival\":-1}\n", "standard input:1: arrival: "},
           {{}, "{\"prompt\":\"a\",\"n\":0}\n", "standard input:1: n: "},
           {{}, "{\"prompt\":\"a\",\"tenant\":[]}\n", "standard input:1: tenant: "},
           {{}, "{\"prompt\":\"a\",\"foo\":1}\n", "unknown field"},
           {{"--itl-target-ms", "5"}, "", "--itl-target-ms: needs a model of what a step costs"},
           {{"--trace", "t.csv"}, "", "--requests: excludes --trace"},
           {{"--cost-model", "nosuch"}, "{\"prompt\":\"a\"}\n", "nosuch"},
           {{"--save-result", "/nosuch/file"}, "{\"prompt\":\"a\"}\n", "/nosuch/file: cannot be written"}}) {
    auto args = b.flags;
    args.push_back("--quiet");
    auto const r = run(args, b.requests);
    EXPECT_NE(r.status, 0);
    EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
    EXPECT_NE(r.err.find(b.words), std::string::npos) << r.err;
  }
}

}  // namespace
