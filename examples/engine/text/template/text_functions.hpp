#pragma once
//  Python's functions of strings. Every byte of a result has the origin of the byte that it was, or was made of.
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/text/template/value.hpp"
#include "engine/text/unicode_case.hpp"

namespace tenon::engine::jinja {

struct text_sides {
  bool left = true, right = true;
};
/// Without the characters of `set` (none: white space) at its sides.
[[nodiscard]] marked_text stripped(execution& x, marked_text const& t, std::optional<std::string_view> set,
                                   text_sides sides = {});

/// At `separator`, none: at white space; at most `cuts` times, -1: everywhere.
[[nodiscard]] std::vector<marked_text> split(execution& x, marked_text const& t,
                                             std::optional<std::string_view> separator, std::int64_t cuts,
                                             bool from_right);
[[nodiscard]] std::vector<marked_text> split_lines(execution& x, marked_text const& t, bool keep_ends);

/// At most `times`, -1: everywhere.
[[nodiscard]] marked_text replaced(execution& x, marked_text const& t, std::string_view old, marked_text const& by,
                                   std::int64_t times);

[[nodiscard]] marked_text in_case(execution& x, marked_text const& t, letter_case to);
[[nodiscard]] marked_text capitalized(execution& x, marked_text const& t);
[[nodiscard]] marked_text titled(execution& x, marked_text const& t);        ///< str.title()
[[nodiscard]] marked_text title_filter(execution& x, marked_text const& t);  ///< the filter of Jinja

/// Where `part` is last; npos: nowhere.
[[nodiscard]] std::size_t rfind_bytes(execution& x, std::string_view text, std::string_view part);

/// text % arguments: %s, %r, %d, %i, %f, %e, %g, %x and %% with flags, width and precision.
[[nodiscard]] marked_text formatted(execution& x, marked_text const& format, value const& arguments);

/// Each line but the first (and it, with `first`) behind `by`.
[[nodiscard]] marked_text indented(execution& x, marked_text const& t, marked_text const& by, bool first, bool blank);

}  // namespace tenon::engine::jinja
