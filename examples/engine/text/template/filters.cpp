#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "engine/text/template/functions.hpp"
#include "engine/text/template/lexer.hpp"
#include "engine/text/template/operators.hpp"
#include "engine/text/template/text_functions.hpp"
#include "engine/text/template/to_json.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine::jinja {

value item_at_path(execution& x, value const& v, value const& path) {
  std::int64_t index = 0;
  if (integer_in(path, index)) return item_of(x, v, path);
  auto const* text = text_in(path);
  if (!text) x.fail("wrong attribute", describe(path), "its name");
  value            at   = v;
  std::string_view rest = text->bytes();
  while (true) {
    std::size_t const dot    = std::min(rest.find('.'), rest.size());
    std::string_view  part   = rest.substr(0, dot);
    bool const        digits = !part.empty() && part.size() < 10 &&
                        std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (digits) std::from_chars(part.data(), part.data() + part.size(), index);
    at = item_of(x, at, digits ? value(index) : x.own_text(std::string(part)));
    if (dot == rest.size()) return at;
    rest.remove_prefix(dot + 1);
  }
}

namespace {

using arguments = call_arguments const&;

bool flag_of(value const* v, bool fallback) { return v ? truth(*v) : fallback; }

value text_or(execution& x, value const& v) { return x.text(to_text(x, v)); }

/// What items are compared by: letters without their case, unless it counts.
value key_of(execution& x, value const& item, value const* attribute, bool cased) {
  value key = attribute && !is<none_value>(*attribute) ? item_at_path(x, item, *attribute) : item;
  if (auto const* t = text_in(key); t && !cased) return x.text(in_case(x, *t, letter_case::lower));
  return key;
}

// --- of any value

value f_default(execution& x, value const& v, arguments a) {
  auto const [other, also_false] = bound(x, "default", a, {"default_value", "boolean"});
  if (!is<undefined_value>(v) && !(flag_of(also_false, false) && !truth(v))) return v;
  return other ? *other : x.own_text("");
}
value f_string(execution& x, value const& v, arguments a) {
  no_arguments(x, "string", a);
  return text_in(v) ? v : text_or(x, v);
}
value f_safe(execution&, value const& v, arguments) { return v; }
value f_length(execution& x, value const& v, arguments a) {
  no_arguments(x, "length", a);
  return static_cast<std::int64_t>(length_of(x, v));
}
value f_list(execution& x, value const& v, arguments a) {
  no_arguments(x, "list", a);
  return x.list(items_of(x, v));
}
value f_first(execution& x, value const& v, arguments) {
  if (auto* l = list_in(v)) {
    std::size_t const at = l->kind == sequence_kind::iterator ? l->next : 0;
    if (at >= l->items.size()) return undefined("the first item of an empty list");
    if (l->kind == sequence_kind::iterator) ++l->next;
    return l->items[at];
  }
  auto items = items_of(x, v);
  return items.empty() ? undefined("the first item of nothing") : items.front();
}
value f_last(execution& x, value const& v, arguments) {
  if (auto const* l = list_in(v); l && l->kind == sequence_kind::iterator)
    x.fail("this has no last item", "what a filter gives one by one", "a list: add |list");
  auto items = items_of(x, v);
  return items.empty() ? undefined("the last item of nothing") : items.back();
}
value f_tojson(execution& x, value const& v, arguments a) {
  auto const [ascii, indent, separators, sorted] =
      bound(x, "tojson", a, {"ensure_ascii", "indent", "separators", "sort_keys"});
  json_style style;
  style.ascii     = flag_of(ascii, false);
  style.sort_keys = flag_of(sorted, false);
  if (indent && !is<none_value>(*indent)) {
    if (text_in(*indent)) style.indent = text_argument(x, "indent", *indent);
    else
      style.indent = marked_text(std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(
                                                 integer_argument(x, "indent", indent, 0), 0, 1000)),
                                             ' '),
                                 text_origin::own);
    style.comma = {",", text_origin::own};
  }
  if (separators && !is<none_value>(*separators)) {
    auto const* l = list_in(*separators);
    if (!l || l->items.size() != 2) x.fail("wrong separators", describe(*separators), "two texts");
    style.comma = text_argument(x, "separator", l->items[0]), style.colon = text_argument(x, "separator", l->items[1]);
  }
  return x.text(to_json(x, v, style));
}

// --- of numbers

