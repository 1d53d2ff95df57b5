//  tenon tour: every technique of the repository on a small model, with figures.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "engine/commands/requests.hpp"
#include "engine/commands/setup.hpp"
#include "engine/error.hpp"
#include "engine/program/option_set.hpp"
#include "engine/program/output.hpp"
#include "engine/tour/guide.hpp"
#include "engine/tour/page.hpp"
#include "engine/tour/stops.hpp"

namespace tenon::engine {

namespace {

/// The repository's model: in this folder or one above it, or so beside the program.
std::string repository_model() {
  namespace fs = std::filesystem;
  std::error_code ignored;
  for (fs::path const& from : {fs::current_path(ignored), fs::read_symlink("/proc/self/exe", ignored).parent_path()})
    for (fs::path at = from; !at.empty(); at = at.parent_path()) {
      fs::path const model = at / "examples/models/tenon-demo";
      if (fs::exists(model / "config.json", ignored)) return fs::proximate(model, ignored).string();
      if (at == at.root_path()) break;
    }
  throw wrong("--model", "is missing", "no examples/models/tenon-demo in this folder or above it", "--model DIR");
}

/// Of this process and of those that it has waited for.
double cpu_seconds() {
  double seconds = 0;
  for (int const who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    ::getrusage(who, &used);
    for (timeval const& t : {used.ru_utime, used.ru_stime})
      seconds += static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  }
  return seconds;
}

std::vector<tour::stop const*> wanted_stops(std::vector<std::string> const& names) {
  std::vector<tour::stop const*> stops;
  std::string                    known;
  for (tour::stop const& s : tour::all_stops()) {
    known.append(known.empty() ? "" : "|").append(s.name);
    if (names.empty() || std::find(names.begin(), names.end(), s.name) != names.end()) stops.push_back(&s);
  }
  for (std::string const& name : names)
    if (std::none_of(stops.begin(), stops.end(), [&](tour::stop const* s) { return s->name == name; }))
      misuse("--stop", "unknown choice", in_quotes(name), known);
  return stops;
}

std::string list_of(output_format form) {
  if (form == output_format::json) {
    nlohmann::ordered_json j = nlohmann::ordered_json::array();
    for (tour::stop const& s : tour::all_stops()) j.push_back({{"name", s.name}, {"title", s.title}});
    return to_line(j);
  }
  std::size_t width = 0;
  for (tour::stop const& s : tour::all_stops()) width = std::max(width, std::string(s.name).size());
  std::string text;
  for (tour::stop const& s : tour::all_stops()) {
    std::string name = s.name;
    name.resize(width + 2, ' ');
    text += name + s.title + "\n";
  }
  return text;
}

/// The stop, and what is printed of it while it goes on.
tour::visited visit(tour::guide& g, tour::stop const& s, result_writer& out, bool print) {
  using clock = std::chrono::steady_clock;
  tour::visited v;
  v.where = &s;
  tour::wrapped_text lines;
  if (print)
    v.seen.on_text = [&](std::string_view piece) {
      if (v.seen.streamed.size() == piece.size()) out.write("```\n");
      out.write(lines.feed(piece)), out.flush();
    };
  auto const   began = clock::now();
  double const cpu   = cpu_seconds();
  try {
    s.visit(g, v.seen);
  } catch (std::exception const& e) {
    v.error = e.what();
  }
  v.seconds     = std::chrono::duration<double>(clock::now() - began).count();
  v.cpu_seconds = cpu_seconds() - cpu;
  if (print && !v.seen.streamed.empty()) out.write(lines.finish() + "\n```\n\n");
  v.seen.on_text = {};
  return v;
}

}  // namespace

int run_tour(options const& from) {
  result_writer out;
  if (from.tour.list) {
    out.write(list_of(from.output));
    out.flush();
    return 0;
  }
  auto const stops = wanted_stops(from.tour.stops);
  options    asked = from;
  if (asked.model.empty()) asked.model = repository_model();
  asked.device = device_choice::host;

  tour::guide               g(asked);
  auto const                threads = static_cast<int>(asked.threads.value_or(0));
  tour::circumstances const where   = tour::circumstances_of(asked.model, g.files().weights->parameters(), threads);
  bool const                print   = from.output == output_format::text;
  if (print) out.write(tour::heading_of(where));
  std::vector<tour::visited> all;
  std::string                failed;
  for (tour::stop const* const s : stops) {
    auto const number = static_cast<std::size_t>(s - tour::all_stops().data()) + 1;
    if (print) out.write(tour::heading_of(*s, number)), out.flush();
    all.push_back(visit(g, *s, out, print));
    if (!all.back().error.empty()) failed.append(failed.empty() ? "" : ", ").append(s->name);
    if (print) out.write(tour::text_of(all.back(), asked.model)), out.flush();
  }
  out.write(print ? tour::closing_of(all) : to_line(tour::to_json(where, all)));
  out.flush();
  if (!failed.empty()) throw wrong("tour", "not every stop went well", failed, "none that fails");
  return 0;
}

}  // namespace tenon::engine
