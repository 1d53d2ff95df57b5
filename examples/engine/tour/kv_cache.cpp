//  Keys and values: what they take, in which formats, and how much memory is reserved for no token.
#include <algorithm>
#include <string>

#include "engine/commands/model_size.hpp"
#include "engine/schedule/cost_model.hpp"
#include "engine/schedule/simulator.hpp"
#include "engine/schedule/workload.hpp"
#include "engine/tour/stops.hpp"

namespace tenon::engine::tour {

namespace {

void formats_of_the_cache(guide& g, findings& f) {
  model_config const& config = g.files().config;
  table& t = f.add_table(figures::exact, {"cache", "bytes per token", "KL, nats per token", "same top token"});
  t.rows.push_back({"f32", number(static_cast<std::int64_t>(kv_bytes_of(config, kv_cache_format::f32))), "0", "100 %"});
  for (kv_cache_format const kv :
       {kv_cache_format::bf16, kv_cache_format::int8, kv_cache_format::fp8, kv_cache_format::int4}) {
    auto const     tested = g.open({.kv = kv});
    distance const d      = g.distance_of(*tested);
    t.rows.push_back({std::string(name_of(kv)), number(static_cast<std::int64_t>(kv_bytes_of(config, kv))), d.kl_text(),
                      percent(d.top1)});
  }
}

/// Each request holds its memory from its prompt to its last token: tokens that are there, and places that are held, summed
/// over the steps of all requests. `places(request, tokens)` are held while so many tokens are there.
template <class Places>
double empty_share(workload const& requests, Places const& places) {
  double tokens = 0, held = 0;
  for (arriving_request const& r : requests)
    for (std::int64_t made = 1; made <= r.output_tokens; ++made)
      tokens += static_cast<double>(r.prompt_tokens + made),
          held += static_cast<double>(places(r, r.prompt_tokens + made));
  return held > 0 ? 1 - tokens / held : 0;
}

void pages_of_the_cache(findings& f) {
  workload const requests = draw_requests({.requests = 1000, .prompt = {512, 400}, .output = {128, 100}, .seed = 1});
  std::int64_t   longest  = 0;
  for (arriving_request const& r : requests)
    longest = std::max<std::int64_t>(longest, std::int64_t{r.prompt_tokens} + r.output_tokens);
  table&     t   = f.add_table(figures::exact, {"memory of 1,000 requests", "without a token"});
  auto const row = [&](std::string const& name, auto const& places) {
    t.rows.push_back({name, percent(empty_share(requests, places))});
  };
  row("contiguous, the longest for each", [&](arriving_request const&, std::int64_t) { return longest; });
  row("contiguous, exactly its own, as if known",
      [](arriving_request const& r, std::int64_t) { return std::int64_t{r.prompt_tokens} + r.output_tokens; });
  // The engine's own manager of pages, in a simulation of these requests at once.
  for (int const page : {64, 16}) {
    auto const r = simulate(requests, {.schedule     = {.max_sequences = 256, .max_batched_tokens = 8192},
                                       .kv_blocks    = 800'000 / page,
                                       .block_size   = page,
                                       .prefix_cache = false,
                                       .cost         = named_cost_model("llama-8b-bf16-h200")});
    t.rows.push_back({"pages of " + std::to_string(page), percent(r.wasted / r.used)});
  }
}

}  // namespace

void visit_kv_cache(guide& g, findings& f) {
  formats_of_the_cache(g, f);
  pages_of_the_cache(f);
}

}  // namespace tenon::engine::tour
