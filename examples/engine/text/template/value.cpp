#include "engine/text/template/value.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/text/template/execution.hpp"
#include "engine/text/template/python_text.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine::jinja {

namespace {

/// The integer that a number is, also where it is written as a float.
std::optional<std::int64_t> whole(double v) {
  bool const fits = v >= -0x1p63 && v < 0x1p63 && v == std::floor(v);
  return fits ? std::optional(static_cast<std::int64_t>(v)) : std::nullopt;
}
std::optional<std::int64_t> whole(value const& v) {
  std::int64_t i = 0;
  if (integer_in(v, i)) return i;
  auto const* d = std::get_if<double>(&v);
  return d ? whole(*d) : std::nullopt;
}

void read_key(execution& x, value const& key) {
  auto const* t = text_in(key);
  x.read(t ? t->size() : 0);
}

}  // namespace

std::size_t mapping_value::place_of(value const& key) const {
  auto const in = [&](auto const& places, auto const& one) {
    auto const at = places.find(one);
    return at == places.end() ? size() : at->second;
  };
  if (auto const* t = text_in(key)) return in(texts_, std::string_view(t->bytes()));
  if (auto const i = whole(key)) return in(integers_, *i);
  if (auto const* d = std::get_if<double>(&key); d && is_key(key)) return in(reals_, *d);
  return is<none_value>(key) && none_ != no_place ? none_ : size();
}

value const* mapping_value::find(std::string_view key) const {
  auto const at = texts_.find(key);
  return at == texts_.end() ? nullptr : &entries_[at->second].second;
}

value const* mapping_value::find(execution& x, value const& key) const {
  read_key(x, key);
  std::size_t const at = place_of(key);
  return at == size() ? nullptr : &entries_[at].second;
}

void mapping_value::set(execution& x, value key, value v) {
  read_key(x, key);
  std::size_t const at = place_of(key);
  if (at < size()) {
    entries_[at].second = std::move(v);
    return;
  }
  if (auto const* t = text_in(key)) texts_.emplace(t->bytes(), at);
  else if (auto const i = whole(key)) integers_.emplace(*i, at);
  else if (auto const* d = std::get_if<double>(&key)) reals_.emplace(*d, at);
  else none_ = at;
  entries_.emplace_back(std::move(key), std::move(v));
}

bool truth(value const& v) {
  if (auto const* b = std::get_if<bool>(&v)) return *b;
  if (auto const* i = std::get_if<std::int64_t>(&v)) return *i != 0;
  if (auto const* d = std::get_if<double>(&v)) return *d != 0;
  if (auto const* t = text_in(v)) return !t->empty();
  if (auto const* l = list_in(v)) return l->kind == sequence_kind::iterator || !l->items.empty();
  if (auto const* m = mapping_in(v)) return m->size() > 0;
  return !is<undefined_value>(v) && !is<none_value>(v);
}

int depth_of(value const& v) {
  if (auto const* l = list_in(v)) return l->depth;
  if (auto const* m = mapping_in(v)) return m->depth;
  if (auto const* l = std::get_if<loop_ptr>(&v)) return (*l)->depth + 1;
  if (auto const* f = std::get_if<function_ptr>(&v)) return (*f)->self ? depth_of(*(*f)->self) + 1 : 0;
  return 0;
}

std::string describe(value const& v) {
  static constexpr char const* names[] = {"nothing", "none",      "a boolean",   "an integer", "a number",  "a string",
                                          "a list",  "a mapping", "a namespace", "loop",       "a function"};
  if (auto const* u = std::get_if<undefined_value>(&v)) return u->why ? *u->why : "an undefined value";
  if (auto const* t = text_in(v)) return in_quotes(t->bytes());
  if (auto const* b = std::get_if<bool>(&v)) return *b ? "true" : "false";
  if (auto const* i = std::get_if<std::int64_t>(&v)) return std::to_string(*i);
  if (auto const* d = std::get_if<double>(&v)) return python_float(*d);
  return names[v.index()];
}

bool integer_in(value const& v, std::int64_t& to) {
  if (auto const* b = std::get_if<bool>(&v)) return to = *b, true;
  if (auto const* i = std::get_if<std::int64_t>(&v)) return to = *i, true;
  return false;
}

bool number_in(value const& v, double& to) {
  std::int64_t i = 0;
  if (integer_in(v, i)) return to = static_cast<double>(i), true;
  if (auto const* d = std::get_if<double>(&v)) return to = *d, true;
  return false;
}

bool is_key(value const& v) {
  double d = 0;
  return text_in(v) || is<none_value>(v) || (number_in(v, d) && d == d);
}

namespace {

/// -1, 0 or 1; 2 where one is not a number. Exact also beyond 2^53.
int order_of_numbers(value const& a, value const& b) {
  double p = 0, q = 0;
  if (!number_in(a, p) || !number_in(b, q)) return 2;
  if (p != q || p != p) return p < q ? -1 : p > q ? 1 : 2;
  auto const i = whole(a), j = whole(b);  // an integer may have been rounded to the other one
  if (i && j) return *i < *j ? -1 : *i > *j;
  return i ? -1 : j ? 1 : 0;  // or to 2^63, which is none of 64 bits
}

bool is_number(value const& v) {
  double d = 0;
  return number_in(v, d);
}

/// list and tuple are never equal; ranges are lists here, views and iterators only themselves.
bool comparable(list_value const& a, list_value const& b) {
  return a.kind == b.kind &&
         (a.kind == sequence_kind::list || a.kind == sequence_kind::tuple || a.kind == sequence_kind::range);
}

}  // namespace

