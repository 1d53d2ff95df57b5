#pragma once
//  What a checked run found, as values: print them, compare them, match them in a test.
#include <tenon/simt/site.hpp>

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
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
  std::string what;      // "write of 4 bytes"
  std::string file;      // empty where unknown
  unsigned    line = 0;  // 0 where unknown
  std::string thread;    // "thread 33 (warp 1, lane 1) of block (0, 0, 0)"

  bool known() const { return !what.empty(); }
};

struct finding {
  kind          what     = kind::not_checked;
  level         severity = level::error;
  place         here;       // where it was noticed
  place         there;      // the other side, where there is one
  std::string   bytes;      // "shared memory, bytes [128, 132) of 4096"
  std::string   message;    // what is missing, and what usually mends it
  std::uint64_t times = 1;  // occurrences of this kind between these two places
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

  /// Barriers, waits, fences and atomics that ran, by place; only with list_operations.
  std::vector<operation> operations;
  void                   add_operation(operation const& more) {
                      for (auto& o : operations)
      if (o.at == more.at && o.name == more.name) return void(o.times += more.times);
    operations.push_back(more);
  }

  /// Nothing was found, not even something to review.
  bool clean() const { return findings.empty(); }
  bool has(kind k) const {
    for (auto const& f : findings)
      if (f.what == k) return true;
    return false;
  }
};

inline std::ostream& operator<<(std::ostream& out, finding const& f) {
  out << to_string(f.what);
  if (f.severity != level::error) out << " [" << to_string(f.severity) << "]";
  if (f.times > 1) out << ", " << f.times << " times";
  auto const side = [&](place const& p) {
    out << "\n  " << p.what;
    if (!p.file.empty()) out << "\n      at " << p.file << ':' << p.line;
    if (!p.thread.empty()) out << "\n      by " << p.thread;
  };
  if (f.here.known()) side(f.here);
  if (f.there.known()) side(f.there);
  if (!f.bytes.empty()) out << "\n  " << f.bytes;
  if (!f.message.empty()) out << "\n  " << f.message;
  return out;
}

inline std::ostream& operator<<(std::ostream& out, report const& r) {
  out << (r.findings.empty() ? "clean" : std::to_string(r.findings.size()) + " finding(s)") << " (schedule "
      << to_string(r.schedule) << ", delivery " << to_string(r.delivery) << ", seed " << r.seed << ")";
  for (auto const& f : r.findings) out << '\n' << f;
  return out;
}

}  // namespace tenon::simt
