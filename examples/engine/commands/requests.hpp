#pragma once
//  Requests as people write them into requests that run, and completions as JSON.
#include <cstddef>
#include <nlohmann/json.hpp>

#include "engine/commands/setup.hpp"
#include "engine/generation/request.hpp"
#include "engine/program/prompts.hpp"

namespace tenon::engine {

/// Encodes the prompt; throws `error` for ids that are not of the vocabulary. `tenant` is left to the caller.
[[nodiscard]] request to_request(prompt_request const& p, std::size_t index, model_files const& files);

/// The line that `generate` prints.
[[nodiscard]] nlohmann::ordered_json to_json(completion const& c);

/// JSON in one line; bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] std::string to_line(nlohmann::ordered_json const& j);

}  // namespace tenon::engine
