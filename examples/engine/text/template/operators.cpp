#include "engine/text/template/operators.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/text/template/execution.hpp"
#include "engine/text/template/python_text.hpp"
#include "engine/text/template/text_functions.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine::jinja {

value undefined(std::string why) { return undefined_value{std::make_shared<std::string const>(std::move(why))}; }

namespace {

[[noreturn]] void fail_range(execution& x) {
  x.fail("an integer is out of range", "more than 64 bits", "one of 64 bits");
}
[[noreturn]] void fail_zero(execution& x) { x.fail("a division by zero", "0", "another number"); }

std::int64_t power(execution& x, std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  while (exponent > 0) {
    if (exponent % 2 == 1 && __builtin_mul_overflow(result, base, &result)) fail_range(x);
    exponent /= 2;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) fail_range(x);
  }
  return result;
}

/// Of integers; none: the result is no integer.
std::optional<value> whole(execution& x, std::string_view op, std::int64_t a, std::int64_t b) {
  std::int64_t r    = 0;
  bool         over = false;
  if (op == "+") over = __builtin_add_overflow(a, b, &r);
  else if (op == "-") over = __builtin_sub_overflow(a, b, &r);
  else if (op == "*") over = __builtin_mul_overflow(a, b, &r);
  else if (op == "//" || op == "%") {
    if (b == 0) fail_zero(x);
    if (b == -1) {  // the one quotient that does not fit
      if (op == "%") return value(std::int64_t{0});
      over = __builtin_sub_overflow(std::int64_t{0}, a, &r);
    } else {
      std::int64_t const q = a / b, rest = a % b;
      bool const         down = rest != 0 && (rest < 0) != (b < 0);
      r                       = op == "%" ? rest + (down ? b : 0) : q - (down ? 1 : 0);
    }
  } else if (op == "**" && b >= 0) {
    if (a == 0 || a == 1) r = b == 0 ? 1 : a;
    else if (a == -1) r = b % 2 == 0 ? 1 : -1;
    else r = power(x, a, b);
  } else {
    return std::nullopt;
  }
  if (over) fail_range(x);
  return value(r);
}

double real(execution& x, std::string_view op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") {
    if (a == 0 && b < 0) fail_zero(x);
    double const r = std::pow(a, b);
    if ((std::isnan(r) && !std::isnan(a) && !std::isnan(b)) || (std::isinf(r) && std::isfinite(a) && std::isfinite(b)))
      x.fail("a power is no number", python_float(a) + " ** " + python_float(b), "a finite one");
    return r;
  }
  if (b == 0) fail_zero(x);
  if (op == "/") return a / b;
  double rest = std::fmod(a, b);
  double q    = (a - rest) / b;
  if (rest != 0) {
    if ((b < 0) != (rest < 0)) rest += b, q -= 1;
  } else {
    rest = std::copysign(0.0, b);
  }
  if (op == "%") return rest;
  if (q == 0) return std::copysign(0.0, a / b);
  double const down = std::floor(q);
  return q - down > 0.5 ? down + 1 : down;
}

value repeated(execution& x, value const& what, std::int64_t times) {
  auto const n = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
  if (auto const* t = text_in(what)) {
    x.make(n, t->size());
    marked_text all;
    for (std::size_t i = 0; i < n && !t->empty(); ++i) all.append(*t);
    return x.text(std::move(all));
  }
  auto const& l = *list_in(what);
  x.make(n, l.items.size() * sizeof(value));
  std::vector<value> all;
  for (std::size_t i = 0; i < n && !l.items.empty(); ++i) all.insert(all.end(), l.items.begin(), l.items.end());
  return x.list(std::move(all), l.kind);
}

bool is_list(value const& v, sequence_kind kind) { return list_in(v) && list_in(v)->kind == kind; }
bool is_repeatable(value const& v) {
  return text_in(v) || is_list(v, sequence_kind::list) || is_list(v, sequence_kind::tuple);
}

}  // namespace

