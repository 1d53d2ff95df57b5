#include "engine/text/template/text_functions.hpp"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>

#include "engine/text/template/execution.hpp"
#include "engine/text/template/lexer.hpp"
#include "engine/text/template/python_text.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine::jinja {
namespace {

/// Calls f(begin, end, code) for each character; what is no UTF-8 is characters of its own, of code U+FFFD.
template <class F>
void each_character(std::string_view text, F const& f) {
  for (std::size_t at = 0; at < text.size();) {
    auto const step = next_utf8(text.substr(at));
    f(at, at + step.length, step.kind == utf8_kind::character ? step.code : char32_t{0xFFFD});
    at += step.length;
  }
}

void append_in_case(marked_text& to, marked_text const& from, std::size_t begin, std::size_t end, char32_t code,
                    letter_case how) {
  if (next_utf8(std::string_view(from.bytes()).substr(begin, end - begin)).kind != utf8_kind::character)
    return to.append(from, begin, end);
  std::string changed;
  engine::append_in_case(changed, code, how);
  to.append(changed, from.origin(begin));
}

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

std::string reversed(std::string_view text) { return {text.rbegin(), text.rend()}; }

}  // namespace

marked_text stripped(execution& x, marked_text const& t, std::optional<std::string_view> set, text_sides sides) {
  x.read(t.size());
  std::string_view const s     = t.bytes();
  std::size_t            begin = 0, end = s.size();
  if (!set) {
    if (sides.left) begin = leading_space(s);
    if (sides.right) end -= trailing_space(s.substr(begin));
    return t.part(begin, end);
  }
  std::vector<std::string_view> characters;
  x.make(set->size() * sizeof characters[0]);
  each_character(*set, [&](std::size_t b, std::size_t e, char32_t) { characters.push_back(set->substr(b, e - b)); });
  std::sort(characters.begin(), characters.end());
  auto const has = [&](std::string_view one) { return std::binary_search(characters.begin(), characters.end(), one); };
  while (sides.left && begin < end) {
    std::size_t const length = next_utf8(s.substr(begin)).length;
    if (!has(s.substr(begin, length))) break;
    begin += length;
  }
  while (sides.right && begin < end) {
    std::size_t const length = last_utf8(s.substr(begin, end - begin)).length;
    if (!has(s.substr(end - length, length))) break;
    end -= length;
  }
  x.step((begin + s.size() - end) / 8);  // a search each
  return t.part(begin, end);
}

