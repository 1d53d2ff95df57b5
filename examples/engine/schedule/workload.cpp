#include "engine/schedule/workload.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

#include "engine/error.hpp"

namespace tenon::engine {

namespace {

/// splitmix64 of Steele, Lea and Flood.
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

std::int32_t draw(token_count const& of, std::mt19937_64& random) {
  double v = of.mean;
  if (of.deviation > 0) v = std::normal_distribution<>(of.mean, of.deviation)(random);
  return static_cast<std::int32_t>(std::clamp(std::round(v), 1., 1e9));
}

}  // namespace

arriving_request lone_request(double arrival, std::int32_t prompt, std::int32_t output, std::uint64_t id) {
  return {arrival, prompt, output, {{unique_piece(id), prompt}}};
}

void prompt_tokens_of(arriving_request const& request, std::vector<std::int32_t>& tokens) {
  tokens.resize(static_cast<std::size_t>(request.prompt_tokens));
  std::size_t at = 0;
  for (prompt_piece const& p : request.prompt) {
    std::uint64_t const start = mix(p.id + 0x9e3779b97f4a7c15u);
    for (std::int32_t i = 0; i < p.tokens; ++i)
      tokens[at++] = static_cast<std::int32_t>(mix(start + static_cast<std::uint64_t>(i)) & 0x7fffffff);
  }
}

void draw_arrivals(workload& requests, arrival_process const& process) {
  std::mt19937_64           random(process.seed);
  std::gamma_distribution<> gap(process.burstiness, 1 / (process.rate * process.burstiness));
  double                    now = 0;
  for (arriving_request& r : requests) {
    r.arrival = now;
    if (std::isfinite(process.rate)) now += gap(random);
  }
}

void rescale_arrivals(workload& requests, double rate) {
  if (requests.size() < 2) return;
  double const first = requests.front().arrival, span = requests.back().arrival - first;
  double const factor = span > 0 ? static_cast<double>(requests.size() - 1) / rate / span : 0;
  for (arriving_request& r : requests) r.arrival = (r.arrival - first) * factor;
}

void scale_lengths(workload& requests, double factor) {
  auto const scaled  = [&](std::int32_t n) { return std::llround(std::clamp(n * factor, 1., 1e12)); };
  auto const checked = [](std::int64_t tokens) {
    if (tokens > most_tokens)
      throw wrong("--scale-lengths", "makes a request too long", std::to_string(tokens) + " tokens",
                  "at most " + std::to_string(most_tokens));
    return static_cast<std::int32_t>(tokens);
  };
  for (arriving_request& r : requests) {
    r.output_tokens     = checked(scaled(r.output_tokens));
    std::int64_t prompt = 0;
    for (prompt_piece const& p : r.prompt) prompt += scaled(p.tokens);
    r.prompt_tokens = checked(prompt);
    for (prompt_piece& p : r.prompt) p.tokens = static_cast<std::int32_t>(scaled(p.tokens));
  }
}

workload draw_requests(random_workload const& from) {
  std::mt19937_64                              random(from.seed);
  std::uniform_int_distribution<std::uint64_t> prefix(0, static_cast<std::uint64_t>(from.prefixes - 1));
  workload                                     requests;
  for (std::int64_t i = 0; i < from.requests; ++i) {
    std::int32_t const prompt = draw(from.prompt, random), output = draw(from.output, random);
    arriving_request   r = lone_request(0, prompt, output, static_cast<std::uint64_t>(i));
    if (from.prefix > 0) {
      r.prompt.insert(r.prompt.begin(), {prefix(random), from.prefix});
      r.prompt_tokens += from.prefix;
    }
    requests.push_back(std::move(r));
  }
  return requests;
}

void lengthen_prompts(workload& requests, double share, std::int32_t tokens, std::uint64_t seed) {
  std::mt19937_64             random(seed ^ 0x6c6f6e67u);
  std::bernoulli_distribution chosen(share);
  std::uint64_t               id = std::uint64_t{1} << 62;
  for (arriving_request& r : requests)
    if (chosen(random)) r.prompt = {{unique_piece(id++), tokens}}, r.prompt_tokens = tokens;
}

}  // namespace tenon::engine
