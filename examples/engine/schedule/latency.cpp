#include "engine/schedule/latency.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string_view>

namespace tenon::engine {

double percentile(std::span<double const> sorted, double fraction) {
  if (sorted.empty()) return 0;
  double const at    = std::clamp(fraction, 0., 1.) * static_cast<double>(sorted.size() - 1);
  auto const   below = static_cast<std::size_t>(at);
  auto const   above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

namespace {

distribution distribution_of_sorted(std::span<double const> sorted) {
  if (sorted.empty()) return {};
  double const sum = std::accumulate(sorted.begin(), sorted.end(), 0.);
  return {static_cast<std::int64_t>(sorted.size()),
          sum / static_cast<double>(sorted.size()),
          percentile(sorted, .5),
          percentile(sorted, .9),
          percentile(sorted, .99),
          sorted.back()};
}

bool is_complete(request_times const& r) { return !r.failed && !r.tokens.empty(); }

bool is_good(request_times const& r, latency_limits const& limits, std::vector<double>& gaps) {
  if (r.tokens.front() - r.arrival > limits.ttft || r.tokens.back() - r.arrival > limits.e2e) return false;
  if (r.tokens.size() < 2) return true;
  if (tpot_of(r.tokens) > limits.tpot) return false;
  if (std::isinf(limits.itl)) return true;
  gaps.clear();
  for (std::size_t i = 1; i < r.tokens.size(); ++i) gaps.push_back(r.tokens[i] - r.tokens[i - 1]);
  std::sort(gaps.begin(), gaps.end());
  return percentile(gaps, .99) <= limits.itl;
}

}  // namespace

double tpot_of(std::span<double const> tokens) {
  return (tokens.back() - tokens.front()) / static_cast<double>(tokens.size() - 1);
}

latency_samples samples_of(std::span<request_times const> requests) {
  latency_samples s;
  for (request_times const& r : requests) {
    if (!is_complete(r)) continue;
    s.ttft.push_back(r.tokens.front() - r.arrival), s.e2e.push_back(r.tokens.back() - r.arrival);
    if (r.tokens.size() > 1) s.tpot.push_back(tpot_of(r.tokens));
    for (std::size_t i = 1; i < r.tokens.size(); ++i) s.itl.push_back(r.tokens[i] - r.tokens[i - 1]);
  }
  for (auto* v : {&s.ttft, &s.tpot, &s.itl, &s.e2e}) std::sort(v->begin(), v->end());
  return s;
}

latency_summary summarize(std::span<request_times const> requests, latency_limits const& limits) {
  latency_summary     s;
  std::vector<double> gaps;
  double              first = std::numeric_limits<double>::infinity(), last = -first;
  s.limited = limits.any();
  for (request_times const& r : requests) {
    first = std::min(first, r.arrival);
    s.failed += r.failed;
    if (!is_complete(r)) continue;
    ++s.completed, s.prompt_tokens += r.prompt_tokens, s.output_tokens += static_cast<std::int64_t>(r.tokens.size());
    s.good += is_good(r, limits, gaps);
    last = std::max(last, r.tokens.back());
  }
  if (s.completed > 0) s.duration = last - first;
  latency_samples const samples = samples_of(requests);
  s.ttft = distribution_of_sorted(samples.ttft), s.tpot = distribution_of_sorted(samples.tpot),
  s.itl = distribution_of_sorted(samples.itl), s.e2e = distribution_of_sorted(samples.e2e);
  return s;
}

nlohmann::ordered_json to_json(latency_summary const& s) {
  nlohmann::ordered_json j;
  j["duration"] = s.duration, j["completed"] = s.completed, j["failed"] = s.failed;
  j["total_input_tokens"] = s.prompt_tokens, j["total_output_tokens"] = s.output_tokens;
  j["request_throughput"] = s.request_throughput();
  if (s.limited) j["request_goodput"] = s.goodput();
  j["output_throughput"] = s.output_throughput(), j["total_token_throughput"] = s.total_throughput();
  auto const add = [&](distribution const& d, std::string const& name) {
    auto const put = [&](char const* what, double seconds) { j[what + ("_" + name + "_ms")] = seconds * 1e3; };
    put("mean", d.mean), put("median", d.p50), put("p90", d.p90), put("p99", d.p99), put("max", d.max);
  };
  add(s.ttft, "ttft"), add(s.tpot, "tpot"), add(s.itl, "itl"), add(s.e2e, "e2el");
  return j;
}

std::string to_text(latency_summary const& s) {
  constexpr int width = 50;
  std::string   text;
  auto const    heading = [&](std::string_view title, char fill) {
    std::size_t const left = (width - title.size()) / 2;
    text += std::string(left, fill) + std::string(title) + std::string(width - title.size() - left, fill) + "\n";
  };
  auto const line = [&](std::string const& name, double value, int digits) {
    char buffer[80];
    std::snprintf(buffer, sizeof buffer, "%-40s %-9.*f", (name + ":").c_str(), digits, value);
    text += buffer;
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  };
  auto const count = [&](char const* name, std::int64_t value) { line(name, static_cast<double>(value), 0); };
  auto const part  = [&](char const* title, std::string const& name, distribution const& d) {
    heading(title, '-');
    line("Mean " + name + " (ms)", d.mean * 1e3, 2), line("Median " + name + " (ms)", d.p50 * 1e3, 2);
    line("P90 " + name + " (ms)", d.p90 * 1e3, 2), line("P99 " + name + " (ms)", d.p99 * 1e3, 2);
    line("Max " + name + " (ms)", d.max * 1e3, 2);
  };
  heading(" Serving Benchmark Result ", '=');
  count("Successful requests", s.completed);
  if (s.failed > 0) count("Failed requests", s.failed);
  line("Benchmark duration (s)", s.duration, 2);
  count("Total input tokens", s.prompt_tokens), count("Total generated tokens", s.output_tokens);
  line("Request throughput (req/s)", s.request_throughput(), 2);
  if (s.limited) line("Request goodput (req/s)", s.goodput(), 2);
  line("Output token throughput (tok/s)", s.output_throughput(), 2);
  line("Total token throughput (tok/s)", s.total_throughput(), 2);
  part("Time to First Token", "TTFT", s.ttft);
  part("Time per Output Token (excl. 1st token)", "TPOT", s.tpot);
  part("Inter-token Latency", "ITL", s.itl);
  part("End-to-end Latency", "E2EL", s.e2e);
  heading("", '=');
  return text;
}

}  // namespace tenon::engine
