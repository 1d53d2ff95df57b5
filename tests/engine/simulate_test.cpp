//  `tenon simulate` as a stranger runs it, and what the simulation is for: the figures that docs/simulate.md claims.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "program.hpp"

namespace {

using test::run_program, test::words;

std::vector<std::string> const small = words(
    "simulate --arrivals poisson --rate 20 --num-prompts 500 --random-input-len 600 --random-input-std 300 "
    "--random-output-len 80 --cost-model llama-8b-bf16-h200 --seed 7");

/// The object of each policy, in order.
nlohmann::json policies_of(std::vector<std::string> const& arguments, std::string const& more = {}) {
  auto const r = run_program(arguments, words(more + " --output json --quiet"));
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.err, "");
  return r.status == 0 ? r.lines().at(0).at("policies") : nlohmann::json();
}

TEST(simulate, figures_of_a_small_workload) {
  auto const r = run_program(small, words("--output json"));
  ASSERT_EQ(r.status, 0) << r.err;
  auto const j = r.lines().at(0);
  EXPECT_EQ(j["requests"], 500);
  EXPECT_NEAR(j["mean_input_tokens"].get<double>(), 600, 60);
  EXPECT_EQ(j["mean_output_tokens"], 80);
  EXPECT_NEAR(j["kv_blocks"].get<double>(), 53353, 1);  // (0.9 * 141 GB - 15.009 GB) / (16 * 128 KiB)
  auto const p = j["policies"].at(0);
  EXPECT_EQ(p["policy"], "continuous");
  EXPECT_EQ(p["completed"], 500);
  EXPECT_EQ(p["total_output_tokens"], 40000);
  EXPECT_EQ(p["computed_decode_tokens"], 39500);
  EXPECT_EQ(p["computed_prompt_tokens"], p["total_input_tokens"]);
  // A step is 3.6 ms and a prompt's share of one 14 ms: what comes out must be near.
  EXPECT_NEAR(p["median_itl_ms"].get<double>(), 3.8, .3);
  EXPECT_NEAR(p["median_ttft_ms"].get<double>(), 20, 6);
  EXPECT_NEAR(p["request_throughput"].get<double>(), 20, 2);
  EXPECT_NE(r.err.find(" steps simulated in "), std::string::npos);
}

TEST(simulate, is_reproducible) {
  EXPECT_EQ(policies_of(small), policies_of(small));
  EXPECT_NE(policies_of(small), policies_of(small, "--burstiness 0.5"));
}

TEST(simulate, table_has_a_row_per_policy) {
  auto const r = run_program(small, words("--policies target-20ms,mixed-512+fcfs,static --goodput ttft:500,itl:25"));
  ASSERT_EQ(r.status, 0) << r.err;
  for (char const* part :
       {"500 requests in ", "\npolicy ", "\ntarget-20ms ", "\nmixed-512+fcfs ", "\nstatic ", " good "})
    EXPECT_NE(r.out.find(part), std::string::npos) << part << r.out;
}

TEST(simulate, one_policy_prints_vllms_block) {
  auto const r = run_program(small);
  EXPECT_NE(r.out.find("= Serving Benchmark Result ="), std::string::npos) << r.out;
}

TEST(simulate, draws_a_plot) {
  test::scratch_folder const folder;
  auto const                 file = (folder / "p.svg").string();
  ASSERT_EQ(run_program(small, words("--policies continuous,fcfs --plot " + file)).status, 0);
  auto const svg = test::read_text(file);
  EXPECT_TRUE(svg.starts_with("<svg ")) << svg.substr(0, 100);
  EXPECT_NE(svg.find("fcfs"), std::string::npos);
  auto const r = run_program(small, words("--plot /nosuch/p.svg"));
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(r.out, "") << "nothing is simulated in vain";
  EXPECT_EQ(r.err,
            "tenon: /nosuch/p.svg: cannot be written: found No such file or directory, expected a writable file\n");
}

