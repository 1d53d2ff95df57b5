#include <string>

#include "engine/text/template/functions.hpp"
#include "engine/text/template/operators.hpp"
#include "engine/text/template/text_functions.hpp"

namespace tenon::engine::jinja {
namespace {

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
bool t_case(execution& x, value const& v) {
  marked_text const  t = to_text(x, v);
  std::string const& s = t.bytes();
  return in_case(x, t, To).bytes() == s &&
         in_case(x, t, To == letter_case::upper ? letter_case::lower : letter_case::upper).bytes() != s;
}

struct test {
  std::string_view name;
  bool (*holds)(execution&, value const&);
};
constexpr test tests[] = {
    {"defined", [](execution&, value const& v) { return !is<undefined_value>(v); }},
    {"undefined", [](execution&, value const& v) { return is<undefined_value>(v); }},
    {"none", [](execution&, value const& v) { return is<none_value>(v); }},
    {"boolean", [](execution&, value const& v) { return is<bool>(v); }},
    {"true", [](execution&, value const& v) { return is<bool>(v) && std::get<bool>(v); }},
    {"false", [](execution&, value const& v) { return is<bool>(v) && !std::get<bool>(v); }},
    {"integer", [](execution&, value const& v) { return is<std::int64_t>(v); }},
    {"float", [](execution&, value const& v) { return is<double>(v); }},
    {"number", [](execution&, value const& v) { return is<std::int64_t>(v) || is<double>(v) || is<bool>(v); }},
    {"string", [](execution&, value const& v) { return text_in(v) != nullptr; }},
    {"mapping", [](execution&, value const& v) { return mapping_in(v) != nullptr; }},
    {"sequence", [](execution&, value const& v) { return is_sequence(v); }},
    {"iterable", [](execution&, value const& v) { return is_sequence(v) || list_in(v) || is<loop_ptr>(v); }},
    {"callable", [](execution&, value const& v) { return is<function_ptr>(v) || is<undefined_value>(v); }},
    {"odd", [](execution& x, value const& v) { return integer_of(x, v) % 2 != 0; }},
    {"even", [](execution& x, value const& v) { return integer_of(x, v) % 2 == 0; }},
    {"lower", t_case<letter_case::lower>},
    {"upper", t_case<letter_case::upper>},
};

bool is_unequal(execution& x, value const& a, value const& b) { return !equal(x, a, b); }
bool is_less(execution& x, value const& a, value const& b) { return order(x, a, b) == -1; }
bool is_greater(execution& x, value const& a, value const& b) { return order(x, a, b) == 1; }
bool is_at_most(execution& x, value const& a, value const& b) {
  int const o = order(x, a, b);  // 2: one is not a number
  return o == -1 || o == 0;
}
bool is_at_least(execution& x, value const& a, value const& b) { return is_at_most(x, b, a); }
bool is_multiple(execution& x, value const& a, value const& b) {
  return integer_of(x, arithmetic(x, "%", integer_of(x, a), integer_of(x, b))) == 0;
}
bool is_in(execution& x, value const& a, value const& b) { return contains(x, b, a); }
/// Python's `is`, where lists and mappings are concerned; other values that are equal are one.
bool is_same(execution& x, value const& a, value const& b) {
  if (a.index() != b.index()) return false;
  if (list_in(a) || mapping_in(a)) return list_in(a) == list_in(b) && mapping_in(a) == mapping_in(b);
  return equal(x, a, b);
}

struct relation {
  std::string_view name;
  bool (*holds)(execution&, value const&, value const&);
};
constexpr relation relations[] = {
    {"eq", equal},      {"equalto", equal},  {"==", equal},         {"ne", is_unequal},
    {"!=", is_unequal}, {"lt", is_less},     {"lessthan", is_less}, {"<", is_less},
    {"le", is_at_most}, {"<=", is_at_most},  {"gt", is_greater},    {"greaterthan", is_greater},
    {">", is_greater},  {"ge", is_at_least}, {">=", is_at_least},   {"divisibleby", is_multiple},
    {"in", is_in},      {"sameas", is_same}};

}  // namespace

bool apply_test(execution& x, std::string const& name, value const& v, call_arguments const& a) {
  x.step();
  for (test const& t : tests)
    if (t.name == name) return no_arguments(x, name, a), t.holds(x, v);
  for (relation const& r : relations)
    if (r.name == name) {
      auto const [other] = bound(x, name, a, {"other"}, 1);
      return r.holds(x, v, *other);
    }
  std::string names;
  auto const  add = [&](auto const& all) {
    for (auto const& one : all) names.append(names.empty() ? "" : ", ").append(one.name);
  };
  add(tests), add(relations);
  x.fail(failure::unsupported, "unknown test", in_quotes(name), "one of " + names);
}

}  // namespace tenon::engine::jinja
