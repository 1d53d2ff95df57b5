#pragma once
//  One finding per cause. A missing barrier shows as a read of unset bytes where the reader came first, as a write after a
//  read where the writer came later, and as a read after a write in between; a missing wait shows at every use. They become
//  one finding, whose `also` names the others.
#include <tenon/simt/report.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace tenon::simt {

namespace detail {

inline bool is_race(kind k) {
  return k == kind::read_after_write || k == kind::write_after_read || k == kind::write_after_write;
}
/// Two sides that nothing orders.
inline bool lacks_order(finding const& f) {
  return is_race(f.what) || (f.what == kind::unwaited_copy && f.there.known());
}
inline place const& reader_of(finding const& f) { return f.what == kind::write_after_read ? f.there : f.here; }
inline place const& writer_of(finding const& f) { return f.what == kind::write_after_read ? f.here : f.there; }

inline bool same_lines(finding const& a, finding const& b) {
  return (a.here.same_line(b.here) && a.there.same_line(b.there)) ||
         (a.here.same_line(b.there) && a.there.same_line(b.here));
}
inline bool is_shared(finding const& f) { return f.memory.starts_with("shared memory"); }

/// Of a race between two lines: the write overtakes the read, it is not the read that comes too early. That is how the
/// program has them, with nothing in between: the read stands above the write, or a barrier that ran stands between the
/// write and the read below it, so that it is the next turn of a loop that writes too soon. Who came first in the run says
/// nothing about it.
inline bool overtakes(finding const& f) {
  auto const &write = writer_of(f), &read = reader_of(f);
  if (f.what == kind::write_after_write) return false;
  if (write.file != read.file || !write.line || !read.line || write.line == read.line)
    return f.what == kind::write_after_read;
  return (read.line < write.line) != f.split;
}

/// Small ranks are causes, great ones their symptoms.
inline int rank_of(finding const& f) {
  int const strength = f.missing == "hand_over" ? 0 : f.missing == "sync_block" ? 1 : f.missing == "sync_warp" ? 2 : 3;
  switch (f.what) {
    case kind::unwaited_copy: return !f.there.known() ? 60 : f.missing == "own_wait" ? 0 : 20;
    case kind::read_after_write: return (overtakes(f) ? 40 : 10) + strength;
    case kind::write_after_write: return 30 + strength;
    case kind::write_after_read: return (overtakes(f) ? 10 : 40) + strength;
    case kind::out_of_bounds: return f.missing == "shared_bytes" ? 0 : 50;
    case kind::uninitialised_read: return 70;
    default: return 50;
  }
}

/// One missing edge between a set of writes and a set of reads: the same other end, on the same side of it.
inline bool same_edge(finding const& a, finding const& b) {
  bool const mended = a.missing == b.missing || (a.missing == "sync_block" && b.missing == "sync_warp");
  if (!is_race(a.what) || !is_race(b.what) || !mended || a.missing.empty()) return false;
  if (!is_shared(a) || !is_shared(b)) return false;
  auto const beside = [](place const& hub, place const& x, place const& y) {
    return hub.file == x.file && hub.file == y.file && (x.line < hub.line) == (y.line < hub.line) &&
           x.line != hub.line && y.line != hub.line;
  };
  auto const& r = reader_of(a);
  auto const& w = writer_of(a);
  return (r.same_line(reader_of(b)) && beside(r, w, writer_of(b))) ||
         (w.same_line(writer_of(b)) && beside(w, r, reader_of(b)));
}

/// Kinds that are several mistakes under one name.
inline bool same_mistake(finding const& a, finding const& b) {
  bool const several = a.what == kind::barrier_misuse || a.what == kind::divergent_collective;
  return a.what == b.what && (!several || a.message == b.message);
}

/// Whether f is one more sign of what `cause` is a sign of.
inline bool belongs_to(finding const& cause, finding const& f) {
  if (f.here.line == 0 || cause.here.line == 0) return false;
  if (same_mistake(cause, f) && same_lines(cause, f)) return true;
  if (cause.what == kind::out_of_bounds && cause.missing == "shared_bytes")
    return f.what == kind::out_of_bounds && is_shared(f);
  if (!lacks_order(cause)) return false;
  if (lacks_order(f)) return same_lines(cause, f) || same_edge(cause, f);
  if (f.what == kind::unwaited_copy) return cause.what == f.what && f.here.same_line(cause.there);
  if (f.what != kind::uninitialised_read) return false;
  auto const read_at = [&](finding const& x) {
    return lacks_order(x) && x.what != kind::write_after_write && x.memory == f.memory &&
           reader_of(x).same_line(f.here);
  };
  return read_at(cause) || std::any_of(cause.also.begin(), cause.also.end(), read_at);
}

/// What is missing between the two sides of a race, in words.
inline std::string missing_in_words(finding const& f) {
  auto const& write = writer_of(f);
  auto const& read  = reader_of(f);
  bool const  one   = write.same_line(read);
  auto const  at    = [&](place const& p, char const* otherwise) {
    if (!p.line) return std::string(otherwise);
    std::string const number = std::to_string(p.line);
    return write.file == read.file ? "line " + number : p.file + ":" + number;
  };
  std::string const w = at(write, "the write"), r = at(read, "the read");
  std::string       place;
  if (f.what == kind::write_after_write)
    place = one ? "between the two writes of " + w : "between the writes of " + w + " and " + r;
  else if (one) place = "between the write and the read of " + w;
  else if (!overtakes(f)) place = "after " + w + " and before " + r;
  else place = "after the read of " + r + " and before " + w + " writes again";
  if (f.missing == "sync_block")
    return "Nothing orders the two threads, which are of different warps. Missing: a block barrier (sync_block, "
           "__syncthreads) " +
           place + "." + (one && f.what == kind::write_after_write ? " Or let one thread write." : "");
  if (f.missing == "sync_warp")
    return "Lanes of a warp do not run in lock-step, and shuffles, votes, ldmatrix and mma order no memory. Missing: a "
           "warp barrier (sync_warp, __syncwarp) " +
           place + ", or a block barrier." +
           (one && f.what == kind::write_after_write ? " Or let one lane write." : "");
  if (f.missing == "sync_after_wait")
    return "cp_async_wait makes the copied bytes visible to the thread that issued the copy only. Missing: a block "
           "barrier (or a warp barrier within the warp) after the wait and before " +
           r + ".";
  if (f.missing == "hand_over")
    return "Blocks of one launch run in any order. Missing: an atomic for the access itself; or, " + place +
           ", a hand-over (fence and atomic, atomic_add_ordered, store_release and load_acquire); or a second launch.";
  return f.message;
}

}  // namespace detail

