#pragma once
//  The texts that `tenon perplexity` and `tenon align` feed.
#include <cstdint>
#include <string>
#include <vector>

#include "engine/commands/setup.hpp"

namespace tenon::engine {

/// As ids: one from the file `text`, or each of per_text[].ids in the JSON file `ids`.
[[nodiscard]] std::vector<std::vector<std::int32_t>> texts_of(std::string const& text, std::string const& ids,
                                                              model_files const& files);

}  // namespace tenon::engine
