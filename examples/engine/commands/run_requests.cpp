#include "engine/commands/run_requests.hpp"

#include <cstdint>
#include <map>
#include <string>

#include "engine/commands/requests.hpp"
#include "engine/program/prompts.hpp"
#include "engine/schedule/traces.hpp"
#include "engine/schedule/workload.hpp"

namespace tenon::engine {

namespace {

std::vector<request> read_requests(options const& from, model_files const& files) {
  std::vector<request>                 requests;
  std::map<std::string, std::uint32_t> tenants;
  prompt_reader                        lines(from);
  while (auto line = lines.next()) {
    line->schedule.arrival *= from.run.time_scale;
    requests.push_back(to_request(*line, requests.size(), files));
    auto const known       = static_cast<std::uint32_t>(tenants.size());
    requests.back().tenant = tenants.try_emplace(line->schedule.tenant, known).first->second;
  }
  return requests;
}

/// Lengths and arrivals of a trace. Equal pieces of its prompts are equal tokens; completions end at the trace's length.
std::vector<request> replay(options const& from, model_files const& files) {
  run_options const& run      = from.run;
  workload           arriving = read_trace(run.trace_file).requests;
  if (run.num_prompts && static_cast<std::size_t>(*run.num_prompts) < arriving.size())
    arriving.resize(static_cast<std::size_t>(*run.num_prompts));
  if (run.length_scale != 1) scale_lengths(arriving, run.length_scale);
  if (run.rate) rescale_arrivals(arriving, *run.rate);

  prompt_request plain;
  plain.has_ids             = true;
  plain.source              = run.trace_file;
  plain.sampling            = from.sampling;
  plain.sampling.ignore_eos = true;
  plain.schedule.n          = run.n;
  std::vector<request> requests;
  for (arriving_request const& a : arriving) {
    prompt_tokens_of(a, plain.prompt_ids);
    for (std::int32_t& id : plain.prompt_ids) id %= static_cast<std::int32_t>(files.config.vocab_size);
    plain.schedule.arrival    = a.arrival * run.time_scale;
    plain.schedule.priority   = a.priority;
    plain.sampling.max_tokens = a.output_tokens;
    requests.push_back(to_request(plain, requests.size(), files));
    requests.back().tenant = a.tenant;
  }
  return requests;
}

}  // namespace

std::vector<request> requests_of(options const& from, model_files const& files) {
  return from.run.trace_file.empty() ? read_requests(from, files) : replay(from, files);
}

}  // namespace tenon::engine
