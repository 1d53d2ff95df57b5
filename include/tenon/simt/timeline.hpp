#pragma once
//  What the warps of one block did, in order: for a terminal (operator<<) and as a picture (to_svg).
//
//    step  warps      who               does            where
//       7  .*||       warp 1, 32 lanes  waits in sync_block   pipe.cpp:18
//
//  In the column of warps `*` acts, `|` can go on, `.` waits, and a blank has returned.
#include <tenon/simt/site.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

namespace tenon::simt {

enum class deed : unsigned char {
  meets,    // a collective of the warp has run
  waits,    // from here on the lanes wait
  goes_on,  // what they waited for has happened
  does,     // an operation that does not wait: an arrival, an atomic
  arrives,  // an asynchronous copy does; no warp
  returns,  // the lanes have ended
  finding,  // something was found
};

struct timeline_event {
  deed          what  = deed::does;
  std::uint32_t warp  = 0;
  unsigned      lanes = 0;  // mask
  std::string   name;       // of the operation or the kind of finding
  std::string   file;
  unsigned      line = 0;
};

struct timeline {
  std::string                 block;  // "(0, 0, 0)"
  std::uint32_t               warps = 0;
  std::vector<timeline_event> events;
};

namespace detail {

/// How each warp stands: 'r' can go on, 'w' waits, 'g' gone.
class warp_states {
 public:
  explicit warp_states(std::uint32_t warps) : lanes_waiting_(warps), lanes_gone_(warps) {}
  void apply(timeline_event const& e) {
    if (e.what == deed::waits) lanes_waiting_[e.warp] |= e.lanes;
    if (e.what == deed::goes_on) lanes_waiting_[e.warp] &= ~e.lanes;
    if (e.what == deed::returns) lanes_gone_[e.warp] |= e.lanes;
  }
  char of(std::uint32_t warp, unsigned whole = ~0u) const {
    if ((lanes_gone_[warp] & whole) == whole) return 'g';
    return ((lanes_waiting_[warp] | lanes_gone_[warp]) & whole) == whole ? 'w' : 'r';
  }

 private:
  std::vector<unsigned> lanes_waiting_, lanes_gone_;
};

inline std::string words_of(timeline_event const& e) {
  switch (e.what) {
    case deed::waits: return "waits in " + e.name;
    case deed::goes_on: return "goes on";
    case deed::arrives: return e.name + " arrives";
    case deed::returns: return "returns";
    case deed::finding: return "!! " + e.name;
    case deed::meets:
    case deed::does: break;
  }
  return e.name;
}

inline std::string escaped_for_svg(std::string const& text) {
  std::string safe;
  for (char const c : text) {
    if (c == '<') safe += "&lt;";
    else if (c == '>') safe += "&gt;";
    else if (c == '&') safe += "&amp;";
    else if (c == '"') safe += "&quot;";
    else safe += c;
  }
  return safe;
}

}  // namespace detail

inline std::ostream& operator<<(std::ostream& out, timeline const& t) {
  detail::warp_states state(t.warps);
  out << "timeline of block " << t.block << ", " << t.warps << (t.warps == 1 ? " warp" : " warps") << '\n';
  std::size_t step = 0;
  for (auto const& e : t.events) {
    state.apply(e);
    out << std::setw(6) << ++step << "  ";
    for (std::uint32_t w = 0; w < t.warps; ++w) {
      char const s = state.of(w);
      out << (e.what != deed::arrives && w == e.warp ? (e.what == deed::finding ? '!' : '*')
              : s == 'r'                             ? '|'
              : s == 'w'                             ? '.'
                                                     : ' ');
    }
    std::ostringstream who;
    if (e.what == deed::arrives) who << "engine";
    else who << "warp " << e.warp;
    int lanes = 0;
    for (unsigned bits = e.lanes; bits; bits &= bits - 1) ++lanes;
    if (e.what != deed::arrives && lanes != 32) {
      int first = 0;
      while (!(e.lanes >> first & 1) && first < 31) ++first;
      if (lanes == 1) who << ", lane " << first;
      else who << ", " << lanes << " lanes";
    }
    out << "  " << std::left << std::setw(18) << who.str() << std::right << "  ";
    if (e.file.empty()) out << detail::words_of(e);
    else
      out << std::left << std::setw(34) << detail::words_of(e) << std::right << "  "
          << e.file.substr(e.file.rfind('/') + 1) << ':' << e.line;
    out << '\n';
  }
  return out;
}

/// One row a warp, time from left to right, an event a step: dark where the warp can go on, light where it waits.
inline std::string to_svg(timeline const& t) {
  constexpr int left = 70, row = 26, step = 14, top = 30;
  int const     width = left + step * static_cast<int>(t.events.size() + 1) + 20,
            height    = top + row * static_cast<int>(t.warps + 1) + 10;
  std::ostringstream  svg;
  detail::warp_states state(t.warps);
  svg << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << width << ' ' << height
      << "\" font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" "
         "fill=\"#ffffff\"/>\n<text x=\"8\" y=\"18\">block "
      << detail::escaped_for_svg(t.block) << "</text>\n";
  auto const row_of = [&](std::uint32_t w) { return top + row * static_cast<int>(w); };
  for (std::uint32_t w = 0; w < t.warps; ++w)
    svg << "<text x=\"8\" y=\"" << row_of(w) + 15 << "\">warp " << w << "</text>\n";
  svg << "<text x=\"8\" y=\"" << row_of(t.warps) + 15 << "\">copies</text>\n";
  for (std::size_t i = 0; i < t.events.size(); ++i) {
    auto const& e = t.events[i];
    state.apply(e);
    int const x = left + step * static_cast<int>(i);
    for (std::uint32_t w = 0; w < t.warps; ++w)
      if (char const s = state.of(w); s != 'g')
        svg << "<rect x=\"" << x << "\" y=\"" << row_of(w) + 4 << "\" width=\"" << step << "\" height=\"" << row - 10
            << "\" fill=\"" << (s == 'r' ? "#4c78a8" : "#d5dfea") << "\"/>\n";
    std::string const title = detail::escaped_for_svg(
        detail::words_of(e) + (e.file.empty() ? "" : " at " + e.file + ":" + std::to_string(e.line)));
    int const         y      = e.what == deed::arrives ? row_of(t.warps) : row_of(e.warp);
    char const* const colour = e.what == deed::finding   ? "#d62728"
                               : e.what == deed::arrives ? "#59a14f"
                               : e.what == deed::waits   ? "#7f8fa6"
                                                         : "#f2cf5b";
    svg << "<circle cx=\"" << x + step / 2 << "\" cy=\"" << y + 11 << "\" r=\"4\" fill=\"" << colour << "\"><title>"
        << i + 1 << ": " << title << "</title></circle>\n";
  }
  svg << "</svg>\n";
  return svg.str();
}

}  // namespace tenon::simt