value arithmetic(execution& x, std::string_view op, value const& a, value const& b) {
  x.step();
  if (is<undefined_value>(a)) x.fail_undefined(a);
  std::int64_t i = 0, j = 0;
  double       p = 0, q = 0;
  if (op == "%")
    if (auto const* t = text_in(a)) return x.text(formatted(x, *t, b));
  if (is<undefined_value>(b)) x.fail_undefined(b);
  if (integer_in(a, i) && integer_in(b, j)) {
    if (auto r = whole(x, op, i, j)) return *r;
  }
  if (number_in(a, p) && number_in(b, q)) return real(x, op, p, q);
  if (op == "+") {
    if (auto const* s = text_in(a), *t = text_in(b); s && t) {
      marked_text joined = *s;
      joined.append(*t);
      return x.text(std::move(joined));
    }
    for (sequence_kind const kind : {sequence_kind::list, sequence_kind::tuple})
      if (is_list(a, kind) && is_list(b, kind)) {
        x.make((list_in(a)->items.size() + list_in(b)->items.size()) * sizeof(value));
        std::vector<value> items = list_in(a)->items;
        items.insert(items.end(), list_in(b)->items.begin(), list_in(b)->items.end());
        return x.list(std::move(items), kind);
      }
  }
  if (op == "*") {
    if (is_repeatable(a) && integer_in(b, j)) return repeated(x, a, j);
    if (is_repeatable(b) && integer_in(a, i)) return repeated(x, b, i);
  }
  x.fail("operands do not fit " + in_quotes(op), describe(a) + " and " + describe(b),
         op == "+" ? "two numbers, two strings or two lists" : "two numbers");
}

value negative(execution& x, value const& a) {
  std::int64_t i = 0;
  if (is<undefined_value>(a)) x.fail_undefined(a);
  if (integer_in(a, i)) return *whole(x, "-", 0, i);
  if (auto const* d = std::get_if<double>(&a)) return -*d;
  x.fail("this has no negative", describe(a), "a number");
}

