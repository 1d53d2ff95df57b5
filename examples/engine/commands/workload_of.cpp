#include "engine/commands/workload_of.hpp"

#include <cstddef>
#include <iterator>
#include <utility>

#include "engine/error.hpp"
#include "engine/program/option_set.hpp"
#include "engine/schedule/traces.hpp"

namespace tenon::engine {

workload workload_of(trace_options const& t, arrival_source source, arrival_process drawn, random_workload without) {
  workload requests;
  bool     arrive = false;
  if (t.file.empty()) {
    without.requests = t.num_prompts.value_or(without.requests);
    requests         = draw_requests(without);
  } else {
    trace read = read_trace(t.file);
    requests = std::move(read.requests), arrive = read.has_arrivals;
    if (t.num_prompts && *t.num_prompts < std::ssize(requests))
      requests.resize(static_cast<std::size_t>(*t.num_prompts));
    if (t.length_scale != 1) scale_lengths(requests, t.length_scale);
  }
  if (source == arrival_source::trace && !arrive)
    throw wrong(input_name(t.file), "has no arrivals", "lengths only", "--arrivals poisson and --rate");
  if (arrive && source != arrival_source::drawn) {
    if (t.rate) rescale_arrivals(requests, *t.rate);
  } else {
    drawn.rate = t.rate.value_or(drawn.rate);
    draw_arrivals(requests, drawn);
  }
  for (arriving_request& r : requests) r.arrival *= t.time_scale;
  return requests;
}

}  // namespace tenon::engine
