#pragma once
//  The texts that `tenon perplexity` and `tenon align` feed.
#include <cstdint>
#include <vector>

#include "engine/commands/setup.hpp"

namespace tenon::engine {

/// As ids: one from --text, or each of --ids' per_text[].ids.
[[nodiscard]] std::vector<std::vector<std::int32_t>> texts_of(options const& from, model_files const& files);

}  // namespace tenon::engine
