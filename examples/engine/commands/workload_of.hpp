#pragma once
//  What arrives, and when: for `run --trace` and `simulate`.
#include "engine/program/trace_options.hpp"
#include "engine/schedule/workload.hpp"

namespace tenon::engine {

/// The requests of the trace, or `without` where there is none, cut and scaled as the options say. Arrivals that the trace does
/// not have, or that `source` wants drawn, are `drawn`, at the rate of the options.
[[nodiscard]] workload workload_of(trace_options const& t, arrival_source source, arrival_process drawn,
                                   random_workload without = {});

}  // namespace tenon::engine
