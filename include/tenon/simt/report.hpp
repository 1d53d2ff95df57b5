#pragma once
//  What a checked run found, as values: print them, compare them, match them in a test.
#include <tenon/simt/site.hpp>
#include <tenon/simt/timeline.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace tenon::simt {

enum class kind {
  read_after_write,      // race: a read that nothing orders after a write by another thread
  write_after_read,      // race: a write that nothing orders after a read by another thread
  write_after_write,     // race: two writes that nothing orders
  uninitialised_read,    // of shared memory or of a simt::buffer
  out_of_bounds,         // beyond the launch's shared bytes, beside a buffer, in freed memory, at a null pointer
  misaligned,            // a vector access whose address is no multiple of its size
  divergent_barrier,     // threads of a block meet at different block barriers
  divergent_collective,  // lanes of a warp disagree on the operation, its place or its mask; a lane is missing
  unwaited_copy,         // bytes of a cp.async are used, overwritten or abandoned before its group was waited for
  missing_proxy_fence,   // a bulk copy touches what plain writes left, without a proxy fence between them
  barrier_misuse,        // of an mbarrier or a named barrier: counts, numbers, initialisation
  phase_overtaken,       // an mbarrier's phase may end before a waiter has seen the one before it
  transaction_mismatch,  // the bytes that an mbarrier expects and those that copies bring do not agree
  deadlock,              // no thread can go on
  not_checked,           // this binary is no checked build: nothing was looked at
};

/// error: wrong on a device. review: legal by the letter, but look at it. incomplete: the run could not judge.
enum class level { error, review, incomplete };

/// The order in which threads and blocks run. Races are found by happens-before, whatever the order; the order changes
/// which values a racy or diverging kernel sees.
/// priorities: the warp of highest priority runs as far as it can, and priorities drop at a few random points, which finds
/// orderings of any few steps with known probability (Burckhardt et al., "A randomized scheduler with probabilistic
/// guarantees of finding bugs", 2010).
enum class schedule { in_order, reversed, warp_ahead, random, priorities };

/// When the bytes of an asynchronous copy arrive: as late as allowed, at once, or either by the seed.
enum class delivery { late, eager, random };

constexpr char const* to_string(kind k) {
  switch (k) {
    case kind::read_after_write: return "race: read after write";
    case kind::write_after_read: return "race: write after read";
    case kind::write_after_write: return "race: write after write";
    case kind::uninitialised_read: return "uninitialised read";
    case kind::out_of_bounds: return "out of bounds";
    case kind::misaligned: return "misaligned access";
    case kind::divergent_barrier: return "divergent barrier";
    case kind::divergent_collective: return "divergent collective";
    case kind::unwaited_copy: return "asynchronous copy not waited for";
    case kind::missing_proxy_fence: return "missing proxy fence";
    case kind::barrier_misuse: return "barrier misuse";
    case kind::phase_overtaken: return "barrier phase overtaken";
    case kind::transaction_mismatch: return "transaction bytes do not agree";
    case kind::deadlock: return "deadlock";
    case kind::not_checked: return "not checked";
  }
  return "unknown";
}
/// The kind's name in the source: what JSON and baselines say.
constexpr char const* name_of(kind k) {
  switch (k) {
    case kind::read_after_write: return "read_after_write";
    case kind::write_after_read: return "write_after_read";
    case kind::write_after_write: return "write_after_write";
    case kind::uninitialised_read: return "uninitialised_read";
    case kind::out_of_bounds: return "out_of_bounds";
    case kind::misaligned: return "misaligned";
    case kind::divergent_barrier: return "divergent_barrier";
    case kind::divergent_collective: return "divergent_collective";
    case kind::unwaited_copy: return "unwaited_copy";
    case kind::missing_proxy_fence: return "missing_proxy_fence";
    case kind::barrier_misuse: return "barrier_misuse";
    case kind::phase_overtaken: return "phase_overtaken";
    case kind::transaction_mismatch: return "transaction_mismatch";
    case kind::deadlock: return "deadlock";
    case kind::not_checked: return "not_checked";
  }
  return "unknown";
}
constexpr char const* to_string(level l) {
  return l == level::error ? "error" : l == level::review ? "review" : "incomplete";
}
constexpr char const* to_string(schedule s) {
  switch (s) {
    case schedule::in_order: return "in_order";
    case schedule::reversed: return "reversed";
    case schedule::warp_ahead: return "warp_ahead";
    case schedule::random: return "random";
    case schedule::priorities: return "priorities";
  }
  return "unknown";
}
constexpr char const* to_string(delivery d) {
  return d == delivery::late ? "late" : d == delivery::eager ? "eager" : "random";
}

