#include "engine/program/simulate_options.hpp"

#include "engine/program/command_line.hpp"
#include "engine/program/option_set.hpp"
#include "engine/program/policies.hpp"

namespace tenon::engine {

namespace {

constexpr choice<arrival_source> sources[] = {{"trace", arrival_source::trace}, {"poisson", arrival_source::drawn}};
constexpr choice<output_format>  outputs[] = {{"text", output_format::text}, {"json", output_format::json}};

void add_requests(option_set& set, simulate_options& s) {
  add_trace(set, s.trace);
  set.one_of("--arrivals", "the trace's, or drawn at --rate (default: the trace's if it has them)", s.arrivals,
             sources);
  set.number("--burstiness", "of drawn arrivals, shape of the gamma distribution of their gaps; 1: Poisson",
             s.burstiness, 0, 1e6, "1", true);
  auto const count = [&](char const* length, char const* deviation, token_count& to, char const* of) {
    set.number(length, std::string("tokens of a drawn ") + of, to.mean, 1, most_tokens, plain(to.mean));
    set.number(deviation, "their standard deviation", to.deviation, 0, most_tokens, "0");
  };
  count("--random-input-len", "--random-input-std", s.random.prompt, "prompt, without its prefix");
  count("--random-output-len", "--random-output-std", s.random.output, "completion");
  set.integer("--random-prefix-len", "tokens in front of drawn prompts that several share", s.random.prefix, 0,
              most_tokens, "0");
  set.integer("--num-prefixes", "different ones", s.random.prefixes, 1, most_tokens, "1");
  set.number("--long-share", "share of prompts that is replaced by long ones", s.long_share, 0, 1, "0");
  set.integer("--long-tokens", "tokens of those", s.long_tokens, 1, most_tokens, std::to_string(s.long_tokens));
  set.integer("--seed", "of all draws", s.seed, 0, std::numeric_limits<std::int64_t>::max(), "0");
}

/// "ttft:500,itl:25", milliseconds.
void take_limits(std::string const& name, std::string const& given, latency_limits& limits) {
  struct key {
    char const* word;
    double latency_limits::*value;
  };
  constexpr key keys[] = {{"ttft", &latency_limits::ttft},
                          {"tpot", &latency_limits::tpot},
                          {"itl", &latency_limits::itl},
                          {"e2el", &latency_limits::e2e}};
  for (std::size_t at = 0; at <= given.size();) {
    std::size_t const end   = std::min(given.find(',', at), given.size());
    std::string const one   = given.substr(at, end - at);
    std::size_t const colon = std::min(one.find(':'), one.size());
    auto const        found =
        std::find_if(std::begin(keys), std::end(keys), [&](key const& k) { return one.substr(0, colon) == k.word; });
    if (found == std::end(keys) || colon == one.size())
      misuse(name, "is no limit", in_quotes(one), "ttft:MS, tpot:MS, itl:MS or e2el:MS");
    limits.*found->value = parse_number(name, one.substr(colon + 1), 0, 1e9) * 1e-3;
    at                   = end + 1;
  }
}

std::string policies_help() {
  std::string help = "compares these, between commas:";
  for (policy_change const& c : policy_changes()) help += std::string("\n  ") + c.name + ": " + c.help;
  return help + "\nA + joins several";
}

}  // namespace

void add_simulate(option_set& set, options& o) {
  simulate_options& s = o.simulate;
  add_requests(set, s);
  set.text("--policies", "LIST", policies_help(), s.policies);
  add_schedule(set, o.schedule);
  set.integer("--max-num-seqs", "requests that run together at most", o.max_num_seqs, 1, 1 << 16, "256");
  set.integer("--max-num-batched-tokens", "tokens per step at most", o.max_num_batched_tokens, 1, most_tokens, "8192");
  set.integer("--max-model-len", "tokens of prompt and completion at most (default: the longest request)",
              o.max_model_len, 1, 1 << 30);
  set.integer("--block-size,--page-size", "tokens per page of the KV cache", o.block_size, 1, 1 << 20, "16");
  set.integer("--kv-cache-memory-bytes", "size of the KV cache of a built-in model", s.kv_bytes, 1,
              std::int64_t{1} << 50);
  set.number("--gpu-memory-utilization", "share of memory for weights and KV cache of a built-in model", s.memory_share,
             0, 1, plain(s.memory_share), true);
  set.value("--goodput", "KEY:MS,...", "counts requests that keep these: ttft, tpot, itl (p99 of its own), e2el",
            [&s](std::string const& name, std::string const& given) { take_limits(name, given, s.limits); });
  set.text("--plot", "FILE.svg", "distributions of ITL and TTFT, and use of the KV cache over time", s.plot_file);
  set.one_of("--output", "form of the result", o.output, outputs);
  set.flag("--quiet,-q", "print nothing on stderr but errors", o.quiet);
}

void check_simulate(option_set const& set, options const& o) {
  simulate_options const& s = o.simulate;
  if (s.trace.file.empty()) {
    if (s.arrivals == arrival_source::trace) misuse("--arrivals", "needs a trace", "nothing", "--trace FILE beside it");
    if (s.arrivals == arrival_source::automatic)
      misuse("--trace", "missing", "nothing", "a file, or --arrivals poisson");
    set.refuse({"--scale-lengths"}, "no trace", "--trace");
  } else {
    set.refuse({"--random-input-len", "--random-input-std", "--random-output-len", "--random-output-std",
                "--random-prefix-len", "--num-prefixes"},
               "--trace", "requests that are drawn");
  }
  if (o.schedule.cost_model.empty())
    misuse("--cost-model", "missing", "nothing",
           "a file of `tenon bench --output json`, or a built-in name such as llama-8b-bf16-h200");
  (void)policies_of(s.policies, {});  // throws for unknown names
}

}  // namespace tenon::engine
