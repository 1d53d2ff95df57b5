#pragma once
//  What a stop of the tour has to show: tables of figures, and text that a model says.
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon::engine::tour {

/// exact: the same in every run; timed: as quick as the machine is just now.
enum class figures : std::uint8_t { exact, timed };

struct table {
  figures                               kind = figures::exact;
  std::vector<std::string>              columns;
  std::vector<std::vector<std::string>> rows;
};

/// Something that was printed, or said, and by what.
struct quotation {
  std::string by, text;
  bool        verbatim = false;  // its lines are kept; otherwise it is broken where it gets long
};

struct findings {
  std::function<void(std::string_view)> on_text;   // gets text as it comes; may be empty
  std::string                           streamed;  // all of that
  std::vector<quotation>                quotations;
  std::deque<table>                     tables;  // what is added leaves the others where they are

  void say(std::string_view piece) {
    streamed += piece;
    if (on_text) on_text(piece);
  }
  /// A table without rows.
  table& add_table(figures kind, std::vector<std::string> columns) {
    return tables.emplace_back(table{kind, std::move(columns), {}});
  }
};

/// A number as printf has it: "%.2f".
[[nodiscard]] inline std::string number(char const* format, double v) {
  char text[64];
  std::snprintf(text, sizeof text, format, v);
  return text;
}
[[nodiscard]] inline std::string number(std::int64_t v) { return std::to_string(v); }
/// Of rounding: its size is all that there is to say.
[[nodiscard]] inline std::string error_size(double v) { return v == 0 ? "0" : number("%.1e", v); }
[[nodiscard]] inline std::string percent(double share) { return number("%.1f %%", 100 * share); }

}  // namespace tenon::engine::tour
