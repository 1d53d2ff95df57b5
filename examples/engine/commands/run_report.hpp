#pragma once
//  What `run` says of itself: a live line while it works, times of each request, and a summary.
#include <chrono>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/generation/generator.hpp"
#include "engine/schedule/latency.hpp"

namespace tenon::engine {

/// One line on a terminal's stderr, written over ten times a second; nothing where there is no terminal.
class progress_line {
 public:
  progress_line(bool wanted, std::size_t completions);
  ~progress_line() { clear(); }
  void clear();
  void show(generator const& engine, std::size_t done);

 private:
  using clock = std::chrono::steady_clock;
  bool              shown_;
  std::size_t       completions_;
  clock::time_point last_ = clock::now() - std::chrono::seconds(1);
};

/// "arrival", "ttft", "tpot" and "e2e" in seconds; null where there are too few tokens.
void add_times(nlohmann::ordered_json& line, completion const& c);

[[nodiscard]] request_times times_of(completion const& c);

/// What was scheduled, what is known of the pages, and what the prompts' texts took to become ids (before the clock of
/// latencies started), behind the summary of latencies.
[[nodiscard]] std::string summary_text(latency_summary const& s, generator const& engine, double tokenize_seconds);
[[nodiscard]] nlohmann::ordered_json summary_json(latency_summary const& s, generator const& engine,
                                                  double tokenize_seconds);

}  // namespace tenon::engine
