#include "engine/text/template/lexer.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "engine/text/utf8.hpp"

namespace tenon::engine::jinja {

bool is_python_space(char32_t code) { return is_white_space(code) || (code >= 0x1C && code <= 0x1F); }

std::size_t leading_space(std::string_view text) { return leading_bytes(text, is_python_space); }
std::size_t trailing_space(std::string_view text) { return trailing_bytes(text, is_python_space); }

namespace {

constexpr std::size_t longest_name = 256;  // bytes; so that looking one up is a step

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_begin(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_part(char c) { return is_name_begin(c) || is_digit(c); }

std::string with_plain_newlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') text += source[i];
    else if (i + 1 == source.size() || source[i + 1] != '\n') text += '\n';
  }
  return text;
}

class lexer {
 public:
  lexer(std::string_view source, std::string const& name) : name_(name), source_(with_plain_newlines(source)) {
    if (source_.ends_with('\n')) source_.pop_back();
    for (std::size_t i = 0; i < source_.size(); ++i)
      if (source_[i] == '\n') lines_.push_back(i + 1);
  }

  std::vector<token> run() {
    while (at_ < source_.size()) {
      std::size_t const tag = next_tag();
      if (tag == std::string::npos) {
        put_data(source_.substr(at_), at_);
        at_ = source_.size();
        break;
      }
      char const kind = source_[tag + 1];
      char const sign = sign_at(tag + 2);
      put_data(before_tag(at_, tag, sign, kind != '{'), at_);
      std::size_t const inside = tag + 2 + (sign != 0);
      if (kind == '#') comment(inside);
      else if (kind == '{') tagged(tag, inside, token_kind::print_begin, token_kind::print_end, "}}");
      else if (std::size_t const body = raw_body(inside); body != 0) raw(body);
      else tagged(tag, inside, token_kind::block_begin, token_kind::block_end, "%}");
    }
    put(token_kind::end, source_.size());
    return std::move(tokens_);
  }

 private:
  [[nodiscard]] place place_of(std::size_t at) const {
    auto const line = std::upper_bound(lines_.begin(), lines_.end(), at) - 1;
    return {static_cast<int>(line - lines_.begin()) + 1, static_cast<int>(at - *line) + 1};
  }
  [[noreturn]] void fail(std::size_t at, std::string_view what, std::string_view found,
                         std::string_view expected) const {
    fail_at(name_, place_of(at), failure::syntax, what, found, expected);
  }
  token& put(token_kind kind, std::size_t at, std::string text = {}) {
    tokens_.push_back({kind, place_of(at), std::move(text)});
    return tokens_.back();
  }
  void put_data(std::string text, std::size_t at) {
    if (!text.empty()) put(token_kind::data, at, std::move(text));
  }
  [[nodiscard]] char sign_at(std::size_t at) const {
    return at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? source_[at] : '\0';
  }
  [[nodiscard]] bool stands_at(std::size_t at, std::string_view text) const {
    return source_.compare(at, text.size(), text) == 0;
  }
  [[nodiscard]] std::size_t behind_space(std::size_t at) const {
    return at + leading_space(std::string_view(source_).substr(at));
  }

