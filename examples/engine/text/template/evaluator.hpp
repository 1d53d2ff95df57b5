#pragma once
//  Runs a template's tree.
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/text/template/syntax.hpp"

namespace tenon::engine::jinja {

/// What the template writes. `seconds`: the time for strftime_now, from 1970 in UTC; none: it is an error.
[[nodiscard]] marked_text evaluate(execution& x, std::vector<statement> const& tree, mapping_value variables,
                                   std::optional<std::int64_t> seconds);

/// Days, months and hours in English; %Y %y %m %d %e %B %b %A %a %H %I %M %S %p %j %F %T %%.
[[nodiscard]] marked_text time_text(execution& x, marked_text const& format, std::int64_t seconds);

}  // namespace tenon::engine::jinja
