//  `tenon run` as a stranger uses it: results in order, times, summaries, and what a request may ask of its scheduling.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "random_model.hpp"
#include "started_program.hpp"

namespace {

using nlohmann::json;

using test::words;

std::string const demo = std::string(TENON_SOURCE_DIR) + "/examples/models/tenon-demo";

test::run_result run(std::string const& flags, std::string const& requests) {
  return test::run_program({"run", "--model", demo, "--requests", "-", "--max-tokens", "6"}, words(flags), requests);
}

/// The lines of a run that succeeds.
std::vector<json> served(std::string const& flags, std::string const& requests) {
  auto const r = run(flags + " --output json", requests);
  EXPECT_EQ(r.status, 0) << r.err;
  return r.status == 0 ? r.lines() : std::vector<json>{};
}

/// Of a trace on standard input.
test::run_result replay(std::string const& flags, std::string const& trace) {
  return test::run_program({"run", "--model", demo, "--trace", "-"}, words(flags), trace);
}

constexpr char lengths_only[] = "num_prefill_tokens,num_decode_tokens\n40,4\n20,2\n30,3\n";

TEST(run, results_are_in_the_order_of_the_file_and_have_times) {
  auto const r = run("--output json --temperature 0",
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
  auto const        served  = run("--quiet", prompts);
  auto const        there =
      test::run_program({"generate", "--model", demo}, words("--prompts - --max-tokens 6 --quiet"), prompts);
  ASSERT_EQ(served.status, 0) << served.err;
  EXPECT_EQ(served.out, there.out);
  EXPECT_EQ(served.err, "");
}

TEST(run, a_prompt_may_have_several_completions) {
  auto const lines = served("--n 2", "{\"prompt\":\"The\",\"seed\":1}\n{\"prompt\":\"The\",\"n\":3,\"seed\":1}\n");
  ASSERT_EQ(lines.size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(lines[i]["index"], i < 2 ? 0 : 1);
    EXPECT_EQ(lines[i]["completion"], i < 2 ? i : i - 2);
  }
  EXPECT_NE(lines[0]["ids"], lines[1]["ids"]);
}

TEST(run, a_deadline_ends_a_completion) {
  auto const lines = served("", "{\"prompt\":\"The\",\"deadline\":0}\n{\"prompt\":\"A\",\"deadline\":60}\n");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["finish_reason"], "deadline");
  EXPECT_EQ(lines[0]["ids"].size(), 0u);
  EXPECT_TRUE(lines[0]["ttft"].is_null());
  EXPECT_EQ(lines[1]["finish_reason"], "length");
}

TEST(run, saves_its_summary) {
  test::scratch_folder const folder;
  std::string const          file   = (folder / "result.json").string();
  std::string                prompt = "\"prompt_ids\":[", requests;
  for (int i = 0; i < 200; ++i) prompt += (i ? "," : "") + std::to_string(100 + i);
  for (int i = 0; i < 4; ++i) requests += "{" + prompt + "," + std::to_string(400 + i) + "]}\n";
  ASSERT_EQ(run("--quiet --save-result " + file, requests).status, 0);
  auto const with = json::parse(test::read_text(file));
  for (auto const* key : {"mean_ttft_ms", "median_tpot_ms", "p90_itl_ms", "p99_e2el_ms", "output_throughput", "steps"})
    EXPECT_TRUE(with.contains(key)) << key;
  EXPECT_EQ(with["completed"], 4);
  EXPECT_EQ(with["computed_prompt_tokens"].get<int>() + with["prefix_cache_hits"].get<int>(), 4 * 201);
  EXPECT_EQ(with["prefix_cache_queries"], 4 * 201);
  EXPECT_GE(with["prefix_cache_hits"], 3 * 192);
  EXPECT_EQ(with["tokenize_seconds"], 0) << "there was no text";
  ASSERT_EQ(run("--no-enable-prefix-caching --save-result " + file, requests).status, 0);
  EXPECT_EQ(json::parse(test::read_text(file))["computed_prompt_tokens"], 4 * 201);
  ASSERT_EQ(run("--save-result " + file, "{\"prompt\":\"Once upon a time\"}\n").status, 0);
  EXPECT_GT(json::parse(test::read_text(file))["tokenize_seconds"], 0);
}

TEST(run, every_mode_and_policy) {
  std::string const requests =
      "{\"prompt\":\"The\",\"tenant\":\"a\",\"priority\":1}\n{\"prompt\":\"A dog\",\"tenant\":2}\n";
  std::string const wanted = run("--quiet --temperature 0", requests).out;
  for (std::string const flags :
       {"--batching static", "--batching dynamic --dynamic-wait-ms 1", "--prefill-first --scheduling-policy fcfs",
        "--no-enable-chunked-prefill", "--itl-target-ms 5 --cost-model llama-8b-bf16-h200",
        "--num-gpu-blocks-override 4 --max-num-seqs 3"}) {
    auto const r = run(flags + " --quiet --temperature 0", requests);
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.out, wanted) << flags;
  }
}

