#include "engine/commands/run_report.hpp"

#include <cstdio>
#include <utility>

#include <unistd.h>

namespace tenon::engine {

namespace {

double share_of_pages(generator const& engine) {
  return static_cast<double>(engine.pages().metrics().owned_blocks) / engine.pages().blocks();
}

struct counted {
  char const*  name;
  char const*  words;
  std::int64_t value;
};

std::vector<counted> counts_of(generator const& engine) {
  schedule_counts const& c = engine.scheduled();
  kv_metrics const&      m = engine.pages().metrics();
  return {{"steps", "Steps", c.steps},
          {"computed_prompt_tokens", "Prompt tokens computed", c.prompt_tokens},
          {"prefix_cache_queries", "Prompt tokens looked up in the cache", c.queried_tokens},
          {"prefix_cache_hits", "Prompt tokens found in the cache", c.cached_tokens},
          {"computed_decode_tokens", "Tokens decoded", c.decode_tokens},
          {"padding_tokens", "Padding tokens", c.padding_tokens},
          {"num_preemptions", "Preemptions", c.preemptions},
          {"recomputed_tokens", "Tokens computed again", c.recomputed_tokens},
          {"num_gpu_blocks", "Pages", engine.pages().blocks()},
          {"peak_blocks", "Pages used at most", m.peak_blocks}};
}

}  // namespace

progress_line::progress_line(bool wanted, std::size_t completions)
    : shown_(wanted && isatty(STDERR_FILENO)), completions_(completions) {}

void progress_line::clear() {
  if (std::exchange(shown_, false)) std::fputs("\r\033[K", stderr);
}

void progress_line::show(generator const& engine, std::size_t done) {
  if (!shown_ || clock::now() - last_ < std::chrono::milliseconds(100)) return;
  last_                       = clock::now();
  double const           t    = engine.now();
  schedule_counts const& c    = engine.scheduled();
  double const           left = done > 0 ? t * static_cast<double>(completions_ - done) / static_cast<double>(done) : 0;
  std::fprintf(
      stderr,
      "\r%zu of %zu completions, %.0f tokens/s, %d running, %d waiting, KV %.0f %%, cached %.0f %%, %.0f s left\033[K",
      done, completions_, t > 0 ? static_cast<double>(engine.counts().tokens) / t : 0., c.running, c.waiting,
      100 * share_of_pages(engine), 100 * c.hit_rate(), left);
  std::fflush(stderr);
}

void add_times(nlohmann::ordered_json& line, completion const& c) {
  auto const&  t       = c.times;
  double const arrival = c.asked.arrival;
  line["arrival"]      = arrival;
  line["ttft"]         = t.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(t.front() - arrival);
  line["tpot"]         = t.size() < 2 ? nlohmann::ordered_json() : nlohmann::ordered_json(tpot_of(t));
  line["e2e"]          = t.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(t.back() - arrival);
}

request_times times_of(completion const& c) {
  // Completions of one prompt share it.
  return {c.asked.arrival, c.number == 0 ? static_cast<std::int64_t>(c.asked.prompt_ids.size()) : 0, c.times,
          c.reason == finish::invalid};
}

std::string summary_text(latency_summary const& s, generator const& engine, double tokenize_seconds) {
  std::string text = to_text(s);
  auto const  line = [&](char const* words, std::string const& value) {
    std::string name = std::string(words) + ":";
    name.resize(41, ' ');
    text += name + value + "\n";
  };
  for (auto const& c : counts_of(engine)) line(c.words, std::to_string(c.value));
  auto const number = [](char const* form, double value) {
    char text_of[32];
    std::snprintf(text_of, sizeof text_of, form, value);
    return std::string(text_of);
  };
  line("Prefix cache hit rate (%)", number("%.1f", 100 * engine.scheduled().hit_rate()));
  line("Tokenizing the prompts (ms)", number("%.2f", 1e3 * tokenize_seconds));
  return text;
}

nlohmann::ordered_json summary_json(latency_summary const& s, generator const& engine, double tokenize_seconds) {
  nlohmann::ordered_json j = to_json(s);
  for (auto const& c : counts_of(engine)) j[c.name] = c.value;
  j["tokenize_seconds"] = tokenize_seconds;
  return j;
}

}  // namespace tenon::engine
