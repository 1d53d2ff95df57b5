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
  add_trace(set, r.trace);
  set.integer("--n", "completions of each prompt", r.n, 1, most_completions, std::to_string(r.n));
  set.text("--save-result", "FILE", "writes the summary as JSON", r.result_file);
}

void check_run(option_set const& set, options const& o) {
  bool const requests = !o.run.requests_file.empty(), trace = !o.run.trace.file.empty();
  one_of_two("--requests", requests, "--trace", trace);
  if (requests) set.refuse({"--num-prompts", "--rate", "--scale-lengths"}, "--requests", "--trace");
  if (trace) set.refuse({"--max-tokens", "--ignore-eos"}, "--trace, whose completions have lengths", "--requests");
  if (o.schedule.limits.itl_target > 0 && o.schedule.cost_model.empty())
    misuse("--itl-target-ms", "needs a model of what a step costs", "nothing", "--cost-model");
}

}  // namespace tenon::engine
