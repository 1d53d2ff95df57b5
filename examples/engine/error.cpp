#include "engine/error.hpp"

#include "engine/text/utf8.hpp"

namespace tenon::engine {
namespace {

void append_escaped(std::string& line, unsigned char byte) {
  constexpr char digits[] = "0123456789abcdef";
  switch (byte) {
    case '\n': line += "\\n"; return;
    case '\r': line += "\\r"; return;
    case '\t': line += "\\t"; return;
    default: line += "\\x", line += digits[byte >> 4], line += digits[byte & 15];
  }
}

/// C0, C1 and delete; line and paragraph separators; marks that reorder text on a terminal.
bool is_unsafe(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

std::string one_line(std::string_view message) {
  std::string line;
  line.reserve(message.size());
  while (!message.empty()) {
    auto const step = next_utf8(message);
    if (step.kind == utf8_kind::character && !is_unsafe(step.code)) line += message.substr(0, step.length);
    else
      for (char const c : message.substr(0, step.length)) append_escaped(line, static_cast<unsigned char>(c));
    message.remove_prefix(step.length);
  }
  return line;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t limit = 80;
  std::string           result(1, '"');
  std::size_t           shown = 0;
  while (shown < text.size()) {
    auto const step = next_utf8(text.substr(shown));
    if (shown + step.length > limit) break;
    shown += step.length;
  }
  result += one_line(text.substr(0, shown));
  if (shown < text.size()) result += "...";
  return result += '"';
}

error wrong(std::string_view subject, std::string_view what, std::string_view found, std::string_view expected) {
  std::string message(subject);
  message.append(": ").append(what).append(": found ").append(found).append(", expected ").append(expected);
  return error(message);
}

}  // namespace tenon::engine
