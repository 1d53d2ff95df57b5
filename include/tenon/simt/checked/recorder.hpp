#pragma once
//  Writes the timeline of a launch's first block while it runs.
#include <tenon/simt/checked/sites.hpp>
#include <tenon/simt/timeline.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tenon::simt::checked {

inline constinit bool recording = false;  // what the running block does is written down

class recorder {
 public:
  static constexpr std::size_t most_events = 100000;

  /// From here on the block whose running thread is *me is recorded.
  void begin(std::uint32_t warps, std::string block, std::uint32_t const* me) {
    line_.block = std::move(block), line_.warps = warps;
    line_.events.clear();
    sites_.clear();
    me_ = me;
    on_ = recording = true;
  }
  /// The block that runs now is the one that is recorded, or another.
  void turn(std::uint32_t const* me) { recording = on_ && me == me_; }

  void note_finding(char const* name, site_number at) { note(deed::finding, *me_ / 32, 1u << *me_ % 32, name, at); }

  void note(deed what, std::uint32_t warp, unsigned lanes, char const* name, site_number at) {
    if (!recording || line_.events.size() >= most_events) return;
    // Lanes do the same one after the other: an event that this lane has not come to yet is its event as well.
    for (std::size_t back = 1; back <= std::min<std::size_t>(16, line_.events.size()); ++back) {
      auto& e = line_.events[line_.events.size() - back];
      if (e.warp != warp || e.what == deed::arrives || (e.lanes & lanes)) break;
      if (e.what != what || sites_[sites_.size() - back] != at || e.name != name) continue;
      e.lanes |= lanes;
      return;
    }
    line_.events.push_back({what, warp, lanes, name, {}, 0});
    sites_.push_back(at);
  }

  /// The timeline, with its places resolved; empty where nothing was recorded.
  timeline take() {
    on_ = recording = false;
    sites().resolve(sites_);
    for (std::size_t i = 0; i < sites_.size(); ++i) {
      auto const at        = sites().line(sites_[i]);
      line_.events[i].file = at.file, line_.events[i].line = at.line;
    }
    timeline taken = std::move(line_);
    line_          = {};
    sites_.clear();
    return taken;
  }

  bool on() const { return on_; }

 private:
  bool                     on_ = false;
  std::uint32_t const*     me_ = nullptr;
  timeline                 line_;
  std::vector<site_number> sites_;
};

inline recorder& the_recorder() {
  static auto* const r = new recorder;
  return *r;
}

}  // namespace tenon::simt::checked