/// One side of a finding.
struct place {
  std::string what;       // "write of 4 bytes"
  std::string file;       // empty where unknown
  unsigned    line = 0;   // 0 where unknown
  std::string thread;     // "thread 33 (warp 1, lane 1) of block (0, 0, 0)"
  std::string text = {};  // the source line, where its file can be read

  bool known() const { return !what.empty(); }
  bool same_line(place const& p) const { return line == p.line && file == p.file; }
};

/// One cause. What else it made visible between the same places is in `also`.
struct finding {
  kind                 what     = kind::not_checked;
  level                severity = level::error;
  place                here;             // where it was noticed
  place                there;            // the other side, where there is one
  std::string          bytes;            // "shared.a[1][37] (float): shared memory, bytes [128, 132) of 4096"
  std::string          message;          // what is missing, and what usually mends it
  std::uint64_t        times   = 1;      // occurrences of this kind between these two places
  std::string          path    = {};     // "shared.a[1][37]", where the program's debug information tells
  std::string          memory  = {};     // what the bytes are of: "shared memory", "buffer 2"
  std::string          missing = {};     // what would order the two sides: "sync_block", "sync_warp", "hand_over", ...
  bool                 split   = false;  // a barrier that ran stands on a line between the two sides of this race
  std::vector<finding> also    = {};     // of other kinds or lines, with no `also` of their own

  bool has(kind k) const {
    for (auto const& f : also)
      if (f.what == k) return true;
    return what == k;
  }
};

/// A barrier, wait, fence or atomic of a kernel.
struct operation {
  std::string   name;
  site          at;
  std::uint64_t times = 0;
};

struct report {
  std::vector<finding> findings;
  std::uint64_t        seed       = 0;
  simt::schedule       schedule   = simt::schedule::in_order;
  simt::delivery       delivery   = simt::delivery::late;
  std::uint64_t        launches   = 0;
  std::uint64_t        accesses   = 0;  // warp-wide shared accesses counted; only with count_wavefronts
  std::uint64_t        wavefronts = 0;  // shared-memory passes that those accesses take
  std::uint64_t        ideal      = 0;  // passes without bank conflicts
  std::uint64_t        bank_conflicts() const { return wavefronts - ideal; }
  std::uint64_t        requests      = 0;  // warp-wide accesses of buffers counted; only with count_wavefronts
  std::uint64_t        sectors       = 0;  // 32-byte sectors that those move
  std::uint64_t        ideal_sectors = 0;  // sectors that their distinct bytes fill

  std::vector<timeline> timelines;  // of each launch's first block; only with trace

  /// Barriers, waits, fences and atomics that ran, by place; only with list_operations.
  std::vector<operation> operations;
  void                   add_operation(operation const& more) {
                      for (auto& o : operations)
      if (o.at == more.at && o.name == more.name) return void(o.times += more.times);
    operations.push_back(more);
  }
  std::vector<finding> accepted;  // by a baseline (simt/baseline.hpp): they do not make the report unclean

  /// Nothing was found, not even something to review.
  bool clean() const { return findings.empty(); }
  bool has(kind k) const {
    for (auto const& f : findings)
      if (f.has(k)) return true;
    return false;
  }
};

/// For main() of a program that checks: 0 clean, 1 findings, 2 nothing wrong was found but the run could not judge.
inline int exit_status(report const& r) {
  for (auto const& f : r.findings)
    if (f.severity != level::incomplete) return 1;
  return r.findings.empty() ? 0 : 2;
}

