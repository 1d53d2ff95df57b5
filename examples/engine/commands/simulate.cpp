#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/commands/requests.hpp"
#include "engine/commands/setup.hpp"
#include "engine/commands/workload_of.hpp"
#include "engine/error.hpp"
#include "engine/program/option_set.hpp"
#include "engine/program/output.hpp"
#include "engine/program/policies.hpp"
#include "engine/program/svg_plot.hpp"
#include "engine/schedule/cost_model_file.hpp"
#include "engine/schedule/simulator.hpp"

namespace tenon::engine {

namespace {

workload requests_of(simulate_options const& s) {
  random_workload drawn = s.random;
  drawn.seed            = s.seed;
  workload requests     = workload_of(s.trace, s.arrivals, {.burstiness = s.burstiness, .seed = s.seed}, drawn);
  if (s.long_share > 0) lengthen_prompts(requests, s.long_share, s.long_tokens, s.seed);
  return requests;
}

/// Pages of the cache: as given, or what a built-in model leaves of its device's memory.
std::int32_t kv_blocks_of(options const& from) {
  if (from.schedule.kv_blocks) return static_cast<std::int32_t>(*from.schedule.kv_blocks);
  simulate_options const& s = from.simulate;
  if (std::ifstream(from.schedule.cost_model).good())
    throw wrong("--kv-cache-blocks", "missing", "a model of costs from a file, which says nothing of memory",
                "the pages of the KV cache");
  roofline const shape = named_roofline(from.schedule.cost_model);
  double const   bytes =
      s.kv_bytes ? static_cast<double>(*s.kv_bytes) : s.memory_share * shape.memory - shape.weight_bytes;
  double const blocks = std::floor(bytes / (shape.kv_bytes * static_cast<double>(from.block_size)));
  if (!(blocks >= 1) || blocks > 1 << 30)
    throw wrong("--kv-cache-memory-bytes", "no room for a KV cache", std::to_string(blocks) + " pages",
                "1 to 1073741824 pages");
  return static_cast<std::int32_t>(blocks);
}

struct outcome {
  std::string       name;
  simulation_result result;
  double            wall = 0;                    // seconds that simulating took
  latency_summary   all, short_ones, long_ones;  // the last two where prompts were made long
};

outcome run_policy(policy const& p, workload const& requests, options const& from, simulation_options o) {
  o.schedule = p.limits, o.prefix_cache = p.prefix_cache;
  outcome    out;
  auto const start = std::chrono::steady_clock::now();
  out.name = p.name, out.result = simulate(requests, o);
  out.wall                  = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  out.all                   = summarize(out.result.times, from.simulate.limits);
  simulate_options const& s = from.simulate;
  if (s.long_share > 0) {
    std::vector<request_times> parts[2];
    for (request_times const& t : out.result.times) parts[t.prompt_tokens >= s.long_tokens].push_back(t);
    out.short_ones = summarize(parts[0], s.limits), out.long_ones = summarize(parts[1], s.limits);
  }
  return out;
}

std::string digits(double v, int after) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", after, v);
  return text;
}

/// Columns under two lines of heading: names to the left, numbers to the right.
class text_table {
 public:
  void column(std::string const& group, std::string const& name) { groups_.push_back(group), rows_[0].push_back(name); }
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string str() const {
    std::vector<std::size_t> width(groups_.size());
    for (auto const& r : rows_)
      for (std::size_t c = 0; c < r.size(); ++c) width[c] = std::max(width[c], r[c].size());
    std::string text;
    std::size_t at = 0;  // a group's name stands above its first column, and may reach over the next
    for (std::size_t c = 0; c < groups_.size(); at += width[c] + 2, ++c) {
      if (groups_[c].empty()) continue;
      text.resize(std::max(text.size() + (text.empty() ? 0 : 1), at), ' ');
      text += groups_[c];
    }
    text += '\n';
    for (auto const& r : rows_) {
      for (std::size_t c = 0; c < r.size(); ++c) {
        std::string const space(width[c] - r[c].size(), ' ');
        text += c == 0 ? r[c] + space : "  " + space + r[c];
      }
      text += '\n';
    }
    return text;
  }

