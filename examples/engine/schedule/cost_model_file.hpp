#pragma once
//  Cost models from files: what `tenon bench --output json` writes, or the terms alone.
//
//    {"cost_model": {"step": s, "weights": s, "token": s, "sequence": s, "row": s, "key": s, "pair": s}, ...}
//    {"steps": [{"tokens": n, "sequences": n, "rows": n, "keys": n, "pairs": n, "seconds": s}, ...], ...}   is fitted
//    {"step": s, ...}
#include <string>

#include "engine/files/json.hpp"
#include "engine/schedule/cost_model.hpp"

namespace tenon::engine {

[[nodiscard]] cost_model cost_model_of(json_value const& json, std::string const& file);

/// A file's model where there is such a file, and a built-in one of that name otherwise.
[[nodiscard]] cost_model load_cost_model(std::string const& file_or_name);

[[nodiscard]] nlohmann::ordered_json to_json(cost_model const& model);

}  // namespace tenon::engine
