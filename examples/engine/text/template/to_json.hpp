#pragma once
//  The filter tojson as Transformers has it: Python's json.dumps, no HTML escapes, characters as they are.
#include <optional>

#include "engine/text/template/value.hpp"

namespace tenon::engine::jinja {

struct json_style {
  std::optional<marked_text> indent;  // of a level; none: all in one line
  marked_text                comma{", ", text_origin::own}, colon{": ", text_origin::own};
  bool                       sort_keys = false, ascii = false;
};

[[nodiscard]] marked_text to_json(execution& x, value const& v, json_style const& style);

}  // namespace tenon::engine::jinja
