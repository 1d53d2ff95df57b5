#pragma once
//  One subcommand's options. Values are parsed here, not by CLI11, so that messages have one form and texts stay as given.
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/error.hpp"

namespace CLI {
class App;  // CLI11 is included where its functions are called: it takes seconds to compile
}

namespace tenon::engine {

/// Throws usage_error in the standard form.
[[noreturn]] void misuse(std::string_view subject, std::string_view what, std::string_view found,
                         std::string_view expected);

/// Throws usage_error unless exactly one of two options is there.
void one_of_two(std::string const& first, bool has_first, std::string const& second, bool has_second);

/// A file that the command line names, as messages do: "-" is standard input.
[[nodiscard]] std::string input_name(std::string const& file);

/// Whether the whole of `text` is a number, and which.
template <class T>
[[nodiscard]] bool parse_whole(std::string_view text, T& value) {
  auto const [end, e] = std::from_chars(text.data(), text.data() + text.size(), value);
  return e == std::errc{} && end == text.data() + text.size();
}

/// `text`, the value of option `name`, as an integer in [low, high], or a number in [low, high] (above: not low itself).
[[nodiscard]] std::int64_t parse_integer(std::string const& name, std::string const& text, std::int64_t low,
                                         std::int64_t high);
[[nodiscard]] double       parse_number(std::string const& name, std::string const& text, double low, double high,
                                        bool above = false);

/// The shortest text of a number.
[[nodiscard]] std::string plain(double v);

/// Integers between commas, each in [low, high], as the value of option `name`.
[[nodiscard]] std::vector<std::int64_t> parse_integers(std::string const& name, std::string const& text,
                                                       std::int64_t low, std::int64_t high);

/// A word of the command line and what it stands for.
template <class T>
struct choice {
  char const* word;
  T           value;
};

class option_set {
 public:
  using taker = std::function<void(std::string const& name, std::string const& text)>;

  explicit option_set(CLI::App* app) : app_(app) {}

  /// `names`: "--long,-s". `take` gets the first name and each value; `shown` is the default in --help.
  void value(std::string const& names, std::string const& type, std::string const& help, taker take,
             std::string const& shown = "");
  /// As value, for an option that may be given again.
  void values(std::string const& names, std::string const& type, std::string const& help, taker take);
  void text(std::string const& names, char const* type, std::string const& help, std::string& to) {
    value(names, type, help, [&to](std::string const& name, std::string const& given) {
      if (given.empty()) misuse(name, "is empty", "\"\"", "a value");
      to = given;
    });
  }
  template <class T>
  void integer(std::string const& names, std::string const& help, T& to, std::int64_t low, std::int64_t high,
               std::string const& shown = "") {
    value(
        names, "N", help,
        [&to, low, high](std::string const& name, std::string const& given) {
          to = static_cast<T>(parse_integer(name, given, low, high));
        },
        shown);
  }
  /// `to` takes the number given times `unit`.
  template <class T>
  void number(std::string const& names, std::string const& help, T& to, double low, double high,
              std::string const& shown = "", bool above = false, double unit = 1) {
    value(
        names, "X", help,
        [&to, low, high, above, unit](std::string const& name, std::string const& given) {
          to = parse_number(name, given, low, high, above) * unit;
        },
        shown);
  }
  template <class To, class T, std::size_t N>
  void one_of(std::string const& names, std::string const& help, To& to, choice<T> const (&choices)[N]) {
    std::string words;
    for (auto const& c : choices) words.append(words.empty() ? "" : "|").append(c.word);
    value(names, words, help, [&to, &choices, words](std::string const& name, std::string const& given) {
      auto const at =
          std::find_if(std::begin(choices), std::end(choices), [&](auto const& c) { return given == c.word; });
      if (at == std::end(choices)) misuse(name, "unknown choice", in_quotes(given), words);
      to = at->value;
    });
  }
  /// `to` becomes `value`. The option itself takes none.
  void flag(std::string const& names, std::string const& help, bool& to, bool value = true);
  /// --enable-NAME and --no-enable-NAME; the last one counts.
  void toggle(std::string const& name, std::string const& help, bool& to);

  /// Once the command line is parsed: whether it has the option.
  [[nodiscard]] bool given(std::string const& name) const;
  /// Throws usage_error where it has one of `names`, for which `found` is there leaves no use; `expected` would.
  void refuse(std::initializer_list<char const*> names, std::string const& found, std::string const& expected) const;

 private:
  CLI::App* app_;
};

}  // namespace tenon::engine
