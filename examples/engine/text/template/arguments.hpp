#pragma once
//  Arguments of filters, tests, methods and functions, by their names.
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/template/execution.hpp"
#include "engine/text/template/python_text.hpp"

namespace tenon::engine::jinja {

struct call_arguments {
  std::vector<value>                      values;
  std::vector<std::pair<text_ptr, value>> named;
};

/// In the order of `names`; null where one is not given. An error where one of the first `needed` is missing, or one is
/// not known.
template <std::size_t N>
[[nodiscard]] std::array<value const*, N> bound(execution& x, std::string const& what, call_arguments const& a,
                                                char const* const (&names)[N], std::size_t needed = 0) {
  std::array<value const*, N> found{};
  if (a.values.size() > N)
    x.fail("too many arguments", std::to_string(a.values.size()) + " for " + what, "at most " + std::to_string(N));
  for (std::size_t i = 0; i < a.values.size(); ++i) found[i] = &a.values[i];
  for (auto const& [name, v] : a.named) {
    std::size_t i = 0;
    while (i < N && name->bytes() != names[i]) ++i;
    if (i == N) x.fail("unknown argument", in_quotes(name->bytes()) + " for " + what, "one that it has");
    if (found[i]) x.fail("an argument is there twice", in_quotes(name->bytes()) + " for " + what, "it once");
    found[i] = &v;
  }
  for (std::size_t i = 0; i < needed; ++i)
    if (!found[i]) x.fail("an argument is missing", std::string(names[i]) + " of " + what, "it");
  return found;
}

inline void no_arguments(execution& x, std::string const& what, call_arguments const& a) {
  if (!a.values.empty() || !a.named.empty()) x.fail("too many arguments", "some for " + what, "none");
}

inline std::int64_t integer_argument(execution& x, char const* what, value const* v, std::int64_t fallback) {
  if (v == nullptr || is<none_value>(*v)) return fallback;
  std::int64_t i = 0;
  if (!integer_in(*v, i)) x.fail(std::string("wrong ") + what, describe(*v), "an integer");
  return i;
}

/// Whoever asks looks at all of it.
inline marked_text const& text_argument(execution& x, char const* what, value const& v) {
  auto const* t = text_in(v);
  if (t == nullptr) x.fail(std::string("wrong ") + what, describe(v), "a string");
  x.read(t->size());
  return *t;
}
/// None where it is not given, or Python's None.
inline std::optional<std::string_view> optional_text(execution& x, char const* what, value const* v) {
  if (v == nullptr || is<none_value>(*v)) return std::nullopt;
  return text_argument(x, what, *v).bytes();
}

}  // namespace tenon::engine::jinja