TEST(run, replays_a_trace) {
  test::scratch_folder const folder;
  auto const                 file = (folder / "result.json").string();
  auto const                 r    = replay("--time-scale 0.01 --scale-lengths 0.1 --output json --save-result " + file,
                                           "TIMESTAMP,ContextTokens,GeneratedTokens\n"
                                                              "2023-11-16 18:00:00.0000000,400,40\n2023-11-16 18:00:01.0000000,200,20\n");
  ASSERT_EQ(r.status, 0) << r.err;
  auto const lines = r.lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["prompt_ids"].size(), 40u);
  EXPECT_EQ(lines[0]["ids"].size(), 4u);
  EXPECT_EQ(lines[1]["prompt_ids"].size(), 20u);
  EXPECT_NEAR(lines[1]["arrival"].get<double>(), 0.01, 1e-9);
  EXPECT_EQ(json::parse(test::read_text(file))["total_output_tokens"], 6);
}

// As simulate draws them, which the same seed shows.
TEST(run, draws_arrivals_where_a_trace_has_none) {
  auto const arrivals = [](std::string const& flags) {
    auto const          r = replay(flags + " --output json", lengths_only);
    std::vector<double> list;
    for (auto const& line : r.lines()) list.push_back(line["arrival"].get<double>());
    EXPECT_EQ(list.size(), 3u) << r.err;
    return list;
  };
  EXPECT_EQ(arrivals(""), (std::vector<double>{0, 0, 0}));
  auto const drawn = arrivals("--rate 50 --seed 5");
  EXPECT_TRUE(drawn[0] == 0 && drawn[1] > 0 && drawn[2] > drawn[1]) << drawn[1] << " " << drawn[2];
  EXPECT_EQ(arrivals("--rate 25 --seed 5 --time-scale 0.5"), drawn);
  auto const simulated = test::run_program(
      words("simulate --trace - --rate 50 --seed 5 --output json --cost-model llama-1b-bf16-h200"), lengths_only);
  EXPECT_EQ(simulated.lines().at(0)["arrivals_seconds"], drawn[2]);
}

TEST(run, time_scale_multiplies_arrivals_of_requests) {
  EXPECT_EQ(served("--time-scale 0.1", "{\"prompt\":\"The\",\"arrival\":1}\n").at(0)["arrival"], 0.1);
}