 private:
  std::vector<std::string>              groups_;
  std::vector<std::vector<std::string>> rows_{1};
};

std::string table_of(std::vector<outcome> const& outcomes, bool limited, bool has_long) {
  text_table t;
  t.column("", "policy");
  t.column("TTFT ms", "p50"), t.column("", "p99");
  if (has_long) t.column("short", "p50"), t.column("", "p99"), t.column("long", "p50");
  t.column("ITL ms", "p50"), t.column("", "p99"), t.column("", "max");
  t.column("E2E s", "p50"), t.column("", "p99");
  t.column("per second", "requests"), t.column("", "tokens");
  if (limited) t.column("", "good");
  t.column("KV %", "mean"), t.column("", "peak");
  t.column("tokens %", "found"), t.column("", "again"), t.column("", "padding");
  for (outcome const& o : outcomes) {
    auto const               ms = [](double v) { return digits(v * 1e3, v < .1 ? 1 : 0); };
    latency_summary const&   l  = o.all;
    schedule_counts const&   c  = o.result.counts;
    std::vector<std::string> r{o.name, ms(l.ttft.p50), ms(l.ttft.p99)};
    auto const               add = [&](std::string cell) { r.push_back(std::move(cell)); };
    if (has_long) add(ms(o.short_ones.ttft.p50)), add(ms(o.short_ones.ttft.p99)), add(ms(o.long_ones.ttft.p50));
    add(ms(l.itl.p50)), add(ms(l.itl.p99)), add(ms(l.itl.max));
    add(digits(l.e2e.p50, 2)), add(digits(l.e2e.p99, 2));
    add(digits(l.request_throughput(), 2)), add(digits(l.output_throughput(), 0));
    if (limited) add(digits(l.goodput(), 2));
    add(digits(o.result.used * 100, 1)), add(digits(o.result.peak * 100, 1));
    add(digits(c.hit_rate() * 100, 1)), add(digits(c.recomputed() * 100, 1)), add(digits(c.padding() * 100, 1));
    t.row(std::move(r));
  }
  return t.str();
}

nlohmann::ordered_json to_json(outcome const& o, bool has_long) {
  nlohmann::ordered_json j;
  j["policy"] = o.name;
  j.update(to_json(o.all));
  if (has_long) j["short"] = to_json(o.short_ones), j["long"] = to_json(o.long_ones);
  schedule_counts const& c = o.result.counts;
  j["refused"] = o.result.refused, j["steps"] = c.steps, j["busy"] = o.result.busy;
  j["computed_prompt_tokens"] = c.prompt_tokens, j["computed_decode_tokens"] = c.decode_tokens;
  j["padding_tokens"] = c.padding_tokens, j["prefix_cache_queries"] = c.queried_tokens;
  j["prefix_cache_hits"] = c.cached_tokens, j["num_preemptions"] = c.preemptions;
  j["recomputed_tokens"] = c.recomputed_tokens, j["kv_cache_usage_mean"] = o.result.used,
  j["kv_cache_usage_peak"] = o.result.peak, j["kv_cache_wasted_mean"] = o.result.wasted;
  return j;
}

std::string plot_of(std::vector<outcome> const& outcomes) {
  std::vector<plot_panel> panels{
      {"Gaps between tokens (ITL)", {"longer than so many milliseconds", true}, {"share of gaps", true}, {}},
      {"Time to first token (TTFT)", {"longer than so many milliseconds", true}, {"share of requests", true}, {}},
      {"KV cache in use", {"seconds", false}, {"share of its pages", false}, {}}};
  for (outcome const& o : outcomes) {
    latency_samples samples = samples_of(o.result.times);
    for (auto* values : {&samples.itl, &samples.ttft})
      for (double& v : *values) v *= 1e3;
    panels[0].lines.push_back({o.name, share_above(samples.itl)});
    panels[1].lines.push_back({o.name, share_above(samples.ttft)});
    plot_line use{o.name, {}};
    for (simulation_sample const& t : o.result.timeline) use.points.emplace_back(t.seconds, t.used);
    panels[2].lines.push_back(std::move(use));
  }
  return to_svg(panels);
}

/// "3 refused by continuous, 3 refused by fcfs"; empty where all requests fit.
std::string refusals_of(std::vector<outcome> const& outcomes) {
  std::string text;
  for (outcome const& o : outcomes)
    if (o.result.refused > 0)
      text += (text.empty() ? "" : ", ") + std::to_string(o.result.refused) + " refused by " + o.name;
  return text;
}

}  // namespace

