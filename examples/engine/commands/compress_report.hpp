#pragma once
//  What `tenon compress` reports of adapters, folds and heads, as JSON and as text.
#include <nlohmann/json.hpp>
#include <string>

#include "engine/compress/fold_norms.hpp"
#include "engine/compress/head_cut.hpp"
#include "engine/compress/lora_adapter.hpp"

namespace tenon::engine {

[[nodiscard]] nlohmann::ordered_json to_json(merged_adapter const& a);
[[nodiscard]] nlohmann::ordered_json to_json(folded_norms const& f);
[[nodiscard]] nlohmann::ordered_json to_json(head_cut const& c);

/// Lines for report["lora"], ["fold_norms"] and ["heads"], of which any may be absent.
[[nodiscard]] std::string text_of_structure(nlohmann::ordered_json const& report);

}  // namespace tenon::engine