TEST(run, what_cannot_run_is_said_and_the_rest_runs) {
  std::string const requests =
      "{\"prompt_ids\":[5,6,7,8,9,10,11,12,13]}\n{\"prompt_ids\":[5],\"max_tokens\":2}\n"
      "{\"prompt_ids\":[5,99999],\"n\":2}\n{\"prompt\":\"A\",\"logit_bias\":{\"99999\":1}}\n";
  std::string const too_long = "prompt 0: is longer than the model's length: found 9 tokens, expected at most 8",
                    unknown =
                        "standard input:3: a prompt id is outside the vocabulary: found 99999, expected below 2048";
  std::string const summary =
      "tenon: standard input: completions could not be made: found 4 with an error, the first: " + too_long +
      ", expected none\n";
  auto const r = run("--output json --max-model-len 8", requests);
  EXPECT_EQ(r.status, 1);
  auto const lines = r.lines();
  ASSERT_EQ(lines.size(), 5u);
  for (std::size_t const i : {0u, 2u, 3u, 4u}) EXPECT_EQ(lines[i]["finish_reason"], "error");
  EXPECT_EQ(lines[0]["error"], too_long);
  EXPECT_EQ(lines[1]["ids"].size(), 2u);
  EXPECT_FALSE(lines[1].contains("error"));
  EXPECT_EQ(lines[2]["prompt_ids"], (std::vector<int>{5, 99999}));
  EXPECT_EQ(lines[2]["error"], unknown);
  EXPECT_EQ(lines[3]["error"], unknown);
  EXPECT_EQ(lines[3]["completion"], 1);
  EXPECT_NE(lines[4]["error"].get<std::string>().find("a logit bias id is outside the vocabulary"), std::string::npos);
  EXPECT_TRUE(r.err.ends_with(summary)) << r.err;
  EXPECT_EQ(run("--quiet --max-model-len 8", requests).err, summary) << "text has no other place for it";

  auto const traced = replay("--quiet --max-model-len 8", lengths_only);
  EXPECT_EQ(traced.status, 1);
  EXPECT_EQ(traced.out, "");
  EXPECT_EQ(
      traced.err,
      "tenon: standard input: completions could not be made: found 3 with an error, the first: prompt 0: is longer "
      "than the model's length: found 40 tokens, expected at most 8, expected none\n");
}

TEST(run, a_model_whose_logits_are_not_finite) {
  test::scratch_folder const folder;
  test::save_broken_model(folder);
  auto const r =
      test::run_program({"run", "--model", folder.path().string()}, words("--requests - --output json --max-tokens 3"),
                        "{\"prompt_ids\":[1,2]}\n{\"prompt_ids\":[3,4],\"n\":2}\n");
  EXPECT_EQ(r.status, 1);
  ASSERT_EQ(r.lines().size(), 3u);
  for (auto const& line : r.lines()) EXPECT_EQ(line["finish_reason"], "error");
  EXPECT_EQ(r.lines()[2]["error"], "prompt 1: the model's logits are not finite");
  EXPECT_NE(r.err.find("Failed requests:                         3\n"), std::string::npos) << r.err;
  EXPECT_TRUE(
      r.err.ends_with("found 3 with an error, the first: prompt 0: the model's logits are not finite, expected "
                      "none\n"))
      << r.err;
}

// Completions of no token have no latency, and a deadline is no failure.
TEST(run, counts_completions_and_failures) {
  test::scratch_folder const folder;
  auto const                 file = (folder / "result.json").string();
  auto const                 r    = run("--save-result " + file,
                                        "{\"prompt\":\"The\",\"n\":3}\n{\"prompt\":\"A\",\"max_tokens\":0}\n"
                                                           "{\"prompt\":\"A\",\"deadline\":0}\n");
  EXPECT_EQ(r.status, 0) << r.err;
  auto const j = json::parse(test::read_text(file));
  EXPECT_EQ(j["completed"], 3);
  EXPECT_EQ(j["failed"], 0);
  EXPECT_EQ(r.err.find("Failed"), std::string::npos) << r.err;
}

TEST(run, a_result_that_cannot_be_written_is_known_before_the_work) {
  auto const early = test::run_program(words("run --model /nonexistent --requests - --save-result /nosuch/file"),
                                       "{\"prompt\":\"a\"}\n");
  EXPECT_EQ(early.status, 1);
  EXPECT_EQ(early.err,
            "tenon: /nosuch/file: cannot be written: found No such file or directory, expected a writable file\n");
  auto const late = run("--save-result /dev/full", "{\"prompt\":\"a\"}\n");
  EXPECT_EQ(late.status, 1);
  EXPECT_NE(late.err.find("Serving Benchmark Result"), std::string::npos) << late.err;
  EXPECT_TRUE(late.err.ends_with(
      "tenon: /dev/full: cannot be written: found No space left on device, expected a writable file\n"))
      << late.err;
}