/// The whole of `text` as Python reads a float; none: it is none.
std::optional<double> float_of(std::string_view text) {
  text.remove_prefix(leading_space(text)), text.remove_suffix(trailing_space(text));
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto const digit = [&](std::size_t k) { return k < text.size() && text[k] >= '0' && text[k] <= '9'; };
    if (text[i] != '_') plain += text[i];
    else if (i == 0 || !digit(i - 1) || !digit(i + 1)) return std::nullopt;
  }
  std::string_view rest = plain;
  bool const       plus = rest.starts_with('+');
  if (plus) rest.remove_prefix(1);
  if (rest.empty() || (plus && rest[0] == '-')) return std::nullopt;
  double     v = 0;
  auto const r = std::from_chars(rest.data(), rest.data() + rest.size(), v);
  if (r.ptr != rest.data() + rest.size() || rest.find('(') != rest.npos) return std::nullopt;
  if (r.ec == std::errc::result_out_of_range) return std::strtod(std::string(rest).c_str(), nullptr);
  return r.ec == std::errc{} ? std::optional(v) : std::nullopt;
}

std::optional<std::int64_t> int_of(std::string_view text, int base) {
  text.remove_prefix(leading_space(text)), text.remove_suffix(trailing_space(text));
  bool const negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.size() > 2 && text[0] == '0') {
    char const c = static_cast<char>(text[1] | 0x20);
    if ((base == 16 && c == 'x') || (base == 8 && c == 'o') || (base == 2 && c == 'b'))
      text.remove_prefix(text[2] == '_' ? 3 : 2);
  }
  std::string plain(negative ? "-" : "");
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] != '_') plain += text[i];
    else if (i == 0 || i + 1 == text.size() || text[i + 1] == '_') return std::nullopt;
  if (plain.size() == (negative ? 1u : 0u) || plain.find('-', 1) != plain.npos) return std::nullopt;
  std::int64_t v = 0;
  auto const   r = std::from_chars(plain.data(), plain.data() + plain.size(), v, base);
  return r.ec == std::errc{} && r.ptr == plain.data() + plain.size() ? std::optional(v) : std::nullopt;
}

value f_int(execution& x, value const& v, arguments a) {
  auto const [other, base] = bound(x, "int", a, {"default", "base"});
  value const  fallback    = other ? *other : value(std::int64_t{0});
  std::int64_t i           = 0;
  if (is<undefined_value>(v)) x.fail_undefined(v);
  if (integer_in(v, i)) return i;
  std::optional<double> d;
  if (auto const* t = text_in(v)) {
    std::int64_t const b = integer_argument(x, "base", base, 10);
    if (b < 2 || b > 36) x.fail("wrong base", std::to_string(b), "2 to 36");
    x.read(t->size());
    if (auto const whole = int_of(t->bytes(), static_cast<int>(b))) return *whole;
    d = float_of(t->bytes());
  } else if (auto const* r = std::get_if<double>(&v)) {
    d = *r;
  }
  if (!d || !std::isfinite(*d)) return fallback;
  if (!(std::fabs(*d) < 9.2e18)) x.fail("an integer is out of range", python_float(*d), "one of 64 bits");
  return static_cast<std::int64_t>(*d);
}
value f_float(execution& x, value const& v, arguments a) {
  auto const [other] = bound(x, "float", a, {"default"});
  double d           = 0;
  if (is<undefined_value>(v)) x.fail_undefined(v);
  if (number_in(v, d)) return d;
  if (auto const* t = text_in(v)) {
    x.read(t->size());
    if (auto const r = float_of(t->bytes())) return *r;
  }
  return other ? *other : value(0.0);
}
value f_abs(execution& x, value const& v, arguments a) {
  no_arguments(x, "abs", a);
  std::int64_t i = 0;
  if (integer_in(v, i)) return i < 0 ? negative(x, v) : value(i);
  if (auto const* d = std::get_if<double>(&v)) return std::fabs(*d);
  if (is<undefined_value>(v)) x.fail_undefined(v);
  x.fail("this has no absolute value", describe(v), "a number");
}
value f_round(execution& x, value const& v, arguments a) {
  auto const [digits, how]     = bound(x, "round", a, {"precision", "method"});
  std::int64_t const precision = integer_argument(x, "precision", digits, 0);
  std::string const  method    = how ? text_argument(x, "method", *how).bytes() : "common";
  if (precision < -18 || precision > 60) x.fail("wrong precision", std::to_string(precision), "-18 to 60");
  double       d = 0;
  std::int64_t i = 0;
  if (is<undefined_value>(v)) x.fail_undefined(v);
  if (!number_in(v, d)) x.fail("this cannot be rounded", describe(v), "a number");
  if (method == "ceil" || method == "floor") {
    double const scale = std::pow(10.0, static_cast<double>(precision));
    return (method == "ceil" ? std::ceil(d * scale) : std::floor(d * scale)) / scale +
           0.0;  // no -0.0: Python rounds to an integer
  }
  if (method != "common") x.fail("unknown method of rounding", in_quotes(method), "common, ceil or floor");
  if (integer_in(v, i) && precision >= 0) return i;
  if (!std::isfinite(d)) return d;
  if (precision < 0) {
    double const scale = std::pow(10.0, static_cast<double>(-precision)), r = std::nearbyint(d / scale) * scale;
    if (integer_in(v, i)) return static_cast<std::int64_t>(r);
    return r;
  }
  char buffer[512];  // snprintf rounds the exact value, ties to even, as Python does
  std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), d);
  return std::strtod(buffer, nullptr);
}

