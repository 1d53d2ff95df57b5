#pragma once
//  The tour as a page of Markdown that is written while it goes on, and as JSON.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tour/stops.hpp"

namespace tenon::engine::tour {

/// Where and of what the figures are.
struct circumstances {
  std::string   date, machine, model;
  int           threads    = 0;
  std::uint64_t parameters = 0;
  double        load       = 0;  // programs that wanted a core in the last minute; below 0: unknown
};
/// Of this machine and day; `threads` 0: all cores.
[[nodiscard]] circumstances circumstances_of(std::string model, std::uint64_t parameters, int threads);

struct visited {
  stop const* where = nullptr;
  findings    seen;
  std::string error;                         // empty: it went well
  double      seconds = 0, cpu_seconds = 0;  // of all threads, and of programs that were started
};

/// Breaks text between words where a line gets too long; lines behind the first are indented.
class wrapped_text {
 public:
  explicit wrapped_text(std::size_t indentation = 0) : indentation_(indentation) {}
  /// What of the piece can be printed by now: all but a word that may go on.
  [[nodiscard]] std::string feed(std::string_view piece);
  [[nodiscard]] std::string finish();

 private:
  void take_word(std::string& out);

  static constexpr std::size_t width_ = 110;
  std::string                  word_;
  std::size_t                  indentation_, column_ = 0;
  bool                         space_ = false;
};

[[nodiscard]] std::string heading_of(circumstances const& c);
[[nodiscard]] std::string heading_of(stop const& s, std::size_t number);
/// Everything behind the text that came as it was made; `model` stands in the command.
[[nodiscard]] std::string text_of(visited const& v, std::string const& model);
[[nodiscard]] std::string closing_of(std::vector<visited> const& all);

[[nodiscard]] nlohmann::ordered_json to_json(circumstances const& c, std::vector<visited> const& all);

}  // namespace tenon::engine::tour
