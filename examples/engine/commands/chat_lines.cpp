#include "engine/commands/chat_lines.hpp"

#include <cstdio>
#include <istream>

#include "engine/error.hpp"
#include "engine/program/read_line.hpp"

namespace tenon::engine {

std::optional<chat_line> read_chat_line(std::istream& in, std::string const& prompt) {
  constexpr std::size_t most = std::size_t{16} << 20;  // bytes of a message
  std::string           text;
  bool                  goes_on = false;
  auto const            show    = [&](char const* mark) {
    if (!prompt.empty()) std::fprintf(stderr, "%s%s", prompt.c_str(), mark), std::fflush(stderr);
  };
  show("> ");
  for (std::string line; read_line(in, line, "standard input", most);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!goes_on) {
      if (line == "/reset") return chat_line{chat_line::kind::reset, {}};
      if (line == "/exit") return chat_line{chat_line::kind::leave, {}};
    }
    if (text.size() + line.size() > most)
      throw wrong("standard input", "a message is too long", "more than " + std::to_string(most) + " bytes",
                  "at most that");
    if (line.ends_with('\\')) {
      line.back() = '\n';
      text += line;
      goes_on = true;
      show("| ");
      continue;
    }
    text += line;
    if (!text.empty()) return chat_line{chat_line::kind::message, std::move(text)};
    goes_on = false;
    show("> ");
  }
  if (!text.empty()) return chat_line{chat_line::kind::message, std::move(text)};
  return std::nullopt;
}

}  // namespace tenon::engine
