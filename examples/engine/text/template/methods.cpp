#include <algorithm>

#include "engine/text/template/functions.hpp"
#include "engine/text/template/operators.hpp"
#include "engine/text/template/text_functions.hpp"
#include "engine/text/unicode_classes.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine::jinja {
namespace {

value list_of(execution& x, std::vector<marked_text> parts) {
  std::vector<value> items;
  for (marked_text& p : parts) items.push_back(x.text(std::move(p)));
  return x.list(std::move(items));
}

/// Byte offset as an index of characters.
value index_of(std::string_view text, std::size_t at) {
  return at == std::string::npos ? std::int64_t{-1} : static_cast<std::int64_t>(characters_in(text.substr(0, at)));
}

/// Whether `t` begins or ends with `part`, or with one of a tuple.
bool has_end(execution& x, std::string const& t, value const& part, bool front) {
  auto const has = [&](value const& one) {
    std::string const& end = text_argument(x, "argument", one).bytes();
    return front ? t.starts_with(end) : t.ends_with(end);
  };
  auto const* l = list_in(part);
  return l && l->kind == sequence_kind::tuple ? std::any_of(l->items.begin(), l->items.end(), has) : has(part);
}

value call_text(execution& x, marked_text const& t, std::string const& name, call_arguments const& a) {
  std::string const& s = t.bytes();
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    auto const [set] = bound(x, name, a, {"chars"});
    return x.text(stripped(x, t, optional_text(x, "characters", set), {name != "rstrip", name != "lstrip"}));
  }
  if (name == "split" || name == "rsplit") {
    auto const [sep, most] = bound(x, name, a, {"sep", "maxsplit"});
    return list_of(x, split(x, t, optional_text(x, "separator", sep), integer_argument(x, "maxsplit", most, -1),
                            name == "rsplit"));
  }
  if (name == "splitlines") {
    auto const [keep] = bound(x, name, a, {"keepends"});
    return list_of(x, split_lines(x, t, keep && truth(*keep)));
  }
  if (name == "startswith" || name == "endswith") {
    auto const [part] = bound(x, name, a, {"prefix"}, 1);
    return has_end(x, s, *part, name == "startswith");
  }
  if (name == "removeprefix" || name == "removesuffix") {
    auto const [part]      = bound(x, name, a, {"prefix"}, 1);
    std::string const& end = text_argument(x, "argument", *part).bytes();
    if (name == "removeprefix") return s.starts_with(end) ? x.text(t.part(end.size(), s.size())) : x.text(t);
    return s.ends_with(end) ? x.text(t.part(0, s.size() - end.size())) : x.text(t);
  }
  if (name == "replace") {
    auto const [old, by, count] = bound(x, name, a, {"old", "new", "count"}, 2);
    return x.text(replaced(x, t, text_argument(x, "argument", *old).bytes(), text_argument(x, "argument", *by),
                           integer_argument(x, "count", count, -1)));
  }
  if (name == "find" || name == "index" || name == "rfind" || name == "count") {
    auto const [part]       = bound(x, name, a, {"sub"}, 1);
    std::string const& what = text_argument(x, "argument", *part).bytes();
    x.read(s.size());
    if (name == "find" || name == "index") {
      std::size_t const at = find_bytes(x, s, what, 0);
      if (name == "index" && at == std::string::npos)
        x.fail("this is not in the string", in_quotes(what), "a part of it");
      return index_of(s, at);
    }
    if (name == "rfind") return index_of(s, rfind_bytes(x, s, what));
    if (what.empty()) return static_cast<std::int64_t>(characters_in(s)) + 1;
    std::int64_t n = 0;
    for (std::size_t at = 0; (at = find_bytes(x, s, what, at)) != std::string::npos; at += what.size()) ++n;
    return n;
  }
  if (name == "join") {
    auto const [items] = bound(x, name, a, {"iterable"}, 1);
    marked_text all;
    bool        first = true;
    for (value const& item : items_of(x, *items)) {
      marked_text const& one = text_argument(x, "item to join", item);
      x.make(t.size() + one.size());
      if (!first) all.append(t);
      first = false;
      all.append(one);
    }
    return x.text(std::move(all));
  }
  no_arguments(x, name, a);
  if (name == "upper") return x.text(in_case(x, t, letter_case::upper));
  if (name == "lower") return x.text(in_case(x, t, letter_case::lower));
  if (name == "title") return x.text(titled(x, t));
  if (name == "capitalize") return x.text(capitalized(x, t));
  // isdigit
  x.read(s.size());
  bool all = !s.empty();
  for (char const c : s) {
    if (static_cast<unsigned char>(c) >= 0x80)
      x.fail(failure::unsupported, "isdigit() knows ASCII only", in_quotes(s), "such a text");
    all = all && c >= '0' && c <= '9';
  }
  return all;
}

value call_mapping(execution& x, mapping_value const& m, std::string const& name, call_arguments const& a) {
  if (name == "get") {
    auto const [key, other] = bound(x, name, a, {"key", "default"}, 1);
    if (list_in(*key) || mapping_in(*key)) x.fail("this cannot be a key", describe(*key), "a string or a number");
    if (value const* v = m.find(x, *key)) return *v;
    return other ? *other : value(none_value{});
  }
  no_arguments(x, name, a);
  std::vector<value> all;
  for (auto const& [key, v] : m.entries())
    all.push_back(name == "keys" ? key : name == "values" ? v : x.list({key, v}, sequence_kind::tuple));
  return x.list(std::move(all), sequence_kind::view);
}

value call_list(execution& x, list_value const& l, std::string const& name, call_arguments const& a) {
  auto const [what] = bound(x, name, a, {"value"}, 1);
  std::int64_t n    = 0;
  for (std::size_t i = 0; i < l.items.size(); ++i) {
    if (!equal(x, l.items[i], *what)) continue;
    if (name == "index") return static_cast<std::int64_t>(i);
    ++n;
  }
  if (name == "index") x.fail("this is not in the list", describe(*what), "one of its items");
  return n;
}

}  // namespace

value call_method(execution& x, value const& self, std::string const& name, call_arguments const& a) {
  x.step();
  if (auto const* t = text_in(self)) return call_text(x, *t, name, a);
  if (auto const* m = mapping_in(self)) return call_mapping(x, *m, name, a);
  if (auto const* l = list_in(self)) return call_list(x, *l, name, a);
  if (auto const* l = std::get_if<loop_ptr>(&self)) {  // cycle
    if (a.values.empty()) x.fail("nothing to cycle through", "no argument", "some");
    return a.values[(*l)->index % a.values.size()];
  }
  x.fail("this cannot be called", in_quotes(name), "a function");
}

}  // namespace tenon::engine::jinja
