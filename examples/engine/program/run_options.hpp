#pragma once
//  The options of `run`.
#include <cstdint>
#include <string>

#include "engine/program/trace_options.hpp"

namespace tenon::engine {

class option_set;
struct options;

struct run_options {
  std::string   requests_file;  // --requests: a file or "-"
  trace_options trace;          // in their place; tokens of prompts are made up
  std::string   result_file;    // --save-result
  std::int64_t  n = 1;          // completions of each prompt

  /// The file that is served.
  [[nodiscard]] std::string const& input() const { return requests_file.empty() ? trace.file : requests_file; }
};

void add_run(option_set& set, options& o);
void check_run(option_set const& set, options const& o);

}  // namespace tenon::engine
