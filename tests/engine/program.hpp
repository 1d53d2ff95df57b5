#pragma once
//  Runs the program as a stranger would: a command line in, stdout, stderr and the exit status out.
#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "../support/shared_data.hpp"

namespace test {

namespace fs = std::filesystem;

/// A folder of this test's own, removed with it.
class scratch_folder {
 public:
  scratch_folder() {
    std::string name = (fs::temp_directory_path() / "tenon-test-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("cannot make a temporary folder");
    path_ = name;
  }
  scratch_folder(scratch_folder const&)            = delete;
  scratch_folder& operator=(scratch_folder const&) = delete;
  ~scratch_folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path const& path() const { return path_; }
  fs::path        operator/(std::string const& name) const { return path_ / name; }

 private:
  fs::path path_;
};

inline std::string read_text(fs::path const& file) {
  std::ifstream      in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void write_text(fs::path const& file, std::string_view text) {
  std::ofstream(file, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
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

}  // namespace test