// --- of texts

template <marked_text (*F)(execution&, marked_text const&)>
value f_text(execution& x, value const& v, arguments a) {
  no_arguments(x, "a filter of texts", a);
  return x.text(F(x, to_text(x, v)));
}
template <letter_case To>
value f_case(execution& x, value const& v, arguments a) {
  no_arguments(x, "a filter of texts", a);
  return x.text(in_case(x, to_text(x, v), To));
}
value f_trim(execution& x, value const& v, arguments a) {
  auto const [set] = bound(x, "trim", a, {"chars"});
  return x.text(stripped(x, to_text(x, v), optional_text(x, "characters", set)));
}
value f_replace(execution& x, value const& v, arguments a) {
  auto const [old, by, count] = bound(x, "replace", a, {"old", "new", "count"}, 2);
  return x.text(
      replaced(x, to_text(x, v), to_text(x, *old).bytes(), to_text(x, *by), integer_argument(x, "count", count, -1)));
}
value f_join(execution& x, value const& v, arguments a) {
  auto const [between, attribute] = bound(x, "join", a, {"d", "attribute"});
  marked_text const d             = between ? to_text(x, *between) : marked_text();
  marked_text       all;
  bool              first = true;
  for (value const& item : items_of(x, v)) {
    marked_text const one =
        to_text(x, attribute && !is<none_value>(*attribute) ? item_at_path(x, item, *attribute) : item);
    x.make(d.size() + one.size());
    if (!first) all.append(d);
    first = false;
    all.append(one);
  }
  return x.text(std::move(all));
}
value f_indent(execution& x, value const& v, arguments a) {
  auto const [width, first, blank] = bound(x, "indent", a, {"width", "first", "blank"});
  marked_text by;
  if (width && text_in(*width)) by = text_argument(x, "width", *width);
  else
    by = {std::string(
              static_cast<std::size_t>(std::clamp<std::int64_t>(integer_argument(x, "width", width, 4), 0, 1000)), ' '),
          text_origin::own};
  return x.text(indented(x, text_argument(x, "text", v), by, flag_of(first, false), flag_of(blank, false)));
}
value f_escape(execution& x, value const& v, arguments) {
  marked_text t = to_text(x, v);
  for (auto const& [from, to] :
       {std::pair{"&", "&amp;"}, {">", "&gt;"}, {"<", "&lt;"}, {"'", "&#39;"}, {"\"", "&#34;"}}) {
    marked_text escaped;
    for (std::size_t at = 0; at < t.size();) {  // an escape has the origin of what it stands for
      std::size_t const found = std::min(t.bytes().find(from, at), t.size());
      x.make(found - at + 5);
      escaped.append(t, at, found);
      if (found < t.size()) escaped.append(to, t.origin(found));
      at = found + 1;
    }
    t = std::move(escaped);
  }
  return x.text(std::move(t));
}
value f_format(execution& x, value const& v, arguments a) {
  if (!a.named.empty())
    x.fail(failure::unsupported, "names in formats are not supported", in_quotes(a.named[0].first->bytes()),
           "values in their order");
  return x.text(formatted(x, to_text(x, v), x.list(a.values, sequence_kind::tuple)));
}

// --- of lists and mappings

value f_items(execution& x, value const& v, arguments a) {
  no_arguments(x, "items", a);
  std::vector<value> pairs;
  if (auto const* m = mapping_in(v)) {
    for (auto const& [key, entry] : m->entries()) pairs.push_back(x.list({key, entry}, sequence_kind::tuple));
  } else if (!is<undefined_value>(v)) {
    x.fail("this has no items", describe(v), "a mapping");
  }
  return x.list(std::move(pairs), sequence_kind::iterator);
}

