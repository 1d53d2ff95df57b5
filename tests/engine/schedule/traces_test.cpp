//  Traces of three kinds, hostile ones among them, and requests that are drawn.
#include <engine/error.hpp>
#include <engine/schedule/traces.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "../../support/shared_data.hpp"

namespace {

using namespace tenon::engine;

std::string message_of(std::string const& text, trace_limits const& limits = {}) {
  try {
    (void)parse_trace(text, "f", limits);
  } catch (error const& e) {
    return e.what();
  }
  return "no error";
}

std::string const azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";

TEST(azure_trace, rows) {
  trace const t = parse_trace(azure +
                                  "2023-11-16 18:15:46.6805900,374,44\r\n"
                                  "\n"
                                  "2023-11-16 18:15:50.9951690,396,109\n"
                                  "2023-11-17T00:00:00Z,1,1",  // no newline at the end
                              "f");
  ASSERT_EQ(t.requests.size(), 3u);
  EXPECT_TRUE(t.has_arrivals);
  EXPECT_EQ(t.requests[0].arrival, 0);
  EXPECT_NEAR(t.requests[1].arrival, 4.314579, 1e-6);
  EXPECT_NEAR(t.requests[2].arrival, 5 * 3600 + 44 * 60 + 14 - .68059, 1e-6);
  EXPECT_EQ(t.requests[1].prompt_tokens, 396);
  EXPECT_EQ(t.requests[1].output_tokens, 109);
}

TEST(azure_trace, is_sorted_by_arrival) {
  trace const t = parse_trace(azure + "2024-03-01 00:00:00,3,1\n2024-02-28 23:59:59,2,1\n", "f");
  EXPECT_EQ(t.requests[0].prompt_tokens, 2);
  EXPECT_NEAR(t.requests[1].arrival, 86400 + 1, 1e-6);  // 2024 has a 29th of February
}

TEST(azure_trace, what_is_broken_and_where) {
  EXPECT_EQ(message_of(azure + "2023-11-16 18:15:46,374\n"),
            "f:2: wrong number of columns: found \"2023-11-16 18:15:46,374\", expected "
            "TIMESTAMP,ContextTokens,GeneratedTokens");
  EXPECT_EQ(message_of(azure + "2023-11-16 18:15:46,0,1\n"),
            "f:2: ContextTokens is not a number of tokens: found \"0\", expected 1 to 16777216");
  EXPECT_EQ(message_of(azure + "2023-11-16 18:15:46,1,1e3\n"),
            "f:2: GeneratedTokens is not a number of tokens: found \"1e3\", expected 1 to 16777216");
  for (char const* time : {"", "now", "2023-02-30 00:00:00", "2023-11-16 24:00:00", "2023-11-16 18:15:46.",
                           "2023-11-16 18:15:46.1234567890", "2023-11-16 18:15:46 ", "-023-11-16 18:15:46"})
    EXPECT_EQ(message_of(azure + time + ",1,1\n"), std::string("f:2: TIMESTAMP is not a time: found \"") + time +
                                                       "\", expected YYYY-MM-DD HH:MM:SS.fraction");
  EXPECT_EQ(message_of(azure), "f: no requests: found none, expected at least one row");
  EXPECT_EQ(message_of(""), "f: no requests: found none, expected at least one row");
  EXPECT_TRUE(message_of("hello\n").starts_with("f:1: not a trace: found \"hello\", expected "))
      << message_of("hello\n");
}

TEST(traces, keep_to_their_limits) {
  std::string const two = azure + "2023-11-16 18:15:46,1,1\n2023-11-16 18:15:46,1,1\n";
  EXPECT_EQ(message_of(two, {.requests = 1}), "f:3: too many requests: found more, expected at most 1");
  EXPECT_EQ(message_of(two, {.bytes = 8}), "f: too large: found 88 bytes, expected at most 8");
  EXPECT_EQ(message_of(azure + "2023-11-16 18:15:46,9,1\n", {.tokens = 8}),
            "f:2: ContextTokens is not a number of tokens: found \"9\", expected 1 to 8");
}

TEST(mooncake_trace, equal_ids_are_equal_tokens) {
  trace const t = parse_trace(R"({"timestamp": 0, "input_length": 1000, "output_length": 5, "hash_ids": [7, 8]})"
                              "\n"
                              R"({"timestamp": 1500, "input_length": 600, "output_length": 6, "hash_ids": [7, 9]})",
                              "f");
  EXPECT_EQ(t.requests[1].arrival, 1.5);
  std::vector<std::int32_t> a, b;
  prompt_tokens_of(t.requests[0], a), prompt_tokens_of(t.requests[1], b);
  ASSERT_EQ(a.size(), 1000u);
  ASSERT_EQ(b.size(), 600u);
  EXPECT_TRUE(std::equal(a.begin(), a.begin() + 512, b.begin()));
  EXPECT_NE(a[512], b[512]);
  EXPECT_GE(*std::min_element(a.begin(), a.end()), 0);
}

TEST(mooncake_trace, what_is_broken_and_where) {
  auto const row = [](char const* ids, char const* length = "1000") {
    return message_of(std::string(R"({"timestamp": 0, "input_length": )") + length +
                      R"(, "output_length": 5, "hash_ids": )" + ids + "}");
  };
  EXPECT_EQ(row("[1]"), "f:1: hash_ids: not one for each 512 tokens of the prompt: found 1, expected 2");
  EXPECT_EQ(row("[1, 2, 3]"), "f:1: hash_ids: not one for each 512 tokens of the prompt: found 3, expected 2");
  EXPECT_NE(row("[1, -2]").find("f:1: hash_ids: "), std::string::npos) << row("[1, -2]");
  EXPECT_NE(row("7").find("f:1: hash_ids: "), std::string::npos) << row("7");
  EXPECT_NE(row("[1, 2]", "-1").find("f:1: input_length: "), std::string::npos) << row("[1, 2]", "-1");
  EXPECT_NE(message_of("{\"timestamp\": 0}\n").find("f:1: "), std::string::npos);
  EXPECT_NE(message_of("{\"timestamp\": 0").find("f:1: broken JSON"), std::string::npos) << message_of("{");
}

TEST(vidur_trace, has_lengths_alone) {
  trace const t =
      parse_trace("num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n3772,54,3826,69.85\n", "f");
  EXPECT_FALSE(t.has_arrivals);
  EXPECT_EQ(t.requests.at(0).prompt_tokens, 3772);
  EXPECT_EQ(t.requests.at(0).output_tokens, 54);
}

TEST(traces, real_ones) {
  auto const folder = test::shared_data() / "traces";
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << test::no_shared_data;
  trace const conversation = read_trace((folder / "AzureLLMInferenceTrace_conv.csv").string());
  EXPECT_EQ(conversation.requests.size(), 19366u);
  EXPECT_NEAR(conversation.requests.back().arrival, 3501.721937, 1e-5);
  trace const mooncake = read_trace((folder / "mooncake_conversation_trace.jsonl").string());
  EXPECT_EQ(mooncake.requests.size(), 12031u);
  EXPECT_EQ(mooncake.requests.front().prompt_tokens, 6758);
  trace const vidur = read_trace((folder / "vidur_arxiv_summarization_lengths.csv").string());
  EXPECT_EQ(vidur.requests.size(), 28257u);
}

TEST(arrivals, have_the_rate_and_the_burstiness) {
  for (double const burstiness : {.25, 1., 4.}) {
    workload requests(20000);
    draw_arrivals(requests, {.rate = 50, .burstiness = burstiness, .seed = 3});
    double const mean    = requests.back().arrival / 19999;
    double       squares = 0;
    for (std::size_t i = 1; i < requests.size(); ++i)
      squares += std::pow(requests[i].arrival - requests[i - 1].arrival - mean, 2);
    EXPECT_NEAR(mean, .02, .02 * .05) << burstiness;
    EXPECT_NEAR(squares / 19999 / mean / mean, 1 / burstiness, .1 / burstiness) << burstiness;  // of a gamma: 1 / shape
  }
}

TEST(arrivals, at_once_and_reproducibly) {
  workload a(10), b(10), c(10);
  draw_arrivals(a, {});
  EXPECT_EQ(a.back().arrival, 0);
  draw_arrivals(a, {.rate = 1, .seed = 1}), draw_arrivals(b, {.rate = 1, .seed = 1}),
      draw_arrivals(c, {.rate = 1, .seed = 2});
  EXPECT_EQ(a.back().arrival, b.back().arrival);
  EXPECT_NE(a.back().arrival, c.back().arrival);
}

TEST(arrivals, are_stretched_to_a_rate) {
  workload requests(3);
  requests[1].arrival = 1, requests[2].arrival = 4;
  rescale_arrivals(requests, 2);
  EXPECT_DOUBLE_EQ(requests[1].arrival, .25);
  EXPECT_DOUBLE_EQ(requests[2].arrival, 1);
}

TEST(drawn_requests, lengths_and_prefixes) {
  workload const requests =
      draw_requests({.requests = 4000, .prompt = {100, 20}, .output = {50, 0}, .prefix = 32, .prefixes = 3, .seed = 5});
  double                  sum = 0;
  std::set<std::uint64_t> prefixes;
  for (auto const& r : requests) {
    sum += r.prompt_tokens;
    prefixes.insert(r.prompt.at(0).id);
    EXPECT_EQ(r.output_tokens, 50);
    EXPECT_GE(r.prompt_tokens, 33);
  }
  EXPECT_NEAR(sum / 4000, 132, 2);
  EXPECT_EQ(prefixes.size(), 3u);
}

TEST(drawn_requests, long_ones_replace_a_share) {
  workload requests = draw_requests({.requests = 10000});
  lengthen_prompts(requests, .01, 32768, 1);
  auto const count =
      std::count_if(requests.begin(), requests.end(), [](auto const& r) { return r.prompt_tokens == 32768; });
  EXPECT_NEAR(static_cast<double>(count), 100, 30);
}

TEST(drawn_requests, scaled_lengths) {
  workload requests = draw_requests({.requests = 1, .prompt = {100, 0}, .output = {10, 0}, .prefix = 50});
  scale_lengths(requests, .04);
  EXPECT_EQ(requests[0].prompt_tokens, 2 + 4);
  EXPECT_EQ(requests[0].output_tokens, 1);
}

// The sum of the pieces is what must not be too long, and must not wrap around on the way there.
TEST(drawn_requests, lengths_are_not_scaled_without_end) {
  auto const scaled = [](std::vector<std::int32_t> const& pieces, std::int32_t output, double factor) {
    arriving_request r;
    for (std::int32_t const p : pieces) r.prompt.push_back({r.prompt.size(), p});
    r.output_tokens = output;
    workload requests{r};
    scale_lengths(requests, factor);
    return requests[0].prompt_tokens;
  };
  std::int32_t const half = most_tokens / 2;
  EXPECT_EQ(scaled({1, 1}, 1, half), most_tokens);
  struct bad {
    std::vector<std::int32_t> pieces;
    std::int32_t              output;
    double                    factor;
    char const*               found;
  };
  for (auto const& [pieces, output, factor, found] :
       {bad{{1, 1, 1}, 1, 1. * half, "25165824"}, bad{{512, 512, 512, 476}, 1, 3e6, "6036000000"},
        bad{{1 << 30, 1 << 30}, 1, 2, "4294967296"}, bad{{1}, 3, 1e7, "30000000"}}) {
    std::string message = "no error";
    try {
      (void)scaled(pieces, output, factor);
    } catch (error const& e) {
      message = e.what();
    }
    EXPECT_EQ(message, std::string("--scale-lengths: makes a request too long: found ") + found +
                           " tokens, expected at most 16777216");
  }
}

}  // namespace