/// Groups findings by cause; several of one kind between the same places become one with a count: those of the same
/// memory, or of any, as buffers have other numbers in every launch.
inline std::vector<finding> by_cause(std::vector<finding> all, bool same_memory = true) {
  struct item {
    finding     f;
    std::size_t first;  // in order of appearance
  };
  constexpr std::size_t most_beside = 40;
  std::vector<item>     flat, causes;
  for (auto& group : all) {
    auto also = std::exchange(group.also, {});
    also.insert(also.begin(), std::move(group));
    for (auto& f : also) {
      auto const known = std::find_if(flat.begin(), flat.end(), [&](item const& i) {
        auto const& k = i.f;
        return detail::same_mistake(k, f) && (k.memory == f.memory || !same_memory) && k.missing == f.missing &&
               k.here.line != 0 && k.here.same_line(f.here) && k.there.same_line(f.there);
      });
      if (known == flat.end()) flat.push_back({std::move(f), flat.size()});
      else known->f.times += f.times;
    }
  }
  std::stable_sort(flat.begin(), flat.end(),
                   [](item const& a, item const& b) { return detail::rank_of(a.f) < detail::rank_of(b.f); });
  for (auto& i : flat) {
    auto const cause =
        std::find_if(causes.begin(), causes.end(), [&](item const& c) { return detail::belongs_to(c.f, i.f); });
    if (cause == causes.end()) {
      causes.push_back(std::move(i));
      continue;
    }
    cause->first = std::min(cause->first, i.first);
    if (cause->f.also.size() < most_beside) cause->f.also.push_back(std::move(i.f));
  }
  std::stable_sort(causes.begin(), causes.end(), [](item const& a, item const& b) { return a.first < b.first; });
  std::vector<finding> grouped;
  for (auto& c : causes) {
    if (detail::is_race(c.f.what)) c.f.message = detail::missing_in_words(c.f);
    grouped.push_back(std::move(c.f));
  }
  return grouped;
}

/// Adds what a launch found, grouped, to what is known of earlier ones.
inline void add_findings(report& to, std::vector<finding> found) {
  constexpr std::size_t most = 1000;
  std::vector<finding>  all  = std::move(to.findings);
  all.insert(all.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
  to.findings = by_cause(std::move(all), false);
  if (to.findings.size() > most) to.findings.resize(most);
}

}  // namespace tenon::simt
