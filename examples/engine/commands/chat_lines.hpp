#pragma once
//  What a person types at `tenon chat`: messages, of one line or several, and commands.
#include <iosfwd>
#include <optional>
#include <string>

namespace tenon::engine {

struct chat_line {
  enum class kind { message, reset, leave };
  kind        what = kind::message;
  std::string text;  // of a message
};

/// The next message or command; empty lines are passed over, a line that ends with \ goes on in the next one. None: the input is
/// at its end. `prompt` is written to stderr in front of every line; empty: nothing is.
[[nodiscard]] std::optional<chat_line> read_chat_line(std::istream& in, std::string const& prompt);

}  // namespace tenon::engine
