#include "engine/program/schedule_flags.hpp"

#include "engine/program/option_set.hpp"

namespace tenon::engine {
namespace {

constexpr choice<batching> modes[] = {
    {"continuous", batching::continuous}, {"dynamic", batching::dynamic}, {"static", batching::fixed}};
constexpr choice<prompt_order> orders[] = {{"fcfs", prompt_order::arrival}, {"shortest", prompt_order::shortest}};
constexpr std::int64_t         most     = 1 << 30;

}  // namespace

void add_schedule(option_set& set, schedule_flags& f) {
  schedule_options& o       = f.limits;
  auto const        integer = [&](char const* name, char const* help, int& to, std::int64_t low, std::int64_t high) {
    set.integer(name, help, to, low, high, std::to_string(to));
  };
  auto const number = [&](char const* name, char const* help, double& to, double unit) {
    set.number(name, help, to, 0, 1e9, plain(to / unit), false, unit);
  };
  set.one_of("--batching", "who joins a batch when", o.mode, modes);
  number("--dynamic-wait-ms", "longest that a dynamic batch waits for more requests", o.dynamic_wait, 1e-3);
  set.toggle("prefix-caching", "share pages of equal beginnings", f.prefix_caching);
  set.toggle("chunked-prefill", "cut prompts into pieces that fit a step", o.chunked_prefill);
  set.flag("--prefill-first", "feed prompts before decodes, and never with them", o.decode_first, false);
  set.one_of("--scheduling-policy", "which prompt goes first among those of one priority", o.order, orders);
  number("--itl-target-ms", "time that a step with decodes may take (0: no limit)", o.itl_target, 1e-3);
  set.text("--cost-model", "FILE|NAME", "predicts that time: a JSON of `tenon bench`, or a built-in one", f.cost_model);
  number("--ttft-ageing", "tokens of a prompt that a second of waiting is worth", o.ageing, 1);
  number("--tenant-fairness", "tokens of a prompt that a token of a tenant's advantage is worth", o.fairness, 1);
  integer("--min-prefill-chunk", "tokens of prompts that every step may take", o.min_chunk, 1, most);
  integer("--max-num-partial-prefills", "prompts in flight", o.max_partial, 1, most);
  integer("--max-long-partial-prefills", "of them long ones", o.max_long_partial, 1, most);
  integer("--long-prefill-token-threshold", "tokens that make a prompt long", o.long_prompt, 1, most);
  integer("--growth-steps", "steps of growth that admission leaves pages for", o.growth_steps, 0, most);
  integer("--max-preemptions", "a sequence taken off so often is left alone", o.max_preemptions, 0, most);
  set.integer("--num-gpu-blocks-override,--kv-cache-blocks", "pages of the KV cache (default: as memory allows)",
              f.kv_blocks, 1, std::int64_t{1} << 30);
}

}  // namespace tenon::engine
