#pragma once
//  The findings of one launch, one per kind and pair of places, turned into a report when the launch is over.
#include <tenon/simt/checked/sites.hpp>
#include <tenon/simt/report.hpp>

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

  void clear() { raw_.clear(), seen_.clear(); }
  bool empty() const { return raw_.empty(); }
  bool has(kind k) const {
    for (auto const& r : raw_)
      if (r.what == k) return true;
    return false;
  }

  /// Counts one more of a known finding; false where it is new.
  bool again(kind what, site_number here, site_number there) {
    auto const found = seen_.find(key(what, here, there));
    if (found == seen_.end()) return raw_.size() >= limit;
    ++raw_[found->second].times;
    return true;
  }

  void add(kind what, level severity, side here, side there, std::string bytes, std::string message) {
    seen_[key(what, here.at, there.at)] = raw_.size();
    raw_.push_back({what, severity, std::move(here), std::move(there), std::move(bytes), std::move(message), 1});
  }

  void move_to(report& to) {
    std::vector<site_number> wanted;
    for (auto const& r : raw_) wanted.push_back(r.here.at), wanted.push_back(r.there.at);
    sites().resolve(wanted);
    for (auto& r : raw_) {
      finding f{r.what, r.severity, place_of(r.here), place_of(r.there), r.bytes, r.message, r.times};
      bool    merged = false;
      for (auto& known : to.findings)
        if (same_cause(known, f)) known.times += f.times, merged = true;
      if (!merged) to.findings.push_back(std::move(f));
    }
    clear();
  }

 private:
  struct raw {
    kind          what;
    level         severity;
    side          here, there;
    std::string   bytes, message;
    std::uint64_t times;
  };

  static std::uint64_t key(kind what, site_number here, site_number there) {
    return (std::uint64_t{here} << 32 | there) * 0x9e3779b97f4a7c15u + static_cast<std::uint64_t>(what);
  }
  static place place_of(side const& s) {
    if (s.what.empty()) return {};
    auto const line = sites().line(s.at);
    return {s.what, line.file, line.line, s.thread};
  }
  static bool same_cause(finding const& a, finding const& b) {
    auto const same = [](place const& x, place const& y) { return x.file == y.file && x.line == y.line; };
    return a.what == b.what && same(a.here, b.here) && same(a.there, b.there) && a.here.line != 0;
  }

  std::vector<raw>                               raw_;
  std::unordered_map<std::uint64_t, std::size_t> seen_;
};

}  // namespace tenon::simt::checked