template <class Key>
void sort_by(execution& x, std::vector<value>& items, bool reverse, Key const& key) {
  std::vector<std::pair<value, value>> keyed;
  x.make(items.size() * 2 * sizeof(value));
  for (value& v : items) keyed.emplace_back(key(v), std::move(v));
  std::stable_sort(keyed.begin(), keyed.end(), [&](auto const& a, auto const& b) {
    return reverse ? order(x, b.first, a.first) == -1 : order(x, a.first, b.first) == -1;
  });
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = std::move(keyed[i].second);
}

value f_sort(execution& x, value const& v, arguments a) {
  auto const   given     = bound(x, "sort", a, {"reverse", "case_sensitive", "attribute"});
  value const* attribute = given[2];
  bool const   cased     = flag_of(given[1], false);
  if (attribute && text_in(*attribute) &&
      text_argument(x, "attribute", *attribute).bytes().find(',') != std::string::npos)
    x.fail(failure::unsupported, "sorting by several attributes is not supported", describe(*attribute), "one");
  auto items = items_of(x, v);
  sort_by(x, items, flag_of(given[0], false), [&](value const& item) { return key_of(x, item, attribute, cased); });
  return x.list(std::move(items));
}
value f_dictsort(execution& x, value const& v, arguments a) {
  auto const        given = bound(x, "dictsort", a, {"case_sensitive", "by", "reverse"});
  bool const        cased = flag_of(given[0], false);
  std::string const what  = given[1] ? text_argument(x, "by", *given[1]).bytes() : "key";
  if (what != "key" && what != "value") x.fail("wrong by", in_quotes(what), "key or value");
  auto const* m = mapping_in(v);
  if (!m) x.fail("this has no keys", describe(v), "a mapping");
  std::vector<value> pairs;
  for (auto const& [key, entry] : m->entries()) pairs.push_back(x.list({key, entry}, sequence_kind::tuple));
  sort_by(x, pairs, flag_of(given[2], false),
          [&](value const& pair) { return key_of(x, list_in(pair)->items[what == "key" ? 0 : 1], nullptr, cased); });
  return x.list(std::move(pairs));
}
value f_reverse(execution& x, value const& v, arguments a) {
  no_arguments(x, "reverse", a);
  if (text_in(v)) return slice_of(x, v, std::nullopt, std::nullopt, value(std::int64_t{-1}));
  // What cannot be gone through backwards becomes a list first.
  bool const listed = list_in(v) && list_in(v)->kind == sequence_kind::iterator;
  auto       items  = items_of(x, v);
  std::reverse(items.begin(), items.end());
  return x.list(std::move(items), listed ? sequence_kind::list : sequence_kind::iterator);
}
value f_unique(execution& x, value const& v, arguments a) {
  auto const [cased, attribute] = bound(x, "unique", a, {"case_sensitive", "attribute"});
  mapping_value      seen;
  std::vector<value> kept;
  for (value const& item : items_of(x, v)) {
    value const key = key_of(x, item, attribute, flag_of(cased, false));
    if (!is_key(key)) x.fail("this cannot be a key", describe(key), "a string or a number");
    x.make(4 * sizeof(value));
    if (seen.find(x, key)) continue;
    seen.set(x, key, none_value{});
    kept.push_back(item);
  }
  return x.list(std::move(kept), sequence_kind::iterator);
}
template <int Sign>
value f_extreme(execution& x, value const& v, arguments a) {
  auto const [cased, attribute] = bound(x, "min or max", a, {"case_sensitive", "attribute"});
  auto const   items            = items_of(x, v);
  value        best_key;
  value const* best = nullptr;
  for (value const& item : items) {
    value key = key_of(x, item, attribute, flag_of(cased, false));
    if (best && order(x, key, best_key) != Sign) continue;
    best = &item, best_key = std::move(key);
  }
  return best ? *best : undefined("the least or largest of nothing");
}
value f_sum(execution& x, value const& v, arguments a) {
  auto const [attribute, start] = bound(x, "sum", a, {"attribute", "start"});
  value sum                     = start ? *start : value(std::int64_t{0});
  for (value const& item : items_of(x, v))
    sum = arithmetic(x, "+", sum, attribute && !is<none_value>(*attribute) ? item_at_path(x, item, *attribute) : item);
  return sum;
}
value f_batch(execution& x, value const& v, arguments a) {
  auto const [count, fill] = bound(x, "batch", a, {"linecount", "fill_with"}, 1);
  std::int64_t const size  = integer_argument(x, "size", count, 0);
  if (size < 1 || size > 100'000) x.fail("wrong size of a batch", std::to_string(size), "1 to 100000");
  std::vector<value> batches, one;
  for (value const& item : items_of(x, v)) {
    if (static_cast<std::int64_t>(one.size()) == size) batches.push_back(x.list(std::exchange(one, {})));
    one.push_back(item);
  }
  if (!one.empty()) {
    if (fill && !is<none_value>(*fill)) one.resize(static_cast<std::size_t>(size), *fill);
    batches.push_back(x.list(std::move(one)));
  }
  return x.list(std::move(batches), sequence_kind::iterator);
}

/// What map() and select() go through: nothing where there is nothing, as Jinja has it.
std::vector<value> items_or_none(execution& x, value const& v) {
  return truth(v) ? items_of(x, v) : std::vector<value>();
}

/// The arguments behind the first `n`.
call_arguments behind(execution& x, arguments a, std::size_t n) {
  x.make((a.values.size() + 2 * a.named.size()) * sizeof(value));
  return {{a.values.begin() + static_cast<std::ptrdiff_t>(std::min(n, a.values.size())), a.values.end()}, a.named};
}

value f_map(execution& x, value const& v, arguments a) {
  std::vector<value> results;
  auto const         items = items_or_none(x, v);
  if (a.values.empty()) {
    auto const [attribute, other] = bound(x, "map", a, {"attribute", "default"}, 1);
    for (value const& item : items) {
      value r = item_at_path(x, item, *attribute);
      results.push_back(is<undefined_value>(r) && other && !is<none_value>(*other) ? *other : std::move(r));
    }
  } else {
    std::string const&   name = text_argument(x, "filter", a.values[0]).bytes();
    call_arguments const rest = behind(x, a, 1);
    for (value const& item : items) results.push_back(apply_filter(x, name, item, rest));
  }
  return x.list(std::move(results), sequence_kind::iterator);
}

template <bool Keep, bool ByAttribute>
value f_select(execution& x, value const& v, arguments a) {
  constexpr std::size_t own = ByAttribute ? 1 : 0;  // arguments in front of the test
  if (a.values.size() < own) x.fail("an argument is missing", "none", "the name of an attribute");
  bool const           tests = a.values.size() > own;
  call_arguments const rest  = behind(x, a, own + 1);
  std::vector<value>   kept;
  for (value const& item : items_or_none(x, v)) {
    value const what = ByAttribute ? item_at_path(x, item, a.values[0]) : item;
    bool const  yes  = tests ? apply_test(x, text_argument(x, "test", a.values[own]).bytes(), what, rest) : truth(what);
    if (yes == Keep) kept.push_back(item);
  }
  return x.list(std::move(kept), sequence_kind::iterator);
}

struct filter {
  std::string_view name;
  value (*apply)(execution&, value const&, arguments);
};
constexpr filter filters[] = {{"abs", f_abs},
                              {"batch", f_batch},
                              {"capitalize", f_text<capitalized>},
                              {"count", f_length},
                              {"d", f_default},
                              {"default", f_default},
                              {"dictsort", f_dictsort},
                              {"e", f_escape},
                              {"escape", f_escape},
                              {"first", f_first},
                              {"float", f_float},
                              {"format", f_format},
                              {"indent", f_indent},
                              {"int", f_int},
                              {"items", f_items},
                              {"join", f_join},
                              {"last", f_last},
                              {"length", f_length},
                              {"list", f_list},
                              {"lower", f_case<letter_case::lower>},
                              {"map", f_map},
                              {"max", f_extreme<1>},
                              {"min", f_extreme<-1>},
                              {"reject", f_select<false, false>},
                              {"rejectattr", f_select<false, true>},
                              {"replace", f_replace},
                              {"reverse", f_reverse},
                              {"round", f_round},
                              {"safe", f_safe},
                              {"select", f_select<true, false>},
                              {"selectattr", f_select<true, true>},
                              {"sort", f_sort},
                              {"string", f_string},
                              {"sum", f_sum},
                              {"title", f_text<title_filter>},
                              {"tojson", f_tojson},
                              {"trim", f_trim},
                              {"unique", f_unique},
                              {"upper", f_case<letter_case::upper>}};

}  // namespace

value apply_filter(execution& x, std::string const& name, value const& v, call_arguments const& a) {
  x.step();
  for (filter const& f : filters)
    if (f.name == name) {
      execution::level const deeper(x);  // map may apply map
      return f.apply(x, v, a);
    }
  std::string names;
  for (filter const& f : filters) names.append(names.empty() ? "" : ", ").append(f.name);
  x.fail(failure::unsupported, "unknown filter", in_quotes(name), "one of " + names);
}

}  // namespace tenon::engine::jinja
