#pragma once
//  What a checked program leaves for continuous integration when it ends:
//
//    TENON_SIMT_REPORT=path           every session's report as JSON
//    TENON_SIMT_SARIF=path            all findings as SARIF
//    TENON_SIMT_BASELINE=path         accepted findings; lines that no longer match anything are named on stderr
//    TENON_SIMT_WRITE_BASELINE=path   a baseline of everything that was found
//
//  In a path %n stands for the program's name and %p for its process number, so that many programs can share a setting.
#include <tenon/simt/baseline.hpp>
#include <tenon/simt/checked/debug_info.hpp>
#include <tenon/simt/report.hpp>
#include <tenon/simt/report_json.hpp>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

namespace tenon::simt::checked {

class report_files {
 public:
  static report_files& instance() {
    static auto* const f = new report_files;
    return *f;
  }

  /// A launch has ended. Sessions are told apart by their address and first launch; without one, every launch that found
  /// something is a report of its own.
  void note(void const* session, report const& r) {
    if (!wanted_ || (!session && r.findings.empty() && r.accepted.empty())) return;
    for (std::size_t i = reports_.size(); session && r.launches > 1 && i-- > 0;)
      if (sessions_[i] == session) {
        reports_[i] = r;
        return;
      }
    if (reports_.size() >= most_sessions) return;
    sessions_.push_back(session);
    reports_.push_back(r);
  }

 private:
  static constexpr std::size_t most_sessions = 10000;

  report_files() {
    for (auto const* variable : {"TENON_SIMT_REPORT", "TENON_SIMT_SARIF", "TENON_SIMT_WRITE_BASELINE"})
      wanted_ = wanted_ || !path_of(variable).empty();
    process_          = getpid();
    auto const& known = environment_baseline();
    for (unsigned const line : known.not_understood)
      std::fprintf(stderr, "tenon: baseline %s:%u is not understood\n", known.path.c_str(), line);
    if (wanted_ || !known.entries.empty()) std::atexit([] { instance().write(); });
  }

  static std::string program() {
    char              text[4096];
    ssize_t const     n    = readlink("/proc/self/exe", text, sizeof text);
    std::string const path = n > 0 ? std::string(text, static_cast<std::size_t>(n)) : "program";
    return path.substr(path.rfind('/') + 1);
  }
  static std::string path_of(char const* variable) {
    char const* const value = std::getenv(variable);
    std::string       path;
    for (char const* c = value ? value : ""; *c; ++c) {
      if (c[0] == '%' && c[1] == 'n') path += program(), ++c;
      else if (c[0] == '%' && c[1] == 'p') path += std::to_string(getpid()), ++c;
      else path += *c;
    }
    return path;
  }
  static void put(char const* variable, std::string const& text) {
    std::string const path = path_of(variable);
    if (path.empty()) return;
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    if (!file) std::fprintf(stderr, "tenon: %s: cannot write %s\n", variable, path.c_str());
  }

  void write() const {
    if (getpid() != process_) return;  // a fork, as of a death test: its parent reports
    if (!path_of("TENON_SIMT_REPORT").empty()) put("TENON_SIMT_REPORT", to_json(reports_, program()));
    if (!path_of("TENON_SIMT_SARIF").empty()) put("TENON_SIMT_SARIF", to_sarif(reports_));
    if (!path_of("TENON_SIMT_WRITE_BASELINE").empty()) write_all();
    auto const& known = environment_baseline();
    for (auto const& e : known.entries) {
      if (e.hits) continue;
      // One baseline may serve many programs: an entry is only out of date where its file is part of this one.
      std::string const name = e.file.substr(e.file.rfind('/') + 1);
      if (!name.empty() && !debug_info::of_this_program().mentions_file(name)) continue;
      std::fprintf(stderr, "tenon: baseline %s:%u: nothing matches %s %s:%u any more\n", known.path.c_str(), e.at,
                   name_of(e.what), e.file.c_str(), e.line);
    }
  }

  void write_all() const {
    report sum;
    for (auto const& r : reports_) {
      add_findings(sum, r.findings);
      add_findings(sum, r.accepted);
    }
    std::ostringstream text;
    text << "# Findings of " << program() << " that are accepted; say why behind each.\n";
    write_baseline(text, sum.findings);
    put("TENON_SIMT_WRITE_BASELINE", text.str());
  }

  bool                     wanted_  = false;
  pid_t                    process_ = 0;
  std::vector<void const*> sessions_;
  std::vector<report>      reports_;
};

}  // namespace tenon::simt::checked
