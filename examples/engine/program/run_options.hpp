#pragma once
//  The options of `run`.
#include <cstdint>
#include <optional>
#include <string>

namespace tenon::engine {

class option_set;
struct options;

struct run_options {
  std::string                 requests_file;   // --requests: a file or "-"
  std::string                 trace_file;      // --trace: lengths and arrivals; tokens of prompts are made up
  std::string                 result_file;     // --save-result
  std::int64_t                n          = 1;  // completions of each prompt
  double                      time_scale = 1, length_scale = 1;  // as of simulate
  std::optional<double>       rate;
  std::optional<std::int64_t> num_prompts;
};

void add_run(option_set& set, options& o);
void check_run(options const& o);

}  // namespace tenon::engine
