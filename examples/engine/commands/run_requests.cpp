#include "engine/commands/run_requests.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "engine/commands/requests.hpp"
#include "engine/commands/workload_of.hpp"
#include "engine/error.hpp"
#include "engine/program/option_set.hpp"
#include "engine/program/prompts.hpp"

namespace tenon::engine {

namespace {

asked_request asked_of(prompt_request const& p, std::size_t index, std::uint32_t tenant, model_files const& files) {
  asked_request asked;
  try {
    asked.what = to_request(p, index, files);
  } catch (error const& e) {
    asked.error           = e.what();
    asked.what.index      = index;
    asked.what.prompt     = p.prompt;
    asked.what.n          = static_cast<int>(p.schedule.n);
    asked.what.arrival    = p.schedule.arrival;
    asked.what.prompt_ids = p.prompt_ids;
  }
  asked.what.tenant = tenant;
  return asked;
}

std::vector<asked_request> read_requests(options const& from, model_files const& files) {
  std::vector<asked_request>           requests;
  std::map<std::string, std::uint32_t> tenants;
  request_schedule                     defaults;
  defaults.n = from.run.n;
  prompt_reader lines({}, from.run.requests_file, from.sampling, defaults);
  while (auto line = lines.next()) {
    line->schedule.arrival *= from.run.trace.time_scale;
    auto const known  = static_cast<std::uint32_t>(tenants.size());
    auto const tenant = tenants.try_emplace(line->schedule.tenant, known).first->second;
    requests.push_back(asked_of(*line, requests.size(), tenant, files));
  }
  return requests;
}

/// Lengths and arrivals of a trace. Equal pieces of its prompts are equal tokens; completions end at the trace's length.
std::vector<asked_request> replay(options const& from, model_files const& files) {
  run_options const& run = from.run;
  prompt_request     plain;
  plain.has_ids             = true;
  plain.source              = input_name(run.trace.file);
  plain.sampling            = from.sampling;
  plain.sampling.ignore_eos = true;
  plain.schedule.n          = run.n;
  std::vector<asked_request> requests;
  for (arriving_request const& a :
       workload_of(run.trace, arrival_source::automatic, {.seed = from.sampling.seed.value_or(0)})) {
    prompt_tokens_of(a, plain.prompt_ids);
    for (std::int32_t& id : plain.prompt_ids) id %= static_cast<std::int32_t>(files.config.vocab_size);
    plain.schedule.arrival    = a.arrival;
    plain.schedule.priority   = a.priority;
    plain.sampling.max_tokens = a.output_tokens;
    requests.push_back(asked_of(plain, requests.size(), a.tenant, files));
  }
  return requests;
}

}  // namespace

std::vector<asked_request> requests_of(options const& from, model_files const& files) {
  return from.run.trace.file.empty() ? read_requests(from, files) : replay(from, files);
}

}  // namespace tenon::engine
