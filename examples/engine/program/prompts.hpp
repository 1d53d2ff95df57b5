#pragma once
//  The requests of `generate` and `run`: texts, or JSON lines read as they arrive.
#include <cstdint>
#include <fstream>
#include <istream>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/program/command_line.hpp"

namespace tenon::engine {

/// What a request of `run` may say of its own scheduling.
struct request_schedule {
  double       arrival  = 0;                                        // seconds from the start
  double       deadline = std::numeric_limits<double>::infinity();  // seconds from its arrival
  int          priority = 0;
  std::string  tenant;  // a text, or the digits of a number
  std::int64_t n = 1;   // completions
};

struct prompt_request {
  std::string               source;      // "--prompt" or FILE:LINE, for messages
  std::string               prompt;      // text, unless prompt_ids was given
  std::vector<std::int32_t> prompt_ids;  // each >= 0; the vocabulary is the caller's to check
  bool                      has_ids = false;
  sampling_options          sampling;
  request_schedule          schedule;
};

/// One line `{"prompt": "..."}` or `{"prompt_ids": [...]}` with any field of sampling_options over `defaults`.
/// `source` is FILE:LINE. Unknown fields are refused; those of request_schedule are known where it has defaults.
[[nodiscard]] prompt_request parse_prompt_line(std::string_view line, std::string const& source,
                                               sampling_options const&                defaults,
                                               std::optional<request_schedule> const& schedule = {});

/// Reads the requests one by one: the texts, then the lines of `file` (none: "", standard input: "-"; blank lines are
/// skipped). A pipe is read line by line, so the first request can run before the last is written.
class prompt_reader {
 public:
  prompt_reader(std::vector<std::string> texts, std::string const& file, sampling_options defaults,
                std::optional<request_schedule> schedule = {});
  [[nodiscard]] std::optional<prompt_request> next();

 private:
  std::vector<std::string>        texts_;
  std::size_t                     taken_ = 0;
  std::string                     name_;
  std::unique_ptr<std::ifstream>  file_;
  std::istream*                   lines_ = nullptr;
  std::int64_t                    line_  = 0;
  sampling_options                defaults_;
  std::optional<request_schedule> schedule_;
};

}  // namespace tenon::engine
