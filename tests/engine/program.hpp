#pragma once
//  Runs the program as a stranger would: a command line in, stdout, stderr and the exit status out.
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "../support/shared_data.hpp"
#include "scratch_folder.hpp"

namespace test {

/// What stands between blanks.
inline std::vector<std::string> words(std::string const& text) {
  std::istringstream       in(text);
  std::vector<std::string> list;
  for (std::string one; in >> one;) list.push_back(one);
  return list;
}

inline std::string shell_quoted(std::string_view argument) {
  std::string quoted = "'";
  for (char const c : argument) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

struct run_result {
  int         status = -1;
  std::string out, err;

  /// One JSON value per line of stdout.
  std::vector<nlohmann::json> lines() const {
    std::vector<nlohmann::json> values;
    std::istringstream          in(out);
    for (std::string line; std::getline(in, line);) values.push_back(nlohmann::json::parse(line));
    return values;
  }
};

/// Runs TENON_PROGRAM with the arguments; `input` is its standard input.
inline run_result run_program(std::vector<std::string> const& arguments, std::string const& input = {}) {
  scratch_folder const folder;
  write_text(folder / "in", input);
  std::string command = shell_quoted(TENON_PROGRAM);
  for (auto const& a : arguments) command += " " + shell_quoted(a);
  command += " <" + shell_quoted((folder / "in").string()) + " >" + shell_quoted((folder / "out").string()) + " 2>" +
             shell_quoted((folder / "err").string());
  int const  raw = std::system(command.c_str());
  run_result r;
  r.status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
  r.out    = read_text(folder / "out");
  r.err    = read_text(folder / "err");
  return r;
}

/// The same with more arguments behind them.
inline run_result run_program(std::vector<std::string> arguments, std::vector<std::string> const& more,
                              std::string const& input = {}) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_program(arguments, input);
}

}  // namespace test
