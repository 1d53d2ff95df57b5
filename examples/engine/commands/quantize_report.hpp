#pragma once
//  What `tenon compress --quantize` says of its work.
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/compress/quantize_model.hpp"

namespace tenon::engine {

/// Adds "modules", "activations" and "kv_scales" to the report, as far as there is something to say.
void add_to_report(nlohmann::ordered_json& report, quantized_layers const& done);

/// The same for people; nothing where the report has no modules.
[[nodiscard]] std::string quantize_text(nlohmann::ordered_json const& report);

}  // namespace tenon::engine
