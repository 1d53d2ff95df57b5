#pragma once
//  The requests of `run`: all of a file, or of a trace with made-up prompts.
#include <string>
#include <vector>

#include "engine/commands/setup.hpp"
#include "engine/generation/request.hpp"

namespace tenon::engine {

struct asked_request {
  request     what;
  std::string error;  // why it cannot run; empty: nothing is known against it
};

/// In the order of the file, which their `index` is.
[[nodiscard]] std::vector<asked_request> requests_of(options const& from, model_files const& files);

}  // namespace tenon::engine
