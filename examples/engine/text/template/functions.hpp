#pragma once
//  Filters, tests and methods by their names.
#include <string>
#include <string_view>

#include "engine/text/template/arguments.hpp"

namespace tenon::engine::jinja {

/// v|name(a). An error for names that are not of our subset.
[[nodiscard]] value apply_filter(execution& x, std::string const& name, value const& v, call_arguments const& a);

/// v is name(a).
[[nodiscard]] bool apply_test(execution& x, std::string const& name, value const& v, call_arguments const& a);

/// self.name(a), of a method that attribute_of gives.
[[nodiscard]] value call_method(execution& x, value const& self, std::string const& name, call_arguments const& a);

/// What `path` ("a.b.0") leads to from v, item by item.
[[nodiscard]] value item_at_path(execution& x, value const& v, value const& path);

}  // namespace tenon::engine::jinja