TEST(run, a_result_takes_the_place_of_what_the_file_held) {
  test::scratch_folder const folder;
  auto const                 file = (folder / "result.json").string();
  test::write_text(file, std::string(100000, 'x'));
  EXPECT_EQ(run("--save-result " + file, "{broken\n").status, 1);
  EXPECT_EQ(test::read_text(file).size(), 100000u) << "stays until there is a result";
  EXPECT_EQ(run("--save-result " + file, "{\"prompt\":\"a\"}\n").status, 0);
  EXPECT_EQ(json::parse(test::read_text(file))["completed"], 1);
}

// What there is comes out, the summary, too, and the program ends as one that was interrupted.
TEST(run, can_be_interrupted) {
  test::scratch_folder const folder;
  auto const requests = (folder / "requests.jsonl").string(), result = (folder / "result.json").string();
  test::write_text(requests,
                   "{\"prompt\":\"The\",\"max_tokens\":2}\n{\"prompt\":\"Never\",\"arrival\":900}\n"
                   "{\"prompt\":\"Once\"}\n");
  for (std::string const form : {"json", "text"}) {
    test::started_program program({"run", "--model", demo, "--requests", requests, "--save-result", result,
                                   "--max-tokens", "1000", "--ignore-eos", "--output", form});
    std::string           out = program.read_line();
    program.signal(SIGINT);
    out += program.rest();
    int const status = program.wait();
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
    EXPECT_GE(json::parse(test::read_text(result))["completed"], 1);
    EXPECT_NE(program.err().find("Serving Benchmark Result"), std::string::npos) << program.err();
    if (form == "text") {
      EXPECT_TRUE(out.starts_with("The")) << out;
      EXPECT_EQ(out.find("Never"), std::string::npos) << "of which there is nothing";
      continue;
    }
    std::istringstream in(out);
    std::vector<json>  lines;
    for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
    ASSERT_EQ(lines.size(), 3u) << out;
    EXPECT_EQ(lines[0]["finish_reason"], "length");
    EXPECT_EQ(lines[1]["finish_reason"], "cancelled");
    EXPECT_EQ(lines[1]["ids"].size(), 0u);
    EXPECT_NE(lines[2]["finish_reason"], "stop");  // cancelled, unless this machine stood still
  }
}

TEST(run, errors_are_one_line) {
  struct bad {
    int         status;
    std::string flags, requests, words;
  };
  std::string const one = "{\"prompt\":\"a\"}\n";
  for (bad const& b : std::vector<bad>{
           {1, "", "{\"prompt\":\"a\",\"arrival\":-1}\n", "standard input:1: arrival: "},
           {1, "", "{\"prompt\":\"a\",\"n\":0}\n", "standard input:1: n: "},
           {1, "", "{\"prompt\":\"a\",\"tenant\":[]}\n", "standard input:1: tenant: "},
           {1, "", "{\"prompt\":\"a\",\"foo\":1}\n", "unknown field"},
           {2, "--itl-target-ms 5", "", "--itl-target-ms: needs a model of what a step costs"},
           {2, "--trace t.csv", "", "--requests: excludes --trace"},
           {2, "--rate 3", one, "--rate: has no use here: found --requests, expected --trace"},
           {1, "--cost-model nosuch", one, "nosuch"},
           {1, "--save-result /nosuch/file", one, "/nosuch/file: cannot be written: found No such file"}}) {
    auto const r = run(b.flags + " --quiet", b.requests);
    EXPECT_EQ(r.status, b.status) << r.err;
    EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
    EXPECT_NE(r.err.find(b.words), std::string::npos) << r.err;
  }
  for (auto const& [trace, message] :
       {std::pair{"x\n", "tenon: standard input:1: not a trace: "},
        {"{\"timestamp\":0,\"input_length\":1000,\"output_length\":1,\"hash_ids\":[1,2]}\n",
         "tenon: --scale-lengths: makes a request too long: found 3000000000 tokens, expected at most 16777216"}}) {
    auto const r = replay("--scale-lengths 3e6", trace);
    EXPECT_EQ(r.status, 1);
    EXPECT_TRUE(r.err.starts_with(message)) << r.err;
  }
}

}  // namespace
