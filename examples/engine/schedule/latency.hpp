#pragma once
//  What users of a server feel, from the times of their tokens: `tenon run` measures them, `tenon simulate` computes them.
//
//    TTFT  time to the first token, from arrival
//    TPOT  (last token - first token) / (tokens - 1), one for each request of two tokens or more
//    ITL   gaps between the tokens of a request, pooled over all requests
//    E2E   time to the last token, from arrival
//
//  Names follow `vllm bench serve`.
#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

namespace tenon::engine {

/// One completion. Seconds from any one origin.
struct request_times {
  double              arrival       = 0;
  std::int64_t        prompt_tokens = 0;
  std::vector<double> tokens;          // when each came out, in order
  bool                failed = false;  // it could not be made, or not to its end
};

/// Of two tokens or more.
[[nodiscard]] double tpot_of(std::span<double const> tokens);

struct distribution {
  std::int64_t count = 0;
  double       mean = 0, p50 = 0, p90 = 0, p99 = 0, max = 0;
};

/// The value below which `fraction` of `sorted` lies: linear between the two nearest, as numpy.percentile. 0 for none.
[[nodiscard]] double percentile(std::span<double const> sorted, double fraction);

/// What a request must keep to count as good; seconds. itl: the 99th percentile of its own gaps.
struct latency_limits {
  static constexpr double none = std::numeric_limits<double>::infinity();
  double                  ttft = none, tpot = none, itl = none, e2e = none;
  bool                    any() const { return ttft < none || tpot < none || itl < none || e2e < none; }
};

/// Seconds of every completed request and its gaps, sorted: what a plot of a distribution needs.
struct latency_samples {
  std::vector<double> ttft, tpot, itl, e2e;
};
[[nodiscard]] latency_samples samples_of(std::span<request_times const> requests);

struct latency_summary {
  std::int64_t completed     = 0;                     // with at least one token
  std::int64_t failed        = 0;                     // those that say so; who ended without a token is neither
  std::int64_t prompt_tokens = 0, output_tokens = 0;  // of those completed
  double       duration = 0;                          // from the first arrival to the last token
  distribution ttft, tpot, itl, e2e;
  std::int64_t good    = 0;  // completed within the limits
  bool         limited = false;

  double request_throughput() const { return rate(completed); }
  double output_throughput() const { return rate(output_tokens); }
  double total_throughput() const { return rate(prompt_tokens + output_tokens); }
  double goodput() const { return rate(good); }

 private:
  double rate(std::int64_t count) const { return duration > 0 ? static_cast<double>(count) / duration : 0; }
};

[[nodiscard]] latency_summary summarize(std::span<request_times const> requests, latency_limits const& limits = {});

/// The members of `vllm bench serve --save-result`, and p90 and max: "duration", "completed", "mean_ttft_ms", ...
[[nodiscard]] nlohmann::ordered_json to_json(latency_summary const& s);

/// The block that `vllm bench serve` prints.
[[nodiscard]] std::string to_text(latency_summary const& s);

}  // namespace tenon::engine