TEST(simulate, fits_the_steps_of_a_bench) {
  test::scratch_folder const folder;
  nlohmann::json             bench;
  for (int const tokens : {1, 10, 100, 1000})
    for (int const keys : {10, 1000, 100000})
      bench["steps"].push_back({{"tokens", tokens},
                                {"sequences", 1},
                                {"rows", 1},
                                {"keys", keys},
                                {"pairs", keys},
                                {"seconds", 1e-3 + 1e-5 * tokens}});
  auto const file = (folder / "bench.json").string();
  test::write_text(file, bench.dump());
  auto const arguments = words(
      "simulate --arrivals poisson --num-prompts 1 --random-input-len 500 --random-output-len 2 --cost-model " + file);
  auto const p = policies_of(arguments, "--kv-cache-blocks 100");
  EXPECT_NEAR(p[0]["mean_ttft_ms"].get<double>(), 6, .3);
  EXPECT_NEAR(p[0]["mean_itl_ms"].get<double>(), 1.01, .05);

  auto const r = run_program(arguments);
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.err.find("tenon: --kv-cache-blocks: missing: "), std::string::npos) << r.err;
}

TEST(simulate, reads_traces_from_standard_input) {
  auto const r =
      run_program(words("simulate --trace - --cost-model llama-1b-bf16-h200 --output json"),
                  "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,374,44\n2023-11-16 18:15:50,9,2\n");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.lines().at(0)["arrivals_seconds"], 4);
  EXPECT_EQ(r.lines().at(0)["policies"][0]["total_input_tokens"], 383);
}

TEST(simulate, what_is_wrong) {
  struct wrong {
    int                      status;
    std::vector<std::string> arguments;
    char const *             more, *message;
  };
  auto const simulate = words("simulate --cost-model llama-8b-bf16-h200");
  for (auto const& [status, arguments, more, message] :
       {wrong{2, {"simulate"}, "", "tenon: --trace: missing: "},
        wrong{2, {"simulate"}, "--arrivals trace", "tenon: --arrivals: needs a trace: "},
        wrong{2, {"simulate"}, "--arrivals poisson", "tenon: --cost-model: missing: "},
        wrong{2, small, "--policies fast", "tenon: --policies: unknown policy: found \"fast\""},
        wrong{2, small, "--goodput ttf:1", "tenon: --goodput: is no limit: found \"ttf:1\""},
        wrong{2, small, "--long-share 2", "tenon: --long-share: "},
        wrong{2, small, "--scale-lengths 2",
              "tenon: --scale-lengths: has no use here: found no trace, expected --trace"},
        wrong{2, simulate, "--trace t --num-prefixes 2",
              "tenon: --num-prefixes: has no use here: found --trace, expected requests that are drawn"},
        wrong{1, simulate, "--trace no-such-file", "tenon: no-such-file: "},
        wrong{1, {"simulate"}, "--arrivals poisson --cost-model gpt-9", "gpt-9"},
        wrong{1, small, "--kv-cache-memory-bytes 1000", "no room for a KV cache"}}) {
    auto const r = run_program(arguments, words(more));
    EXPECT_EQ(r.status, status) << r.err;
    EXPECT_NE(r.err.find(message), std::string::npos) << r.err;
    EXPECT_EQ(r.out, "");
  }
}

TEST(simulate, requests_that_do_not_fit_are_an_error_after_the_results) {
  auto const r = run_program(small, words("--policies continuous,fcfs --max-model-len 679 --output json --quiet"));
  EXPECT_EQ(r.status, 1);
  auto const p = r.lines().at(0).at("policies");
  EXPECT_GT(p[0]["refused"], 0);
  EXPECT_EQ(p[0]["failed"], p[0]["refused"]);
  EXPECT_GT(p[0]["completed"], 0);
  std::string const n = p[0]["refused"].dump();
  EXPECT_EQ(r.err, "tenon: --arrivals: requests do not fit: found " + n + " refused by continuous, " + n +
                       " refused by fcfs, expected none\n");
}

