//  A kernel with a race, run under the host target's checker by a program beside this one.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "engine/error.hpp"
#include "engine/tour/stops.hpp"

namespace tenon::engine::tour {

namespace {

/// What the program prints. It stands beside this one: what is watched is compiled with hooks that nothing else has.
std::string checked_run() {
  namespace fs          = std::filesystem;
  fs::path const itself = fs::read_symlink("/proc/self/exe"), program = itself.parent_path() / "tour_race";
  if (!fs::exists(program))
    throw wrong("tour_race", "is not beside the program", "none", "a build with the checker, without other sanitizers");
  std::string command = "'";
  for (char const c : program.string()) command += c == '\'' ? std::string("'\\''") : std::string(1, c);
  command += "'";
  struct closer {
    void operator()(std::FILE* f) const { ::pclose(f); }
  };
  std::unique_ptr<std::FILE, closer> const out(::popen(command.c_str(), "r"));
  if (!out) throw wrong("tour_race", "cannot be started", "no process", "a program that runs");
  std::string text;
  char        part[4096];
  for (std::size_t n; (n = std::fread(part, 1, sizeof part, out.get())) > 0;) text.append(part, n);
  return text;
}

std::string line_of(nlohmann::json const& finding, char const* side) {
  if (!finding.contains(side)) return "";
  nlohmann::json const& p = finding[side];
  return p.value("file", "?") + ":" + std::to_string(p.value("line", 0));
}

}  // namespace

void visit_race(guide&, findings& f) {
  table& t = f.add_table(figures::exact, {"kernel", "order", "found", "at", "and at", "largest error of y"});
  std::istringstream lines(checked_run());
  bool               caught = false, mended = false;
  for (std::string line; std::getline(lines, line);) {
    auto const  run     = nlohmann::json::parse(line);
    auto const& report  = run["report"];
    bool const  barrier = run["barrier"].get<bool>(), clean = report["clean"].get<bool>();
    std::string found = "nothing", here, there;
    if (!clean) {
      auto const& first = report["findings"][0];
      found = first["title"].get<std::string>(), here = line_of(first, "here"), there = line_of(first, "there");
      if (f.quotations.empty()) f.quotations.push_back({"the checker", run["text"].get<std::string>(), true});
    }
    auto const& error = run["largest_error"];
    t.rows.push_back({barrier ? "with __syncthreads()" : "without it", report["schedule"].get<std::string>(), found,
                      here, there, error.is_null() ? "not a number" : number("%.3g", error.get<double>())});
    (barrier ? mended : caught) |= barrier ? clean : !here.empty() && !there.empty();
  }
  if (!caught || !mended)
    throw wrong("tour_race", "the race was not caught, or the kernel without it is not clean",
                std::to_string(t.rows.size()) + " runs", "both lines of the race, and then nothing");
}

}  // namespace tenon::engine::tour
