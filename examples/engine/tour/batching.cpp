//  Who is served when: the engine's scheduler against a model of costs, on requests that are drawn.
#include <string>
#include <vector>

#include "engine/program/policies.hpp"
#include "engine/schedule/cost_model.hpp"
#include "engine/schedule/latency.hpp"
#include "engine/schedule/simulator.hpp"
#include "engine/tour/stops.hpp"

namespace tenon::engine::tour {

namespace {

struct served {
  latency_summary latency;
  schedule_counts counts;
};

/// As `tenon simulate` does with its defaults.
served serve(std::string const& policy_names, workload const& requests) {
  policy base;
  base.limits.max_sequences      = 256;
  base.limits.max_batched_tokens = 8192;
  policy const       p           = policy_of(policy_names, base);
  simulation_options o;
  o.schedule = p.limits, o.prefix_cache = p.prefix_cache;
  o.kv_blocks  = 50'000;
  o.cost       = named_cost_model("llama-8b-bf16-h200");
  auto const r = simulate(requests, o);
  return {summarize(r.times), r.counts};
}

constexpr random_workload drawn{.requests = 1500, .prompt = {1500, 1200}, .output = {200, 150}};

}  // namespace

void visit_batching(guide&, findings& f) {
  auto const ms = [](double v) { return number(v < .1 ? "%.1f" : "%.0f", 1e3 * v); };
  {
    workload requests = draw_requests(drawn);
    draw_arrivals(requests, {});
    table& t = f.add_table(figures::exact, {"all at once", "requests/s", "TTFT p50 s", "TTFT p99 s", "padding"});
    for (char const* const name : {"static", "continuous"}) {
      served const s = serve(name, requests);
      t.rows.push_back({name, number("%.1f", s.latency.request_throughput()), number("%.1f", s.latency.ttft.p50),
                        number("%.1f", s.latency.ttft.p99), percent(s.counts.padding())});
    }
  }
  workload requests = draw_requests(drawn);
  draw_arrivals(requests, {.rate = 14});
  table& t = f.add_table(figures::exact, {"14 requests/s", "TTFT p50 ms", "TTFT p99 ms", "ITL p50 ms", "ITL p99 ms",
                                          "ITL max ms", "requests/s"});
  for (char const* const name : {"static", "prefill-first", "no-chunked", "mixed-512", "target-20ms"}) {
    latency_summary const l = serve(name, requests).latency;
    t.rows.push_back({name, ms(l.ttft.p50), ms(l.ttft.p99), ms(l.itl.p50), ms(l.itl.p99), ms(l.itl.max),
                      number("%.2f", l.request_throughput())});
  }
}

}  // namespace tenon::engine::tour
