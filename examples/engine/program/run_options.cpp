#include "engine/program/run_options.hpp"

#include "engine/program/command_line.hpp"
#include "engine/program/option_set.hpp"
#include "engine/program/sampling_fields.hpp"

namespace tenon::engine {

void add_run(option_set& set, options& o) {
  run_options& r = o.run;
  set.text("--requests", "FILE",
           "JSON lines as of generate --prompts, with arrival, deadline, priority, tenant, n; - reads standard input",
           r.requests_file);
  set.text("--trace", "FILE", "arrivals and lengths in place of requests: Azure csv, Mooncake jsonl, vidur csv",
           r.trace_file);
  set.integer("--num-prompts", "the first requests of the trace (default: all)", r.num_prompts, 1, 1 << 24);
  set.number("--rate,--request-rate", "requests per second: stretches the trace", r.rate, 0, 1e9, "", true);
  set.number("--time-scale", "multiplies arrivals", r.time_scale, 0, 1e9, "1");
  set.number("--scale-lengths", "multiplies the lengths of a trace", r.length_scale, 0, 1e9, "1", true);
  set.integer("--n", "completions of each prompt", r.n, 1, most_completions, std::to_string(r.n));
  set.text("--save-result", "FILE", "writes the summary as JSON", r.result_file);
}

void check_run(options const& o) {
  bool const requests = !o.run.requests_file.empty(), trace = !o.run.trace_file.empty();
  if (requests == trace)
    misuse("--requests", requests ? "excludes --trace" : "missing", requests ? "both" : "nothing",
           requests ? "one of them" : "it or --trace");
  if (o.schedule.limits.itl_target > 0 && o.schedule.cost_model.empty())
    misuse("--itl-target-ms", "needs a model of what a step costs", "nothing", "--cost-model");
}

}  // namespace tenon::engine
