#include "engine/text/template/to_json.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "engine/text/template/execution.hpp"
#include "engine/text/template/python_text.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine::jinja {
namespace {

class json_text {
 public:
  json_text(execution& x, json_style const& style) : x_(x), style_(style) {}
  marked_text take() { return std::move(to_); }

  void add(value const& v, int level) {
    execution::level const deeper(x_);
    x_.make(8);
    if (is<none_value>(v)) to_.append("null");
    else if (auto const* b = std::get_if<bool>(&v)) to_.append(*b ? "true" : "false");
    else if (auto const* i = std::get_if<std::int64_t>(&v)) to_.append(std::to_string(*i));
    else if (auto const* d = std::get_if<double>(&v)) to_.append(number(*d));
    else if (auto const* t = text_in(v)) string(*t);
    else if (auto const* m = mapping_in(v)) mapping(*m, level);
    else if (auto const* l = list_in(v); l && (l->kind == sequence_kind::list || l->kind == sequence_kind::tuple))
      items("[", "]", level, l->items.size(), [&](std::size_t k) { add(l->items[k], level + 1); });
    else x_.fail("this is no JSON", describe(v), "a string, a number, a list or a mapping");
  }

 private:
  static std::string number(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    return python_float(d);
  }

  void line(int level) {
    if (!style_.indent) return;
    x_.make(1 + style_.indent->size() * static_cast<std::size_t>(level));
    to_.append("\n");
    for (int i = 0; i < level; ++i) to_.append(*style_.indent);
  }

  template <class One>
  void items(char const* open, char const* close, int level, std::size_t count, One const& one) {
    to_.append(open);
    for (std::size_t i = 0; i < count; ++i) {
      x_.make(style_.comma.size());
      if (i > 0) to_.append(style_.comma);
      line(level + 1);
      one(i);
    }
    if (count > 0) line(level);
    to_.append(close);
  }

  void mapping(mapping_value const& m, int level) {
    std::vector<std::pair<value, value>> sorted;
    if (style_.sort_keys) {
      x_.make(m.size() * 2 * sizeof(value));
      sorted = m.entries();
      std::stable_sort(sorted.begin(), sorted.end(),
                       [&](auto const& a, auto const& b) { return order(x_, a.first, b.first) < 0; });
    }
    auto const& entries = style_.sort_keys ? sorted : m.entries();
    items("{", "}", level, entries.size(), [&](std::size_t k) {
      value const& key = entries[k].first;
      if (auto const* t = text_in(key)) string(*t);
      else {
        to_.append("\"");
        add(key, level + 1);
        to_.append("\"");
      }
      x_.make(style_.colon.size());
      to_.append(style_.colon);
      add(entries[k].second, level + 1);
    });
  }

  void string(marked_text const& t) {
    std::string const& s = t.bytes();
    x_.make(s.size());
    to_.append("\"");
    std::size_t plain = 0;  // what is written as it is, from here
    for (std::size_t at = 0; at < s.size();) {
      auto const        byte    = static_cast<unsigned char>(s[at]);
      std::size_t       length  = 1;
      std::string const escaped = byte < 0x7F ? escape_of(byte) : style_.ascii ? wide_escape(s, at, length) : "";
      if (!escaped.empty()) {
        x_.make(escaped.size());
        to_.append(t, plain, at);
        to_.append(escaped, t.origin(at));
        plain = at + length;
      }
      at += length;
    }
    to_.append(t, plain, s.size());
    to_.append("\"");
  }

  static std::string unit(unsigned code) {
    constexpr char digits[] = "0123456789abcdef";
    return {'\\', 'u', digits[code >> 12 & 15], digits[code >> 8 & 15], digits[code >> 4 & 15], digits[code & 15]};
  }
  static std::string escape_of(unsigned char byte) {
    switch (byte) {
      case '"': return "\\\"";
      case '\\': return "\\\\";
      case '\n': return "\\n";
      case '\r': return "\\r";
      case '\t': return "\\t";
      case '\b': return "\\b";
      case '\f': return "\\f";
      default: return byte < 0x20 ? unit(byte) : "";
    }
  }
  static std::string wide_escape(std::string const& s, std::size_t at, std::size_t& length) {
    auto const step     = next_utf8(std::string_view(s).substr(at));
    length              = step.length;
    unsigned const code = step.kind == utf8_kind::character ? static_cast<unsigned>(step.code) : 0xFFFD;
    return code < 0x10000 ? unit(code)
                          : unit(0xD800 + ((code - 0x10000) >> 10)) + unit(0xDC00 + ((code - 0x10000) & 0x3FF));
  }

  execution&        x_;
  json_style const& style_;
  marked_text       to_;
};

}  // namespace

marked_text to_json(execution& x, value const& v, json_style const& style) {
  json_text text(x, style);
  text.add(v, 0);
  return text.take();
}

}  // namespace tenon::engine::jinja
