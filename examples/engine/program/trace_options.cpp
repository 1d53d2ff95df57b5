#include "engine/program/trace_options.hpp"

#include "engine/program/option_set.hpp"

namespace tenon::engine {

void add_trace(option_set& set, trace_options& t) {
  set.text("--trace", "FILE", "arrivals and lengths: Azure csv, Mooncake jsonl or vidur csv; - reads standard input",
           t.file);
  set.integer("--num-prompts", "how many requests (default: all of the trace)", t.num_prompts, 1, 1 << 24);
  set.number("--rate,--request-rate",
             "requests per second: stretches the trace, or draws arrivals where it has none (default for those: all at "
             "once)",
             t.rate, 1e-9, 1e9, "");
  set.number("--time-scale", "multiplies arrivals", t.time_scale, 0, 1e9, "1");
  set.number("--scale-lengths", "multiplies the lengths of a trace", t.length_scale, 0, 1e9, "1", true);
}

}  // namespace tenon::engine
