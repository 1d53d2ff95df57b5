#include <algorithm>
#include <string>

#include "engine/text/template/functions.hpp"
#include "engine/text/template/operators.hpp"
#include "engine/text/template/text_functions.hpp"

namespace tenon::engine::jinja {
namespace {

using arguments = call_arguments const&;

value const& other_of(execution& x, arguments a) {
  if (a.values.size() != 1 || !a.named.empty())
    x.fail("a test needs one argument", std::to_string(a.values.size()), "1");
  return a.values[0];
}
std::int64_t integer_of(execution& x, value const& v) {
  std::int64_t i = 0;
  if (is<undefined_value>(v)) x.fail_undefined(v);
  if (!integer_in(v, i)) x.fail("a test needs an integer", describe(v), "one");
  return i;
}

bool is_sequence(value const& v) {
  auto const* l = list_in(v);
  return text_in(v) || mapping_in(v) || is<undefined_value>(v) ||
         (l && l->kind != sequence_kind::iterator && l->kind != sequence_kind::view);
}

/// Python's str.isupper and islower: some letter has case, and none has the other one.
template <letter_case To>
bool t_case(execution& x, value const& v, arguments) {
  marked_text const  t = to_text(x, v);
  std::string const& s = t.bytes();
  return in_case(x, t, To).bytes() == s &&
         in_case(x, t, To == letter_case::upper ? letter_case::lower : letter_case::upper).bytes() != s;
}

/// Python's `is`, where lists and mappings are concerned; other values that are equal are one.
bool is_same(execution& x, value const& a, value const& b) {
  if (a.index() != b.index()) return false;
  if (list_in(a) || mapping_in(a)) return list_in(a) == list_in(b) && mapping_in(a) == mapping_in(b);
  return equal(x, a, b);
}

struct test {
  std::string_view name;
  bool (*holds)(execution&, value const&, arguments);
};
constexpr test tests[] = {
    {"defined", [](execution&, value const& v, arguments) { return !is<undefined_value>(v); }},
    {"undefined", [](execution&, value const& v, arguments) { return is<undefined_value>(v); }},
    {"none", [](execution&, value const& v, arguments) { return is<none_value>(v); }},
    {"boolean", [](execution&, value const& v, arguments) { return is<bool>(v); }},
    {"true", [](execution&, value const& v, arguments) { return is<bool>(v) && std::get<bool>(v); }},
    {"false", [](execution&, value const& v, arguments) { return is<bool>(v) && !std::get<bool>(v); }},
    {"integer", [](execution&, value const& v, arguments) { return is<std::int64_t>(v); }},
    {"float", [](execution&, value const& v, arguments) { return is<double>(v); }},
    {"number",
     [](execution&, value const& v, arguments) { return is<std::int64_t>(v) || is<double>(v) || is<bool>(v); }},
    {"string", [](execution&, value const& v, arguments) { return text_in(v) != nullptr; }},
    {"mapping", [](execution&, value const& v, arguments) { return mapping_in(v) != nullptr; }},
    {"sequence", [](execution&, value const& v, arguments) { return is_sequence(v); }},
    {"iterable", [](execution&, value const& v, arguments) { return is_sequence(v) || list_in(v) || is<loop_ptr>(v); }},
    {"callable", [](execution&, value const& v, arguments) { return is<function_ptr>(v) || is<undefined_value>(v); }},
    {"odd", [](execution& x, value const& v, arguments) { return integer_of(x, v) % 2 != 0; }},
    {"even", [](execution& x, value const& v, arguments) { return integer_of(x, v) % 2 == 0; }},
    {"divisibleby",
     [](execution& x, value const& v, arguments a) {
       return integer_of(x, arithmetic(x, "%", integer_of(x, v), integer_of(x, other_of(x, a)))) == 0;
     }},
    {"lower", t_case<letter_case::lower>},
    {"upper", t_case<letter_case::upper>},
    {"in", [](execution& x, value const& v, arguments a) { return contains(x, other_of(x, a), v); }},
    {"sameas", [](execution& x, value const& v, arguments a) { return is_same(x, v, other_of(x, a)); }},
};

struct comparison {
  std::string_view names[3];
  bool (*holds)(int order);
};
constexpr comparison comparisons[] = {{{"lt", "lessthan", "<"}, [](int o) { return o == -1; }},
                                      {{"le", "<=", "<="}, [](int o) { return o == -1 || o == 0; }},
                                      {{"gt", "greaterthan", ">"}, [](int o) { return o == 1; }},
                                      {{"ge", ">=", ">="}, [](int o) { return o == 1 || o == 0; }}};

}  // namespace

bool apply_test(execution& x, std::string const& name, value const& v, call_arguments const& a) {
  x.step();
  for (test const& t : tests)
    if (t.name == name) return t.holds(x, v, a);
  if (name == "eq" || name == "equalto" || name == "==") return equal(x, v, other_of(x, a));
  if (name == "ne" || name == "!=") return !equal(x, v, other_of(x, a));
  for (comparison const& c : comparisons)
    if (std::find(std::begin(c.names), std::end(c.names), name) != std::end(c.names))
      return c.holds(order(x, v, other_of(x, a)));
  std::string names;
  for (test const& t : tests) names.append(t.name).append(", ");
  x.fail(failure::unsupported, "unknown test", in_quotes(name), "one of " + names + "eq, ne, lt, le, gt, ge");
}

}  // namespace tenon::engine::jinja
