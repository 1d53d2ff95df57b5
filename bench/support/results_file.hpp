#pragma once
//  JSON that a benchmark leaves for bench/plot/.
#include <tenon/config.hpp>

#include <cstdio>
#include <map>
#include <string>

#include "facts.hpp"
#include "text.hpp"

namespace bench {

/// A file of results, written beside and moved when it ends, so that a program cut short leaves a whole one.
class results_file {
 public:
  explicit results_file(std::string const& path)
      : path_(path), part_(path + ".part"), to_(std::fopen(part_.c_str(), "w")) {}
  results_file(results_file const&) = delete;
  ~results_file() {
    if (to_) std::fclose(to_);
  }
  FILE* to() const { return to_; }
  /// The opening of the object: "facts" about machine, program and ceilings, `own` among them; the object stays open.
  void facts(std::string const& command, bool complete, std::string const& own,
             std::map<std::string, double> const& rates) const {
    std::fprintf(to_, "{\"facts\": {\"device\": %s, \"driver\": %s, \"date\": %s, \"commit\": %s, \"command\": %s,\n",
                 quoted(device()).c_str(), quoted(driver()).c_str(), quoted(date()).c_str(), quoted(commit()).c_str(),
                 quoted(command).c_str());
    std::fprintf(to_, "  \"target\": \"%s\", \"complete\": %s, %s\"operations_per_second\": {",
                 TENON_CUDA ? "cuda" : "host", complete ? "true" : "false", own.c_str());
    char const* comma = "";
    for (auto const& [unit, rate] : rates)
      std::fprintf(to_, "%s%s: %s", comma, quoted(unit).c_str(), number(rate).c_str()), comma = ", ";
    std::fprintf(to_, "}},\n");
  }
  /// Moves the file to its place.
  bool close() {
    bool const closed = std::fclose(to_) == 0;
    to_               = nullptr;
    return closed && std::rename(part_.c_str(), path_.c_str()) == 0;
  }

 private:
  std::string path_, part_;
  FILE*       to_;
};

}  // namespace bench