  /// Of the next {{, {% or {#.
  [[nodiscard]] std::size_t next_tag() const {
    for (std::size_t i = source_.find('{', at_); i != std::string::npos && i + 1 < source_.size();
         i             = source_.find('{', i + 1))
      if (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#') return i;
    return std::string::npos;
  }

  /// The text [begin, tag) without what `sign` or lstrip_blocks take from its end.
  [[nodiscard]] std::string before_tag(std::size_t begin, std::size_t tag, char sign, bool strips_lines) const {
    std::string_view text = std::string_view(source_).substr(begin, tag - begin);
    if (sign == '-') {
      text.remove_suffix(trailing_space(text));
    } else if (sign == 0 && strips_lines) {
      auto const  newline = text.rfind('\n');
      std::size_t line    = newline == std::string_view::npos ? 0 : newline + 1;
      if ((line > 0 || line_begins_) && leading_space(text.substr(line)) == text.size() - line)
        text = text.substr(0, line);
    }
    return std::string(text);
  }

  /// The end of a tag, "%}" or "#}" with its sign, at `at`: where the text goes on; 0: there is none.
  [[nodiscard]] std::size_t behind_end(std::size_t at, std::string_view end, bool plus) const {
    if (stands_at(at, end)) {
      at += 2;
      return at < source_.size() && source_[at] == '\n' && end != "}}" ? at + 1 : at;
    }
    if (at + 1 >= source_.size() || !stands_at(at + 1, end)) return 0;
    if (source_[at] == '-') return behind_space(at + 3);
    return source_[at] == '+' && plus ? at + 3 : 0;
  }
  void go_on(std::size_t at) {
    at_          = at;
    line_begins_ = source_[at - 1] == '\n';
  }

  void comment(std::size_t at) {
    for (std::size_t i = at; i < source_.size(); ++i)
      if (source_[i] == '#' || source_[i] == '-' || source_[i] == '+')
        if (std::size_t const end = behind_end(i, "#}", true); end != 0) return go_on(end);
    fail(at, "a comment does not end", "the end of the text", "#}");
  }

  /// Where the text of a raw block begins, if `at` is in the tag that opens one; 0: it is not.
  [[nodiscard]] std::size_t raw_body(std::size_t at) const {
    at = behind_space(at);
    if (!stands_at(at, "raw")) return 0;
    at = behind_space(at + 3);
    if (stands_at(at, "%}")) return at + 2;
    return stands_at(at, "-%}") ? behind_space(at + 3) : 0;
  }
  void raw(std::size_t body) {
    line_begins_ = source_[body - 1] == '\n';
    for (std::size_t tag = source_.find("{%", body); tag != std::string::npos; tag = source_.find("{%", tag + 1)) {
      char const  sign = sign_at(tag + 2);
      std::size_t at   = behind_space(tag + 2 + (sign != 0));
      if (!stands_at(at, "endraw")) continue;
      at = behind_space(at + 6);
      if (std::size_t const end = at < source_.size() ? behind_end(at, "%}", true) : 0; end != 0) {
        put_data(before_tag(body, tag, sign, true), body);
        return go_on(end);
      }
    }
    fail(body, "a raw block does not end", "the end of the text", "{% endraw %}");
  }

  /// The tokens of one tag.
  void tagged(std::size_t tag, std::size_t at, token_kind begin, token_kind end, std::string_view closing) {
    put(begin, tag);
    std::string open;  // brackets that are to be closed
    while (true) {
      at = behind_space(at);
      if (at >= source_.size()) fail(tag, "a tag does not end", "the end of the text", closing);
      if (open.empty())
        if (std::size_t const behind = behind_end(at, closing, closing == "%}"); behind != 0) {
          put(end, at);
          return go_on(behind);
        }
      at = expression_token(at, open);
    }
  }

  std::size_t expression_token(std::size_t at, std::string& open) {
    char const c = source_[at];
    if (is_digit(c)) return number(at);
    if (is_name_begin(c)) {
      std::size_t end = at + 1;
      while (end < source_.size() && is_name_part(source_[end])) ++end;
      if (end - at > longest_name)
        fail_at(name_, place_of(at), failure::limit, "a name is too long", std::to_string(end - at) + " bytes",
                "at most " + std::to_string(longest_name));
      put(token_kind::name, at, source_.substr(at, end - at));
      return end;
    }
    if (c == '\'' || c == '"') return string(at);
    for (std::string_view const two : {"//", "**", "==", "!=", "<=", ">="})
      if (stands_at(at, two)) {
        put(token_kind::symbol, at, std::string(two));
        return at + 2;
      }
    constexpr std::string_view symbols = "+-*/%~[](){}<>=.:|,;";
    if (symbols.find(c) == std::string_view::npos) {
      std::size_t const length = next_utf8(std::string_view(source_).substr(at)).length;
      fail(at, "unexpected character", in_quotes(source_.substr(at, length)), "an expression");
    }
    if (c == '(') open += ')';
    else if (c == '[') open += ']';
    else if (c == '{') open += '}';
    else if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c)
        fail(at, "brackets do not match", in_quotes(std::string(1, c)),
             open.empty() ? "none" : in_quotes(std::string(1, open.back())));
      open.pop_back();
    }
    put(token_kind::symbol, at, std::string(1, c));
    return at + 1;
  }

  /// Digits with single underscores between them; where they end.
  template <class Is>
  [[nodiscard]] std::size_t digits(std::size_t at, Is const& is_one) const {
    while (at < source_.size() &&
           (is_one(source_[at]) || (source_[at] == '_' && at + 1 < source_.size() && is_one(source_[at + 1]))))
      ++at;
    return at;
  }

