//  Figures of latency against numbers worked out by hand and by numpy.
#include <engine/schedule/latency.hpp>

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <random>

namespace {

using namespace tenon::engine;

TEST(percentile, is_numpys_linear) {
  // numpy.percentile([1, 2, 4, 8], [0, 25, 50, 90, 99, 100])
  std::vector<double> const v{1, 2, 4, 8};
  EXPECT_DOUBLE_EQ(percentile(v, 0), 1);
  EXPECT_DOUBLE_EQ(percentile(v, .25), 1.75);
  EXPECT_DOUBLE_EQ(percentile(v, .5), 3);
  EXPECT_DOUBLE_EQ(percentile(v, .9), 6.8);
  EXPECT_DOUBLE_EQ(percentile(v, .99), 7.88);
  EXPECT_DOUBLE_EQ(percentile(v, 1), 8);
  EXPECT_EQ(percentile({}, .5), 0);
  EXPECT_EQ(percentile(std::vector<double>{3}, .99), 3);
}

// Two requests: tokens at 1, 2, 4 and at 3, 3.5; the third could not be made.
std::vector<request_times> const three{{.arrival = .5, .prompt_tokens = 5, .tokens = {1, 2, 4}},
                                       {.arrival = 1, .prompt_tokens = 7, .tokens = {3, 3.5}},
                                       {.arrival = 2, .prompt_tokens = 100, .tokens = {}, .failed = true}};

TEST(latency, of_three_requests) {
  latency_summary const s = summarize(three);
  EXPECT_EQ(s.completed, 2);
  EXPECT_EQ(s.failed, 1);
  EXPECT_EQ(s.prompt_tokens, 12);
  EXPECT_EQ(s.output_tokens, 5);
  EXPECT_DOUBLE_EQ(s.duration, 3.5);
  EXPECT_DOUBLE_EQ(s.request_throughput(), 2 / 3.5);
  EXPECT_DOUBLE_EQ(s.output_throughput(), 5 / 3.5);
  EXPECT_DOUBLE_EQ(s.total_throughput(), 17 / 3.5);
  EXPECT_DOUBLE_EQ(s.ttft.mean, 1.25);  // .5 and 2
  EXPECT_DOUBLE_EQ(s.ttft.max, 2);
  EXPECT_DOUBLE_EQ(s.tpot.p50, 1);  // 1.5 and .5
  EXPECT_EQ(s.itl.count, 3);        // 1, 2 and .5, pooled
  EXPECT_DOUBLE_EQ(s.itl.p50, 1);
  EXPECT_DOUBLE_EQ(s.itl.p90, 1.8);
  EXPECT_DOUBLE_EQ(s.e2e.p50, 3);  // 3.5 and 2.5
}

TEST(latency, one_token_has_no_tpot) {
  latency_summary const s = summarize(std::vector<request_times>{{.arrival = 0, .prompt_tokens = 1, .tokens = {2}}});
  EXPECT_EQ(s.tpot.count, 0);
  EXPECT_EQ(s.itl.count, 0);
  EXPECT_EQ(s.itl.p99, 0);
  EXPECT_EQ(s.ttft.count, 1);
}

// Neither completed nor failed: a deadline came first. What failed on its way counts with no token.
TEST(latency, without_a_token_or_failed) {
  latency_summary const s =
      summarize(std::vector<request_times>{{.arrival = 0, .prompt_tokens = 3, .tokens = {}},
                                           {.arrival = 1, .prompt_tokens = 3, .tokens = {2, 3}, .failed = true},
                                           {.arrival = 2, .prompt_tokens = 3, .tokens = {4, 6}}});
  EXPECT_EQ(s.completed, 1);
  EXPECT_EQ(s.failed, 1);
  EXPECT_EQ(s.output_tokens, 2);
  EXPECT_EQ(s.ttft.count, 1);
  EXPECT_EQ(s.itl.max, 2);
}

TEST(latency, of_nothing) {
  latency_summary const s = summarize({});
  EXPECT_EQ(s.completed, 0);
  EXPECT_EQ(s.duration, 0);
  EXPECT_EQ(s.request_throughput(), 0);
}

TEST(goodput, counts_what_keeps_every_limit) {
  auto const good = [](latency_limits const& limits) { return summarize(three, limits).good; };
  EXPECT_EQ(good({}), 2);
  EXPECT_EQ(good({.ttft = 1}), 1);
  EXPECT_EQ(good({.tpot = 1}), 1);
  EXPECT_EQ(good({.itl = 1}), 1);
  EXPECT_EQ(good({.itl = 1.99}), 2);  // the p99 of 1 and 2
  EXPECT_EQ(good({.e2e = 3}), 1);
  EXPECT_EQ(good({.ttft = 1, .tpot = 1}), 0);
}

// Property: the pooled gaps of a request add up to its last token less its first, and TPOT is their mean.
TEST(latency, gaps_add_up) {
  std::mt19937                    random(1);
  std::exponential_distribution<> gap(10);
  std::vector<request_times>      requests(20);
  double                          sum = 0;
  for (auto& r : requests) {
    double now = r.arrival = gap(random);
    for (unsigned i = 0; i < 1 + random() % 40; ++i) r.tokens.push_back(now += gap(random));
    sum += r.tokens.back() - r.tokens.front();
  }
  latency_summary const s = summarize(requests);
  EXPECT_NEAR(s.itl.mean * static_cast<double>(s.itl.count), sum, 1e-9);
  latency_samples const all = samples_of(requests);
  EXPECT_TRUE(std::is_sorted(all.itl.begin(), all.itl.end()));
  EXPECT_DOUBLE_EQ(percentile(all.itl, .99), s.itl.p99);
}

TEST(latency, json_has_vllms_names) {
  auto const j = to_json(summarize(three, {.ttft = 1}));
  for (char const* name : {"duration", "completed", "total_input_tokens", "total_output_tokens", "request_throughput",
                           "request_goodput", "output_throughput", "total_token_throughput", "mean_ttft_ms",
                           "median_ttft_ms", "p99_ttft_ms", "p99_tpot_ms", "p90_itl_ms", "max_e2el_ms"})
    EXPECT_TRUE(j.contains(name)) << name;
  EXPECT_DOUBLE_EQ(j["mean_ttft_ms"], 1250);
  EXPECT_FALSE(to_json(summarize(three)).contains("request_goodput"));
}

TEST(latency, text_is_vllms_block) {
  std::string const text = to_text(summarize(three));
  EXPECT_TRUE(
      text.starts_with("============ Serving Benchmark Result ============\n"
                       "Successful requests:                     2\n"
                       "Failed requests:                         1\n"))
      << text;
  EXPECT_NE(text.find("P99 ITL (ms):                            1980.00\n"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("\n==================================================\n"));
}

}  // namespace
