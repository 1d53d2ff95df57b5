#pragma once
//  What operators, subscripts and dots do to values.
#include <optional>
#include <string_view>

#include "engine/text/template/value.hpp"

namespace tenon::engine::jinja {

/// `name` is one of + - * / // % **. Integers have 64 bits; what does not fit is an error.
[[nodiscard]] value arithmetic(execution& x, std::string_view name, value const& a, value const& b);
[[nodiscard]] value negative(execution& x, value const& a);

/// obj.name: a method, else an entry or attribute of that name, else undefined. A name that begins with _ is never there.
[[nodiscard]] value attribute_of(execution& x, value const& obj, std::string_view name);
/// obj[key].
[[nodiscard]] value item_of(execution& x, value const& obj, value const& key);
/// obj[begin:end:step].
[[nodiscard]] value slice_of(execution& x, value const& obj, std::optional<value> const& begin,
                             std::optional<value> const& end, std::optional<value> const& step);

[[nodiscard]] value undefined(std::string why);

}  // namespace tenon::engine::jinja