bool equal(execution& x, value const& a, value const& b) {
  x.step();
  if (is_number(a) && is_number(b)) return order_of_numbers(a, b) == 0;
  if (a.index() != b.index()) return false;
  if (auto const* t = text_in(a)) {
    x.read(std::min(t->size(), text_in(b)->size()));
    return t->bytes() == text_in(b)->bytes();
  }
  if (auto const* l = list_in(a)) {
    auto const* m = list_in(b);
    if (l == m) return true;
    if (!comparable(*l, *m) || l->items.size() != m->items.size()) return false;
    for (std::size_t i = 0; i < l->items.size(); ++i)
      if (!equal(x, l->items[i], m->items[i])) return false;
    return true;
  }
  if (auto const* m = mapping_in(a)) {
    auto const* n = mapping_in(b);
    if (m == n) return true;
    if (m->size() != n->size()) return false;
    for (auto const& [key, v] : m->entries()) {
      value const* other = n->find(x, key);
      if (other == nullptr || !equal(x, v, *other)) return false;
    }
    return true;
  }
  if (auto const* n = std::get_if<namespace_ptr>(&a)) return *n == std::get<namespace_ptr>(b);
  if (auto const* l = std::get_if<loop_ptr>(&a)) return *l == std::get<loop_ptr>(b);
  if (auto const* f = std::get_if<function_ptr>(&a)) return *f == std::get<function_ptr>(b);
  return true;  // none, undefined
}

int order(execution& x, value const& a, value const& b) {
  x.step();
  if (is<undefined_value>(a)) x.fail_undefined(a);
  if (is<undefined_value>(b)) x.fail_undefined(b);
  if (is_number(a) && is_number(b)) return order_of_numbers(a, b);
  if (auto const* s = text_in(a), *t = text_in(b); s && t) {
    x.read(std::min(s->size(), t->size()));
    int const c = s->bytes().compare(t->bytes());  // UTF-8 has the order of code points
    return c < 0 ? -1 : c > 0;
  }
  if (auto const* l = list_in(a), *m = list_in(b); l && m && comparable(*l, *m) && l->kind != sequence_kind::range) {
    for (std::size_t i = 0; i < std::min(l->items.size(), m->items.size()); ++i)
      if (!equal(x, l->items[i], m->items[i])) return order(x, l->items[i], m->items[i]);
    return l->items.size() < m->items.size() ? -1 : l->items.size() > m->items.size();
  }
  x.fail("these have no order", describe(a) + " and " + describe(b), "two numbers or two strings");
}

bool contains(execution& x, value const& within, value const& v) {
  if (auto const* t = text_in(within)) {
    auto const* part = text_in(v);
    if (is<undefined_value>(v)) x.fail_undefined(v);
    if (part == nullptr) x.fail("only a string can be in a string", describe(v), "a string");
    x.read(t->size());
    return find_bytes(x, t->bytes(), part->bytes(), 0) != std::string::npos;
  }
  if (auto const* m = mapping_in(within)) {
    if (list_in(v) || mapping_in(v)) x.fail("this cannot be a key", describe(v), "a string or a number");
    return m->find(x, v) != nullptr;
  }
  if (is<undefined_value>(within)) return false;
  if (auto* l = list_in(within)) {
    std::size_t& next = l->next;
    for (std::size_t i = l->kind == sequence_kind::iterator ? next : 0; i < l->items.size(); ++i) {
      if (l->kind == sequence_kind::iterator) next = i + 1;
      if (equal(x, l->items[i], v)) return true;
    }
    return false;
  }
  x.fail("nothing can be in this", describe(within), "a list, a mapping or a string");
}

std::vector<value> items_of(execution& x, value const& v) {
  std::vector<value> items;
  if (auto* l = list_in(v)) {
    auto const first = static_cast<std::ptrdiff_t>(l->kind == sequence_kind::iterator ? l->next : 0);
    x.make((l->items.size() - static_cast<std::size_t>(first)) * sizeof(value));
    items.assign(l->items.begin() + first, l->items.end());
    l->next = l->items.size();
  } else if (auto const* m = mapping_in(v)) {
    x.make(m->size() * sizeof(value));
    for (auto const& [key, entry] : m->entries()) items.push_back(key);
  } else if (auto const* t = text_in(v)) {
    for (std::size_t at = 0; at < t->size();) {
      std::size_t const n = next_utf8(std::string_view(t->bytes()).substr(at)).length;
      x.make(sizeof(value));
      items.push_back(x.text(t->part(at, at + n)));
      at += n;
    }
  } else if (!is<undefined_value>(v)) {
    x.fail("this has no items", describe(v), "a list, a mapping or a string");
  }
  return items;
}

std::size_t length_of(execution& x, value const& v) {
  if (auto const* t = text_in(v)) {
    x.read(t->size());
    return characters_in(t->bytes());
  }
  if (auto const* l = list_in(v); l && l->kind != sequence_kind::iterator) return l->items.size();
  if (auto const* m = mapping_in(v)) return m->size();
  if (auto const* l = std::get_if<loop_ptr>(&v)) return (*l)->items->size();
  if (is<undefined_value>(v)) return 0;
  x.fail("this has no length", describe(v), "a list, a mapping or a string");
}

}  // namespace tenon::engine::jinja