int run_simulate(options const& from) {
  simulate_options const& s = from.simulate;
  result_file             plot(s.plot_file);
  workload const          requests = requests_of(s);

  simulation_options o;
  o.cost       = load_cost_model(from.schedule.cost_model);
  o.block_size = static_cast<int>(from.block_size);
  o.kv_blocks  = kv_blocks_of(from);

  policy base;
  base.limits                    = from.schedule.limits;
  base.limits.max_sequences      = static_cast<int>(from.max_num_seqs.value_or(256));
  base.limits.max_batched_tokens = static_cast<int>(from.max_num_batched_tokens.value_or(8192));
  base.limits.max_length         = static_cast<int>(from.max_model_len.value_or(0));
  base.prefix_cache              = from.schedule.prefix_caching;

  std::vector<outcome> outcomes;
  for (policy const& p : policies_of(s.policies, base)) outcomes.push_back(run_policy(p, requests, from, o));

  std::int64_t prompt = 0, output = 0, steps = 0;
  double       wall = 0;
  for (arriving_request const& r : requests) prompt += r.prompt_tokens, output += r.output_tokens;
  for (outcome const& one : outcomes) steps += one.result.counts.steps, wall += one.wall;
  auto const   count = static_cast<double>(requests.size());
  double const span  = requests.back().arrival;

  result_writer out;
  if (from.output == output_format::json) {
    nlohmann::ordered_json j;
    j["requests"] = requests.size(), j["arrivals_seconds"] = span;
    j["mean_input_tokens"]  = static_cast<double>(prompt) / count;
    j["mean_output_tokens"] = static_cast<double>(output) / count;
    j["kv_blocks"] = o.kv_blocks, j["block_size"] = o.block_size;
    j["cost_model"] = to_json(o.cost), j["seed"] = s.seed;
    for (outcome const& one : outcomes) j["policies"].push_back(to_json(one, s.long_share > 0));
    out.write(to_line(j));
  } else {
    out.write(std::to_string(requests.size()) + " requests in " + digits(span, 1) + " s, " +
              digits(static_cast<double>(prompt) / count, 1) + " prompt and " +
              digits(static_cast<double>(output) / count, 1) + " output tokens each; " + from.schedule.cost_model +
              ", " + std::to_string(o.kv_blocks) + " pages of " + std::to_string(o.block_size) + "\n");
    if (outcomes.size() == 1) out.write(to_text(outcomes.front().all));
    out.write("\n" + table_of(outcomes, s.limits.any(), s.long_share > 0));
  }
  out.flush();
  if (plot) plot.write(plot_of(outcomes));
  if (!from.quiet) std::fprintf(stderr, "%lld steps simulated in %.2f s\n", static_cast<long long>(steps), wall);
  if (std::string const refusals = refusals_of(outcomes); !refusals.empty())
    throw wrong(s.trace.file.empty() ? "--arrivals" : input_name(s.trace.file), "requests do not fit", refusals,
                "none");
  return 0;
}

}  // namespace tenon::engine