namespace {

template <std::size_t N>
bool is_one(std::array<std::string_view, N> const& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

constexpr std::array<std::string_view, 21> text_methods = {
    "strip",    "lstrip", "rstrip", "split",        "rsplit",       "splitlines", "startswith",
    "endswith", "upper",  "lower",  "title",        "capitalize",   "replace",    "join",
    "find",     "rfind",  "count",  "removeprefix", "removesuffix", "isdigit",    "index"};
constexpr std::array<std::string_view, 4> mapping_methods = {"get", "items", "keys", "values"};
constexpr std::array<std::string_view, 2> list_methods    = {"index", "count"};
/// What changes a list or a mapping, which templates may not.
constexpr std::array<std::string_view, 13> changing = {"append",     "clear",  "extend",  "insert", "pop",
                                                       "popitem",    "remove", "reverse", "sort",   "update",
                                                       "setdefault", "add",    "discard"};

value method(execution& x, value const& self, std::string_view name) {
  x.make(sizeof(function_value));
  return std::make_shared<function_value const>(function_value{std::string(name), self});
}

value attribute_of_loop(execution& x, loop_value const& l, value const& self, std::string_view name) {
  auto const  number = [](std::size_t n) { return value(static_cast<std::int64_t>(n)); };
  auto const& items  = *l.items;
  if (name == "index") return number(l.index + 1);
  if (name == "index0") return number(l.index);
  if (name == "revindex") return number(items.size() - l.index);
  if (name == "revindex0") return number(items.size() - l.index - 1);
  if (name == "first") return l.index == 0;
  if (name == "last") return l.index + 1 == items.size();
  if (name == "length") return number(items.size());
  if (name == "previtem") return l.index > 0 ? items[l.index - 1] : undefined("there is no previous item");
  if (name == "nextitem") return l.index + 1 < items.size() ? items[l.index + 1] : undefined("there is no next item");
  if (name == "depth") return number(1);  // loops within each other do not count, but recursive ones
  if (name == "depth0") return number(0);
  if (name == "cycle") return method(x, self, name);
  return undefined("loop has no " + in_quotes(name));
}

}  // namespace

value attribute_of(execution& x, value const& obj, std::string_view name) {
  x.read(name.size());
  if (is<undefined_value>(obj)) x.fail_undefined(obj);
  if (name.starts_with('_')) return undefined("access to " + in_quotes(name) + ", which is refused");
  if (auto const* t = text_in(obj); t && is_one(text_methods, name)) return method(x, obj, name);
  if (auto const* m = mapping_in(obj)) {
    if (is_one(mapping_methods, name)) return method(x, obj, name);
    if (is_one(changing, name)) return undefined(in_quotes(name) + ", which changes a mapping");
    if (value const* v = m->find(name)) return *v;
  }
  if (auto const* l = list_in(obj)) {
    if (is_one(list_methods, name) && l->kind != sequence_kind::iterator && l->kind != sequence_kind::view)
      return method(x, obj, name);
    if (is_one(changing, name)) return undefined(in_quotes(name) + ", which changes a list");
  }
  if (auto const* n = std::get_if<namespace_ptr>(&obj))
    if (value const* v = (*n)->attributes.find(name)) return *v;
  if (auto const* l = std::get_if<loop_ptr>(&obj)) return attribute_of_loop(x, **l, obj, name);
  return undefined(describe(obj) + " has no " + in_quotes(name));
}

value item_of(execution& x, value const& obj, value const& key) {
  x.step();
  if (is<undefined_value>(obj)) x.fail_undefined(obj);
  std::int64_t i = 0;
  if (auto const* m = mapping_in(obj))
    if (value const* v = m->find(x, key)) return *v;
  if (integer_in(key, i)) {
    if (auto const* l = list_in(obj); l && l->kind != sequence_kind::iterator && l->kind != sequence_kind::view) {
      auto const size = static_cast<std::int64_t>(l->items.size());
      if (i < 0) i += size;
      if (i >= 0 && i < size) return l->items[static_cast<std::size_t>(i)];
    }
    if (auto const* t = text_in(obj)) {
      auto const size = static_cast<std::int64_t>(length_of(x, obj));
      if (i < 0) i += size;
      if (i >= 0 && i < size) {
        std::size_t at   = 0;
        auto const  step = [&] { return next_utf8(std::string_view(t->bytes()).substr(at)).length; };
        for (; i > 0; --i) at += step();
        return x.text(t->part(at, at + step()));
      }
    }
  } else if (auto const* name = text_in(key)) {
    return attribute_of(x, obj, name->bytes());
  }
  return undefined(describe(obj) + " has no item " + describe(key));
}

value slice_of(execution& x, value const& obj, std::optional<value> const& begin, std::optional<value> const& end,
               std::optional<value> const& step) {
  if (is<undefined_value>(obj)) x.fail_undefined(obj);
  auto const* t = text_in(obj);
  auto const* l = list_in(obj);
  if (!t && (!l || l->kind == sequence_kind::iterator || l->kind == sequence_kind::view))
    x.fail("this cannot be cut", describe(obj), "a string or a list");
  auto const bound = [&](std::optional<value> const& v, std::int64_t& to) {
    if (!v || is<none_value>(*v)) return false;
    if (!integer_in(*v, to)) x.fail("wrong bound of a slice", describe(*v), "an integer");
    return true;
  };
  // PySlice_AdjustIndices
  std::int64_t const size = static_cast<std::int64_t>(length_of(x, obj));
  std::int64_t       by = 1, from = 0, to = 0;
  if (bound(step, by) && by == 0) x.fail("wrong step of a slice", "0", "another number");
  by               = std::clamp<std::int64_t>(by, -size - 1, size + 1);
  auto const limit = [&](std::int64_t v) {
    if (v < 0) v = v < -size ? -1 - (by < 0 ? 0 : -1) : v + size;  // before the beginning
    else if (v >= size) v = by < 0 ? size - 1 : size;
    return v;
  };
  from = bound(begin, from) ? limit(from) : by < 0 ? size - 1 : 0;
  to   = bound(end, to) ? limit(to) : by < 0 ? -1 : size;

  if (t) {
    std::vector<std::size_t> starts;  // of characters
    x.make(t->size() * sizeof(std::size_t));
    for (std::size_t at = 0; at < t->size(); at += next_utf8(std::string_view(t->bytes()).substr(at)).length)
      starts.push_back(at);
    starts.push_back(t->size());
    marked_text cut;
    if (by == 1) {
      if (from < to) cut = t->part(starts[static_cast<std::size_t>(from)], starts[static_cast<std::size_t>(to)]);
    } else {
      for (std::int64_t i = from; by > 0 ? i < to : i > to; i += by)
        cut.append(*t, starts[static_cast<std::size_t>(i)], starts[static_cast<std::size_t>(i) + 1]);
    }
    return x.text(std::move(cut));
  }
  std::vector<value> items;
  for (std::int64_t i = from; by > 0 ? i < to : i > to; i += by) items.push_back(l->items[static_cast<std::size_t>(i)]);
  return x.list(std::move(items), l->kind);
}

}  // namespace tenon::engine::jinja
