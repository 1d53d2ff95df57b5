#pragma once
//  The findings of one launch, one per kind and pair of places, turned into a report when the launch is over.
#include <tenon/simt/baseline.hpp>
#include <tenon/simt/causes.hpp>
#include <tenon/simt/checked/recorder.hpp>
#include <tenon/simt/checked/regions.hpp>
#include <tenon/simt/checked/sites.hpp>
#include <tenon/simt/report.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tenon::simt::checked {

struct side {
  site_number at = 0;
  std::string what;
  std::string thread;
};

class collector {
 public:
  static constexpr std::size_t limit = 200;  // different findings per launch

  void clear() { raw_.clear(), seen_.clear(), barriers_[0].clear(), barriers_[1].clear(); }

  /// A barrier of the block, or of a warp, has run.
  void note_barrier(site_number at, bool of_block) {
    auto& known = barriers_[of_block];
    if (known.empty() || known.back() != at) known.push_back(at);
    if (known.size() > 64)
      std::sort(known.begin(), known.end()), known.erase(std::unique(known.begin(), known.end()), known.end());
  }
  bool empty() const { return raw_.empty(); }
  bool has(kind k) const {
    for (auto const& r : raw_)
      if (r.what == k) return true;
    return false;
  }

  /// Counts one more of a known finding; false where it is new. `edge` tells apart what is missing between the places.
  bool again(kind what, site_number here, site_number there, char const* edge = nullptr) {
    auto const found = seen_.find(key(what, here, there, edge));
    if (found == seen_.end()) return raw_.size() >= limit;
    ++raw_[found->second].times;
    return true;
  }

  void add(kind what, level severity, side here, side there, region bytes, std::string message,
           char const* missing = "", char const* edge = nullptr) {
    if (recording) the_recorder().note_finding(to_string(what), here.at);
    seen_[key(what, here.at, there.at, edge)] = raw_.size();
    raw_.push_back(
        {what, severity, std::move(here), std::move(there), std::move(bytes), std::move(message), missing, 1});
  }

  /// Into the report, by cause, less what the baseline accepts.
  void move_to(report& to) {
    if (raw_.empty()) return;
    std::vector<site_number> wanted;
    for (auto const& r : raw_) wanted.push_back(r.here.at), wanted.push_back(r.there.at);
    sites().resolve(wanted);
    std::vector<finding> all;
    for (auto& r : raw_) {
      words   w = r.bytes.in_words();
      finding f;
      f.what = r.what, f.severity = r.severity, f.here = place_of(r.here), f.there = place_of(r.there);
      f.bytes = std::move(w.text), f.path = std::move(w.path), f.memory = std::move(w.memory);
      f.message = std::move(r.message), f.missing = r.missing, f.times = r.times;
      f.split = is_split(f);
      all.push_back(std::move(f));
    }
    clear();
    add_findings(to, by_cause(std::move(all)));
    accept(to, environment_baseline());
  }

 private:
  struct raw {
    kind          what;
    level         severity;
    side          here, there;
    region        bytes;
    std::string   message;
    char const*   missing;
    std::uint64_t times;
  };

  static std::uint64_t key(kind what, site_number here, site_number there, char const* edge) {
    return (std::uint64_t{here} << 32 | there) * 0x9e3779b97f4a7c15u + static_cast<std::uint64_t>(what) +
           static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(edge)) * 64;
  }
  static place place_of(side const& s) {
    if (s.what.empty()) return {};
    auto const line = sites().line(s.at);
    return {s.what, line.file, line.line, s.thread, sites().text(line)};
  }

  bool is_split(finding const& f) const {
    bool const block = f.missing == "sync_block", warp = f.missing == "sync_warp";
    if ((!block && !warp) || f.here.file != f.there.file) return false;
    auto const [first, last] = std::minmax(f.here.line, f.there.line);
    auto const between       = [&, first = first, last = last](site_number s) {
      auto const at = sites().line(s);
      return first < at.line && at.line < last && (at.file.ends_with(f.here.file) || f.here.file.ends_with(at.file));
    };
    auto const& [of_warp, of_block] = barriers_;
    return std::any_of(of_block.begin(), of_block.end(), between) ||
           (warp && std::any_of(of_warp.begin(), of_warp.end(), between));
  }

  std::vector<raw>                               raw_;
  std::vector<site_number>                       barriers_[2];  // that have run: of warps, of the block
  std::unordered_map<std::uint64_t, std::size_t> seen_;
};

}  // namespace tenon::simt::checked
