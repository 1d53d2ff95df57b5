#pragma once
//  Values as Python writes them, str() and repr(), and texts by characters.
#include <cstddef>
#include <string>
#include <string_view>

#include "engine/text/template/value.hpp"

namespace tenon::engine::jinja {

/// repr() of a float: the shortest digits that read back as it.
[[nodiscard]] std::string python_float(double v);

[[nodiscard]] std::size_t characters_in(std::string_view text);

/// Where `part` first is in `text` from byte `from`; npos: nowhere. Linear in both.
[[nodiscard]] std::size_t find_bytes(execution& x, std::string_view text, std::string_view part, std::size_t from);

/// str(v): a string as it is, nothing for what is undefined.
[[nodiscard]] marked_text to_text(execution& x, value const& v);

/// repr(v), as within lists.
void append_repr(execution& x, marked_text& to, value const& v);

}  // namespace tenon::engine::jinja
