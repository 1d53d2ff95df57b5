#include "engine/text/template/python_text.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

#include "engine/text/linear_find.hpp"
#include "engine/text/template/execution.hpp"
#include "engine/text/unicode_case.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine::jinja {

std::string python_float(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v < 0 ? "-inf" : "inf";
  char        buffer[40];
  auto const  end = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific).ptr;
  std::string all(buffer, end);  // d.ddde[+-]dd
  std::string sign;
  if (all[0] == '-') sign = "-", all.erase(0, 1);
  auto const  e        = all.find('e');
  int const   exponent = std::stoi(all.substr(e + 1));
  std::string digits   = all.substr(0, e);
  std::erase(digits, '.');
  auto const count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    if (count > 1) digits.insert(1, ".");
    std::string const power = std::to_string(std::abs(exponent));
    return sign + digits + (exponent < 0 ? "e-" : "e+") + (power.size() < 2 ? "0" : "") + power;
  }
  if (exponent < 0) return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1)
    return sign + digits + std::string(static_cast<std::size_t>(exponent + 1 - count), '0') + ".0";
  return sign + digits.insert(static_cast<std::size_t>(exponent + 1), ".");
}

std::size_t characters_in(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count)
    at += static_cast<unsigned char>(text[at]) < 0x80 ? 1 : next_utf8(text.substr(at)).length;
  return count;
}

std::size_t find_bytes(execution& x, std::string_view text, std::string_view part, std::size_t from) {
  if (from > text.size()) return std::string::npos;
  if (part.empty()) return from;
  if (text.size() - from < part.size()) return std::string::npos;
  std::size_t const at = linear_find(text, part, from);
  x.read(std::min(at, text.size()) - from + part.size());
  return at;
}

namespace {

/// Of characters that repr() escapes.
std::string escape_of(char32_t code) {
  constexpr char digits[] = "0123456789abcdef";
  std::string    text     = code < 0x100 ? "\\x" : code < 0x10000 ? "\\u" : "\\U";
  for (int shift = code < 0x100 ? 4 : code < 0x10000 ? 12 : 28; shift >= 0; shift -= 4)
    text += digits[(code >> shift) & 15];
  return text;
}

void append_string_repr(execution& x, marked_text& to, marked_text const& t) {
  std::string const& s     = t.bytes();
  char const         quote = s.find('\'') != std::string::npos && s.find('"') == std::string::npos ? '"' : '\'';
  x.make(s.size() + 2);
  to.append(std::string_view(&quote, 1));
  std::size_t plain = 0;  // what is written as it is, from here
  for (std::size_t at = 0; at < s.size();) {
    auto const  step = next_utf8(std::string_view(s).substr(at));
    std::string escaped;
    if (s[at] == '\\' || s[at] == quote) escaped = std::string("\\") + s[at];
    else if (s[at] == '\n') escaped = "\\n";
    else if (s[at] == '\r') escaped = "\\r";
    else if (s[at] == '\t') escaped = "\\t";
    else if (step.kind == utf8_kind::character && !is_printable(step.code)) escaped = escape_of(step.code);
    if (!escaped.empty()) {
      x.make(escaped.size());
      to.append(t, plain, at);
      to.append(escaped, t.origin(at));
      plain = at + step.length;
    }
    at += step.length;
  }
  to.append(t, plain, s.size());
  to.append(std::string_view(&quote, 1));
}

void append_items(execution& x, marked_text& to, std::vector<value> const& items, char const* open, char const* close) {
  to.append(open);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) to.append(", ");
    append_repr(x, to, items[i]);
  }
  to.append(close);
}

void append_mapping(execution& x, marked_text& to, mapping_value const& m) {
  to.append("{");
  for (std::size_t i = 0; i < m.size(); ++i) {
    if (i > 0) to.append(", ");
    append_repr(x, to, m.entries()[i].first);
    to.append(": ");
    append_repr(x, to, m.entries()[i].second);
  }
  to.append("}");
}

}  // namespace

void append_repr(execution& x, marked_text& to, value const& v) {
  execution::level const deeper(x);
  x.make(8);
  if (is<undefined_value>(v)) to.append("Undefined");
  else if (is<none_value>(v)) to.append("None");
  else if (auto const* b = std::get_if<bool>(&v)) to.append(*b ? "True" : "False");
  else if (auto const* i = std::get_if<std::int64_t>(&v)) to.append(std::to_string(*i));
  else if (auto const* d = std::get_if<double>(&v)) to.append(python_float(*d));
  else if (auto const* t = text_in(v)) append_string_repr(x, to, *t);
  else if (auto const* m = mapping_in(v)) {
    append_mapping(x, to, *m);
  } else if (auto const* n = std::get_if<namespace_ptr>(&v)) {
    to.append("<Namespace ");
    append_mapping(x, to, (*n)->attributes);
    to.append(">");
  } else if (auto const* l = list_in(v)) {
    switch (l->kind) {
      case sequence_kind::list: append_items(x, to, l->items, "[", "]"); break;
      case sequence_kind::tuple: append_items(x, to, l->items, "(", l->items.size() == 1 ? ",)" : ")"); break;
      case sequence_kind::view:
      case sequence_kind::range:
      case sequence_kind::iterator:
        x.fail("this cannot be written", "a range, a view or what a filter gives one by one", "a list: add |list");
    }
  } else {
    x.fail("this cannot be written", describe(v), "a string, a number, a list or a mapping");
  }
}

marked_text to_text(execution& x, value const& v) {
  if (auto const* t = text_in(v)) return x.read(t->size()), *t;
  marked_text to;
  if (!is<undefined_value>(v)) append_repr(x, to, v);
  return to;
}

}  // namespace tenon::engine::jinja