namespace {

void add(execution& x, std::vector<marked_text>& parts, marked_text part) {
  x.make(sizeof(marked_text));
  parts.push_back(std::move(part));
}

/// At white space, from the left.
std::vector<marked_text> split_at_space(execution& x, marked_text const& t, std::int64_t cuts) {
  std::vector<marked_text> parts;
  std::string_view const   s  = t.bytes();
  std::size_t              at = leading_space(s);
  while (at < s.size()) {
    if (cuts >= 0 && static_cast<std::int64_t>(parts.size()) == cuts) {
      add(x, parts, t.part(at, s.size()));
      break;
    }
    std::size_t end = at;
    while (end < s.size() && leading_space(s.substr(end, 4)) == 0) end += next_utf8(s.substr(end)).length;
    add(x, parts, t.part(at, end));
    at = end + leading_space(s.substr(end));
  }
  return parts;
}

/// The same from the right; parts in the order of the text.
std::vector<marked_text> split_at_space_from_right(execution& x, marked_text const& t, std::int64_t cuts) {
  std::vector<marked_text> parts;
  std::string_view const   s   = t.bytes();
  std::size_t              end = s.size() - trailing_space(s);
  while (end > 0) {
    if (cuts >= 0 && static_cast<std::int64_t>(parts.size()) == cuts) {
      add(x, parts, t.part(0, end));
      break;
    }
    std::size_t begin = end;
    while (begin > 0 &&
           trailing_space(s.substr(begin - std::min<std::size_t>(begin, 4), std::min<std::size_t>(begin, 4))) == 0)
      --begin;
    add(x, parts, t.part(begin, end));
    end = begin - trailing_space(s.substr(0, begin));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace

std::vector<marked_text> split(execution& x, marked_text const& t, std::optional<std::string_view> separator,
                               std::int64_t cuts, bool from_right) {
  x.make(t.size());
  if (!separator) return from_right ? split_at_space_from_right(x, t, cuts) : split_at_space(x, t, cuts);
  if (separator->empty()) x.fail("an empty separator", "\"\"", "a text");
  std::vector<marked_text> parts;
  std::string const        text = from_right ? reversed(t.bytes()) : t.bytes(),
                    part        = from_right ? reversed(*separator) : std::string(*separator);
  std::size_t at                = 0;
  auto const  add_part          = [&](std::size_t begin, std::size_t end) {
    add(x, parts, from_right ? t.part(t.size() - end, t.size() - begin) : t.part(begin, end));
  };
  while (cuts < 0 || static_cast<std::int64_t>(parts.size()) < cuts) {
    std::size_t const found = find_bytes(x, text, part, at);
    if (found == std::string::npos) break;
    add_part(at, found);
    at = found + part.size();
  }
  add_part(at, text.size());
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<marked_text> split_lines(execution& x, marked_text const& t, bool keep_ends) {
  x.make(t.size());
  std::vector<marked_text> lines;
  std::size_t              from = 0;
  std::string_view const   s    = t.bytes();
  each_character(s, [&](std::size_t begin, std::size_t end, char32_t code) {
    if (begin < from || !is_line_end(code)) return;
    if (code == '\r' && end < s.size() && s[end] == '\n') ++end;
    add(x, lines, t.part(from, keep_ends ? end : begin));
    from = end;
  });
  if (from < s.size()) add(x, lines, t.part(from, s.size()));
  return lines;
}

marked_text replaced(execution& x, marked_text const& t, std::string_view old, marked_text const& by,
                     std::int64_t times) {
  marked_text result;
  std::size_t at    = 0;
  auto const  again = [&] { return times < 0 || times-- > 0; };
  x.make(t.size());
  if (old.empty()) {
    each_character(t.bytes(), [&](std::size_t begin, std::size_t end, char32_t) {
      if (again()) x.make(by.size()), result.append(by);
      else times = 0;
      result.append(t, begin, end);
    });
    if (again()) result.append(by);
    return result;
  }
  while (again()) {
    std::size_t const found = find_bytes(x, t.bytes(), old, at);
    if (found == std::string::npos) break;
    x.make(by.size());
    result.append(t, at, found);
    result.append(by);
    at = found + old.size();
  }
  result.append(t, at, t.size());
  return result;
}

marked_text in_case(execution& x, marked_text const& t, letter_case to) {
  x.make(t.size());
  marked_text result;
  each_character(t.bytes(), [&](std::size_t begin, std::size_t end, char32_t code) {
    append_in_case(result, t, begin, end, code, to);
  });
  return result;
}

marked_text capitalized(execution& x, marked_text const& t) {
  x.make(t.size());
  marked_text result;
  each_character(t.bytes(), [&](std::size_t begin, std::size_t end, char32_t code) {
    append_in_case(result, t, begin, end, code, begin == 0 ? letter_case::title : letter_case::lower);
  });
  return result;
}

marked_text titled(execution& x, marked_text const& t) {
  x.make(t.size());
  marked_text result;
  bool        within = false;  // a word
  each_character(t.bytes(), [&](std::size_t begin, std::size_t end, char32_t code) {
    append_in_case(result, t, begin, end, code, within ? letter_case::lower : letter_case::title);
    within = is_cased(code);
  });
  return result;
}

marked_text title_filter(execution& x, marked_text const& t) {
  x.make(t.size());
  marked_text result;
  bool        begins = true;  // a word, behind one of -({[< or white space
  each_character(t.bytes(), [&](std::size_t begin, std::size_t end, char32_t code) {
    bool const between =
        code == '-' || code == '(' || code == '{' || code == '[' || code == '<' || is_python_space(code);
    append_in_case(result, t, begin, end, code, begins && !between ? letter_case::upper : letter_case::lower);
    begins = between;
  });
  return result;
}

std::size_t rfind_bytes(execution& x, std::string_view text, std::string_view part) {
  if (part.empty()) return text.size();
  x.make(text.size() + part.size());
  std::size_t const found = find_bytes(x, reversed(text), reversed(part), 0);
  return found == std::string::npos ? found : text.size() - found - part.size();
}

marked_text indented(execution& x, marked_text const& t, marked_text const& by, bool first, bool blank) {
  marked_text text = t;
  text.append("\n");
  marked_text result;
  auto const  lines = split_lines(x, text, false);
  x.make(t.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) result.append("\n");
    if (i == 0 ? first : blank || !lines[i].empty()) x.make(by.size()), result.append(by);
    result.append(lines[i]);
  }
  return result;
}

// ----------------------------------------------------------------------------------------------------------------------
// formatting

namespace {

struct conversion {
  bool        left = false, zero = false, plus = false, space = false;
  std::size_t width     = 0;
  int         precision = -1;
  char        what      = 's';
};

/// Of what stands behind a %; `at` is then behind it.
conversion conversion_at(execution& x, std::string_view f, std::size_t& at) {
  conversion c;
  for (; at < f.size(); ++at) {
    if (f[at] == '-') c.left = true;
    else if (f[at] == '0') c.zero = true;
    else if (f[at] == '+') c.plus = true;
    else if (f[at] == ' ') c.space = true;
    else break;
  }
  auto const number = [&] {
    std::size_t n = 0;
    for (; at < f.size() && f[at] >= '0' && f[at] <= '9'; ++at) {
      n = n * 10 + static_cast<std::size_t>(f[at] - '0');
      if (n > 10000) x.fail("a width is too large", "more than 10000", "at most that");
    }
    return n;
  };
  c.width = number();
  if (at < f.size() && f[at] == '.') ++at, c.precision = static_cast<int>(number());
  if (at >= f.size()) x.fail("a format ends within a %", in_quotes(f), "a letter");
  c.what = f[at++];
  return c;
}

std::string formatted_number(execution& x, conversion const& c, value const& v) {
  double       d = 0;
  std::int64_t i = 0;
  if (!number_in(v, d)) x.fail("a format needs a number", describe(v), "one for %" + std::string(1, c.what));
  std::string flags = c.plus ? "+" : c.space ? " " : "";
  char        buffer[512];
  if (c.what == 'f' || c.what == 'F' || c.what == 'e' || c.what == 'g') {
    if (c.precision > 100 || !(d > -1e100 && d < 1e100))
      x.fail("a number does not fit its format", describe(v), "a smaller one");
    std::snprintf(buffer, sizeof buffer, ("%" + flags + ".*" + (c.what == 'F' ? 'f' : c.what)).c_str(),
                  c.precision < 0 ? 6 : c.precision, d);
    return buffer;
  }
  if (!integer_in(v, i)) {
    if (c.what == 'x' || !(d > -9e18 && d < 9e18))
      x.fail("a format needs an integer", describe(v), "one for %" + std::string(1, c.what));
    i = static_cast<std::int64_t>(d);
  }
  bool const    negative = i < 0;
  std::uint64_t size     = negative ? 0 - static_cast<std::uint64_t>(i) : static_cast<std::uint64_t>(i);
  std::snprintf(buffer, sizeof buffer, c.what == 'x' ? "%llx" : "%llu", static_cast<unsigned long long>(size));
  std::string digits = buffer;
  if (c.precision > static_cast<int>(digits.size()))
    digits.insert(0, static_cast<std::size_t>(c.precision) - digits.size(), '0');
  return (negative ? "-" : flags) + digits;
}

}  // namespace

marked_text formatted(execution& x, marked_text const& format, value const& arguments) {
  std::string_view const f = format.bytes();
  auto const*            many =
      list_in(arguments) && list_in(arguments)->kind == sequence_kind::tuple ? list_in(arguments) : nullptr;
  std::size_t taken = 0;
  marked_text result;
  x.make(f.size());
  for (std::size_t at = 0; at < f.size();) {
    std::size_t const percent = std::min(f.find('%', at), f.size());
    result.append(format, at, percent);
    if (percent == f.size()) break;
    at                 = percent + 1;
    conversion const c = conversion_at(x, f, at);
    if (c.what == '%') {
      result.append("%", format.origin(percent));
      continue;
    }
    if (std::string_view("srdiuxfFeg").find(c.what) == std::string_view::npos)
      x.fail(failure::unsupported, "this format is not supported", "%" + in_quotes(std::string(1, c.what)),
             "one of %s %r %d %i %u %x %f %F %e %g");
    if (taken >= (many ? many->items.size() : 1))
      x.fail("a format needs more values", std::to_string(taken), "one for each %");
    value const& v = many ? many->items[taken] : arguments;
    ++taken;
    marked_text one;
    if (c.what == 's') one = to_text(x, v);
    else if (c.what == 'r') append_repr(x, one, v);
    else one.append(formatted_number(x, c, v));
    if ((c.what == 's' || c.what == 'r') && c.precision >= 0) {
      std::size_t end = 0;
      for (int n = 0; n < c.precision && end < one.size(); ++n)
        end += next_utf8(std::string_view(one.bytes()).substr(end)).length;
      one = one.part(0, end);
    }
    std::size_t const length = characters_in(one.bytes()), fill = c.width > length ? c.width - length : 0;
    x.make(one.size() + fill);
    bool const zeros = c.zero && !c.left && c.what != 's' && c.what != 'r';
    if (fill > 0 && zeros) {
      std::size_t const sign =
          !one.empty() && std::string_view("+- ").find(one.bytes()[0]) != std::string_view::npos ? 1 : 0;
      result.append(one, 0, sign);
      result.append(std::string(fill, '0'));
      result.append(one, sign, one.size());
    } else {
      if (!c.left) result.append(std::string(fill, ' '));
      result.append(one);
      if (c.left) result.append(std::string(fill, ' '));
    }
  }
  if (many ? taken < many->items.size() : taken == 0 && !mapping_in(arguments) && !list_in(arguments))
    x.fail("a format has more values than places", std::to_string(many ? many->items.size() : 1),
           std::to_string(taken));
  return result;
}

}  // namespace tenon::engine::jinja