  std::size_t number(std::size_t at) {
    std::size_t       end       = digits(at, is_digit);
    bool const        after     = at > 0 && source_[at - 1] == '.';  // x.0.1 is no x.(0.1)
    std::size_t const whole     = end;
    bool              real      = false;
    auto const        has_digit = [&](std::size_t i) { return i < source_.size() && is_digit(source_[i]); };
    if (!after) {
      if (end < source_.size() && source_[end] == '.' && has_digit(end + 1))
        end = digits(end + 1, is_digit), real = true;
      if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
        std::size_t const sign =
            end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-') ? 1 : 0;
        if (has_digit(end + 1 + sign)) end = digits(end + 1 + sign, is_digit), real = true;
      }
    }
    if (real) {
      std::string text = source_.substr(at, end - at);
      std::erase(text, '_');
      double     v      = 0;
      auto const result = std::from_chars(text.data(), text.data() + text.size(), v);
      if (result.ec != std::errc{}) fail(at, "a number is out of range", in_quotes(text), "a double");
      put(token_kind::real, at).real = v;
      return end;
    }
    int base = 10;
    end      = whole;
    if (source_[at] == '0' && at + 2 < source_.size()) {
      char const c      = static_cast<char>(source_[at + 1] | 0x20);
      base              = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;
      auto const is_one = [&](char d) {
        int const n = is_digit(d) ? d - '0' : (d | 0x20) >= 'a' && (d | 0x20) <= 'f' ? (d | 0x20) - 'a' + 10 : 99;
        return n < base;
      };
      std::size_t const hex_end = base == 10 ? at : digits(at + 2, is_one);
      if (hex_end <= at + 2) base = 10;
      else end = hex_end;
    }
    std::string text = source_.substr(at + (base == 10 ? 0 : 2), end - at - (base == 10 ? 0 : 2));
    std::erase(text, '_');
    if (base == 10 && text.size() > 1 && text[0] == '0' && text.find_first_not_of('0') != std::string::npos)
      fail(at, "a number begins with 0", in_quotes(text), "none of its digits to be 0 in front");
    std::int64_t v = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), v, base).ec != std::errc{})
      fail(at, "an integer is out of range", in_quotes(text), "one of 64 bits");
    put(token_kind::integer, at).integer = v;
    return end;
  }

  /// A code point of `count` hexadecimal digits at `at`.
  [[nodiscard]] char32_t code_point(std::size_t at, std::size_t count, std::size_t end) const {
    std::uint32_t    code = 0;
    std::string_view text = std::string_view(source_).substr(at, std::min(count, end - at));
    auto const       r    = std::from_chars(text.data(), text.data() + text.size(), code, 16);
    if (text.size() != count || r.ec != std::errc{} || r.ptr != text.data() + count || code > 0x10FFFF ||
        (code >= 0xD800 && code < 0xE000))
      fail(at, "an escape is no character", in_quotes(text), std::to_string(count) + " hexadecimal digits of one");
    return code;
  }

  std::size_t string(std::size_t at) {
    char const  quote = source_[at];
    std::size_t end   = at + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail(at, "a string does not end", "the end of the text", std::string(1, quote));
    std::string text;
    for (std::size_t i = at + 1; i < end;) {
      if (source_[i] != '\\') {
        text += source_[i++];
        continue;
      }
      char const c = source_[i + 1];
      i += 2;
      constexpr std::string_view from = "abfnrtv\\'\"", to = "\a\b\f\n\r\t\v\\'\"";
      if (auto const k = from.find(c); k != std::string_view::npos) text += to[k];
      else if (c == '\n') continue;
      else if (c == 'x' || c == 'u' || c == 'U') {
        std::size_t const count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        append_utf8(text, code_point(i, count, end));
        i += count;
      } else if (c >= '0' && c <= '7') {
        char32_t code = static_cast<char32_t>(c - '0');
        for (int n = 1; n < 3 && i < end && source_[i] >= '0' && source_[i] <= '7'; ++n)
          code = code * 8 + static_cast<char32_t>(source_[i++] - '0');
        append_utf8(text, code);
      } else if (c == 'N') {
        fail(i, "characters by their names are not supported", "\\N", "\\u and the code");
      } else {
        text += '\\';
        --i;  // the character itself, whatever it is
        text += source_[i++];
      }
    }
    put(token_kind::string, at, std::move(text));
    return end + 1;
  }

  std::string const&       name_;
  std::string              source_;
  std::vector<std::size_t> lines_{0};  // where they begin
  std::vector<token>       tokens_;
  std::size_t              at_          = 0;
  bool                     line_begins_ = true;  // what came last ends with a newline
};

}  // namespace

std::vector<token> tokens_of(std::string_view source, std::string const& name) { return lexer(source, name).run(); }

}  // namespace tenon::engine::jinja