// What comes back after a preemption finds what it had, and is no second query.
TEST(simulate, prompts_are_looked_up_once) {
  auto const p =
      policies_of(words("simulate --arrivals poisson --num-prompts 200 --random-input-len 100 "
                        "--random-output-len 300 --random-prefix-len 160 --cost-model llama-8b-bf16-h200 "
                        "--kv-cache-blocks 200 --growth-steps 0 --policies continuous,no-prefix-cache"));
  for (auto const& one : p) {
    EXPECT_GT(one["num_preemptions"], 100);
    EXPECT_EQ(one["prefix_cache_queries"], 200 * 260);
  }
  EXPECT_GE(p[0]["prefix_cache_hits"], 199 * 160 - 16 * 16);  // but where the prefix was evicted
  EXPECT_LE(p[0]["prefix_cache_hits"], 199 * 160);
  EXPECT_EQ(p[1]["prefix_cache_hits"], 0);
}

// ---- What docs/simulate.md claims

class azure : public testing::Test {
 protected:
  void SetUp() override {
    auto const file = test::shared_data() / "traces/AzureLLMInferenceTrace_conv.csv";
    if (!std::filesystem::is_regular_file(file)) GTEST_SKIP() << test::no_shared_data;
    conversation = {"simulate", "--trace", file.string(), "--cost-model", "llama-8b-bf16-h200"};
  }
  std::vector<std::string> conversation;
};

double of(nlohmann::json const& p, char const* name) { return p.at(name).get<double>(); }

TEST_F(azure, a_target_bounds_the_gaps_between_tokens) {
  auto const p = policies_of(conversation, "--rate 16.6 --policies prefill-first,target-20ms");
  EXPECT_LE(of(p[1], "p99_itl_ms"), 20 * 1.1);
  EXPECT_GE(of(p[0], "p99_itl_ms"), 5 * of(p[1], "p99_itl_ms"));
  EXPECT_NEAR(of(p[1], "request_throughput") / of(p[0], "request_throughput"), 1, .01);
  EXPECT_NEAR(of(p[1], "output_throughput") / of(p[0], "output_throughput"), 1, .01);
}

TEST_F(azure, short_requests_do_not_wait_for_long_ones) {
  auto const p =
      policies_of(conversation, "--rate 16.6 --long-share 0.01 --policies fcfs+mixed-2048,mixed-2048,target-20ms");
  EXPECT_LE(of(p[1]["short"], "p99_ttft_ms"), .55 * of(p[0]["short"], "p99_ttft_ms"));
  EXPECT_LE(of(p[2]["short"], "p99_ttft_ms"), .55 * of(p[0]["short"], "p99_ttft_ms"));
}

TEST_F(azure, continuous_batching_beats_fixed_batches) {
  auto const p = policies_of(conversation, "--num-prompts 4000 --time-scale 0 --policies continuous,static,dynamic");
  EXPECT_GE(of(p[0], "request_throughput"), 1.7 * of(p[1], "request_throughput"));
  EXPECT_GE(of(p[0], "request_throughput"), 1.7 * of(p[2], "request_throughput"));
}

// Prefix cache on and off, chunked prefill on and off.
TEST(simulate, prefix_cache_and_chunks_each_do_their_part) {
  auto const p = policies_of(
      words("simulate --arrivals poisson --rate 12 --num-prompts 4000 --random-input-len 300 --random-input-std 150 "
            "--random-output-len 150 --random-output-std 60 --random-prefix-len 2000 --num-prefixes 20 "
            "--cost-model llama-8b-bf16-h200 --itl-target-ms 20 "
            "--policies continuous,no-chunked,no-prefix-cache,no-prefix-cache+no-chunked"));
  auto const &both = p[0], &whole = p[1], &cold = p[2], &neither = p[3];
  for (char const* name : {"median_ttft_ms", "p99_ttft_ms"}) {  // the cache is for the first token
    EXPECT_LT(of(both, name), .5 * of(cold, name)) << name;
    EXPECT_LT(of(whole, name), .5 * of(neither, name)) << name;
  }
  EXPECT_LE(of(cold, "p99_itl_ms"), 22);  // chunks are for those that follow
  EXPECT_GT(of(neither, "p99_itl_ms"), 3 * of(cold, "p99_itl_ms"));
  EXPECT_LE(of(both, "max_itl_ms"), 22);
}

}  // namespace
