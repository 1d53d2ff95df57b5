#pragma once
//  What the engine throws, and how untrusted text is shown in a message.
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tenon::engine {

/// The work could not be done (exit status 1). The message has the form
/// `FILE-OR-OPTION: what is wrong: found X, expected Y`; the program prints `tenon: ` and one_line(message).
struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Wrong usage of the program (exit status 2).
struct usage_error : error {
  using error::error;
};

/// An error in the standard form.
[[nodiscard]] error wrong(std::string_view subject, std::string_view what, std::string_view found,
                          std::string_view expected);

/// `text` in double quotes for a message: control characters and bytes that are not UTF-8 escaped, cut after 80 bytes.
[[nodiscard]] std::string in_quotes(std::string_view text);

/// `message` as one line that is safe to print on a terminal: control characters and invalid UTF-8 escaped.
[[nodiscard]] std::string one_line(std::string_view message);

}  // namespace tenon::engine
