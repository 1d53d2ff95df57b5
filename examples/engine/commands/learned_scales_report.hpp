#pragma once
//  What `tenon compress --scales learned` says of the scales that it found.
#include <nlohmann/json.hpp>
#include <string>

#include "engine/compress/learned_scales.hpp"

namespace tenon::engine {

/// "learned_scales" of the report.
[[nodiscard]] nlohmann::ordered_json to_json(learned_layers const& layers);

/// Lines for people, from that; empty where the report has none.
[[nodiscard]] std::string learned_scales_text(nlohmann::ordered_json const& report);

}  // namespace tenon::engine