namespace detail {

/// Lines of at most 110 columns, indented by two; a line that brings its own indentation stays as it is.
inline void print_wrapped(std::ostream& out, std::string const& text) {
  constexpr std::size_t width = 108, most_lines = 12;
  std::size_t           lines = 0;
  for (std::size_t at = 0; at <= text.size();) {
    std::size_t end = std::min(text.find('\n', at), text.size());
    if (++lines > most_lines) {
      out << "\n  ...";
      return;
    }
    if (end - at > width && text[at] != ' ') {
      std::size_t const space = text.rfind(' ', at + width);
      if (space != std::string::npos && space > at) end = space;
    }
    out << "\n  " << text.substr(at, end - at);
    at = end + 1;
  }
}

inline std::string times_of(std::uint64_t n) { return n > 1 ? ", " + std::to_string(n) + " times" : std::string(); }

inline void print_excerpt(std::ostream& out, place const& p, std::string const& beside) {
  std::string const number = std::to_string(p.line);
  if (!p.text.empty()) out << "\n    " << number << " | " << p.text.substr(0, 104);
  if (beside.empty()) return;
  if (p.line) out << "\n    " << std::string(number.size(), ' ') << " | " << beside;
  else out << "\n  " << beside;
}

inline std::string by(place const& p) { return p.thread.empty() ? "" : "by " + p.thread; }

}  // namespace detail

/// As compilers print, so that editors and CI find the lines:
///   file:line: level: kind, the line, who did what; the other side likewise; the bytes; what is missing; what else.
inline std::ostream& operator<<(std::ostream& out, finding const& f) {
  using namespace detail;
  auto const where = [&](place const& p) {
    if (!p.file.empty()) out << p.file << ':' << p.line << ": ";
  };
  where(f.here);
  out << to_string(f.severity) << ": " << to_string(f.what) << times_of(f.times);
  if (f.here.known()) print_excerpt(out, f.here, f.here.what + (f.here.thread.empty() ? "" : " ") + by(f.here));
  if (f.there.known()) {
    out << '\n';
    where(f.there);
    if (f.there.file.empty()) out << "  ";
    out << f.there.what;
    print_excerpt(out, f.there, by(f.there));
  }
  if (!f.bytes.empty()) print_wrapped(out, f.bytes);
  if (!f.message.empty()) print_wrapped(out, f.message);
  // What else was seen, alike ones together.
  std::vector<std::pair<std::string, std::uint64_t>> others;
  for (auto const& a : f.also) {
    bool const  new_here  = a.here.line && !a.here.same_line(f.here) && !a.here.same_line(f.there);
    bool const  new_there = a.there.line && !a.there.same_line(f.here) && !a.there.same_line(f.there);
    std::string what      = to_string(a.what);
    if (a.missing == "sync_warp" && f.missing != a.missing) what += " within a warp";
    else if (a.what == f.what && !new_here && !new_there) {
      if (a.here.what == f.here.what) continue;
      what += " (" + a.here.what + ")";
    }
    if (new_here || new_there) what += " (line " + std::to_string(new_here ? a.here.line : a.there.line) + ")";
    auto const known = std::find_if(others.begin(), others.end(), [&](auto const& o) { return o.first == what; });
    if (known == others.end()) others.emplace_back(what, a.times);
    else known->second += a.times;
  }
  constexpr std::size_t most = 4;
  std::string           text;
  for (std::size_t i = 0; i < others.size() && i < most; ++i)
    text += (i ? "; " : "Also: ") + others[i].first + times_of(others[i].second);
  if (others.size() > most) text += "; " + std::to_string(others.size() - most) + " more";
  if (!text.empty()) print_wrapped(out, text + ".");
  return out;
}

inline std::ostream& operator<<(std::ostream& out, report const& r) {
  auto const count = r.findings.size();
  if (count == 0) out << "clean";
  else out << count << (count == 1 ? " finding" : " findings");
  out << " (schedule " << to_string(r.schedule) << ", delivery " << to_string(r.delivery) << ", seed " << r.seed;
  if (!r.accepted.empty()) out << ", " << r.accepted.size() << " accepted";
  out << ")";
  for (auto const& f : r.findings) out << "\n" << f << "\n";
  return out;
}

}  // namespace tenon::simt
