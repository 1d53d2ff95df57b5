#pragma once
//  Which thread runs next, and where the threads of a block meet: block barriers and warp collectives.
#include <tenon/simt/checked/shadow.hpp>
#include <tenon/simt/machine.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace tenon::simt::checked {

/// What this OS thread executes. Hooks judge kernel code, note what host code writes, and ignore the runtime itself.
enum class activity : int { host, kernel, runtime };
inline constinit thread_local activity doing = activity::host;

struct runtime_scope {
  activity const before = doing;
  runtime_scope() { doing = activity::runtime; }
  ~runtime_scope() { doing = before; }
  runtime_scope(runtime_scope const&)            = delete;
  runtime_scope& operator=(runtime_scope const&) = delete;
};

bool        engine_step();                       // engines.hpp
void        leave_engines(bool last);            // engines.hpp
std::string describe_wait(thread_state const&);  // barriers.hpp
bool        only_bytes_are_wrong(thread_state const&);

class scheduler {
 public:
  static scheduler&                  instance() { return *now; }
  static inline constinit scheduler* now = nullptr;  // the running block's; set by residents.hpp

  /// How a block comes back to who started it.
  enum class outcome {
    finished,
    stuck,    // nothing of it can go on, unless another block does something
    gave_up,  // the finding that explains it has been made
  };

  /// Runs the running block's threads from their begin.
  outcome start(void (*body)(void const*), void const* argument, std::uint64_t seed) {
    auto& b   = running();
    body_     = body;
    argument_ = argument;
    random_   = seed * 0x9e3779b97f4a7c15u + 0x1234567;
    arrived_  = 0;
    yes_      = 0;
    warps_.resize((b.threads + 31) / 32);
    lowest_ = 0;
    for (auto& w : warps_) w.ready = w.alive = 0, w.priority = static_cast<std::int64_t>(random() >> 2), w.open.clear();
    for (std::uint32_t t = 0; t < b.threads; ++t) {
      warps_[t / 32].ready |= 1u << (t % 32);
      warps_[t / 32].alive |= 1u << (t % 32);
    }
    if (b.threads == 1) {
      lone_stack_.reserve(1);
      b.thread[0].context.prepare(lone_stack_.stack(0), lone_stack_.usable_bytes(), 0, &scheduler::enter);
    } else {
      stacks_.reserve(b.threads);
      for (std::uint32_t t = 0; t < b.threads; ++t)
        b.thread[t].context.prepare(stacks_.stack(t), stacks_.usable_bytes(), t % 32 * 2 + t / 32 % 2,
                                    &scheduler::enter);
    }
    ahead_ = static_cast<std::uint32_t>((seed + b.serial) % warps_.size());
    b.me   = b.options.schedule == schedule::reversed ? 0 : b.threads - 1;
    place(pick());
    return resume();
  }

  /// Lets the block go on where it was stuck.
  outcome resume() {
    place(running().me);
    running().mine->context.resume_from(main_);
    return outcome_;
  }

  /// Ends the launch without running the rest of it; the finding that explains it has been made.
  [[noreturn]] void give_up() {
    come_back(outcome::gave_up);
    std::abort();
  }

  /// Lets other blocks run, if there are any; returns when it is this block's turn again.
  void let_blocks_run() { come_back(outcome::stuck); }

  void sync_block(site_number at) {
    auto& b           = running();
    b.mine->state     = waiting::block_barrier;
    b.mine->wait_site = at;
    b.mine->wait_for  = "sync_block";
    warps_[b.me / 32].ready &= ~(1u << (b.me % 32));
    note(deed::waits, "sync_block", at);
    if (++arrived_ == 1) b.found.note_barrier(at, true);
    if (!release_barrier()) yield();
  }

  /// A block barrier that votes: vote(), sync_block(), then how many said yes of how many.
  void vote(bool yes) { yes_ += yes; }
  int  voted() const { return static_cast<int>(voted_); }
  int  voters() const { return static_cast<int>(voters_); }

  /// The lanes of `mask` meet; the last one runs execute(lanes, here) over everyone's argument, then all go on.
  void meet(collective what, unsigned mask, site_number at, void* mine, void (*execute)(void* const*, unsigned)) {
    auto&          b    = running();
    warp&          w    = warps_[b.me / 32];
    unsigned const lane = b.me % 32, bit = 1u << lane;
    if (!(mask & bit)) {
      report_collective(what, at, {}, "This lane calls the operation but is not in its own mask.");
      mask |= bit;
    }
    if (what.aligned && w.alive != ~0u)
      report_collective(what, at, {},
                        "The operation takes the whole warp, but some lanes have returned or do not exist.");
    rendezvous* r = nullptr;
    for (auto& x : w.open)
      if (x.here && x.mask == mask) r = &x;
    if (!r) {
      for (auto& x : w.open)
        if (!x.here) r = &x;
      if (!r) r = &w.open.emplace_back();
      r->what = what, r->mask = mask, r->here = 0, r->at = at, r->first = b.me, r->broken = false, r->execute = execute;
    } else if (r->what.operation != what.operation || r->what.qualifier != what.qualifier) {
      report_collective(what, at, r, "Lanes of one warp and one mask execute different operations.");
      r->broken = true;
    } else if (r->at != at) {
      report_collective(what, at, r,
                        what.aligned
                            ? "Lanes of one warp reach the operation in different places; it takes a converged warp."
                            : "Lanes of one warp reach the operation in different places.",
                        what.aligned ? level::error : level::review);
    }
    r->lane[lane] = mine;
    r->here |= bit;
    if ((r->here & w.alive) == (r->mask & w.alive)) {
      complete(w, *r);
    } else {
      b.mine->state     = waiting::collective;
      b.mine->wait_site = at;
      b.mine->wait_for  = what.name;
      b.mine->wait_mask = mask;
      w.ready &= ~bit;
      yield();
    }
  }

  /// Lets others run; returns when it is this thread's turn again.
  void yield() {
    auto&         b    = running();
    std::uint32_t next = pick();
    while (next == b.threads) {  // all wait: an engine can help, or a test that suspends can say no
      if (engine_step()) {
        ++progress_;
      } else if (!let_tests_end()) {
        let_blocks_run();
      }
      next = pick();
    }
    switch_to(next);
  }

  /// The running thread waits until wake() finds it.
  void wait(waiting kind, site_number at, char const* what, std::size_t key, std::uint64_t turn) {
    auto& b           = running();
    b.mine->state     = kind;
    b.mine->wait_site = at;
    b.mine->wait_for  = what;
    b.mine->wait_key  = key;
    b.mine->wait_turn = turn;
    note(deed::waits, what, at);
    warps_[b.me / 32].ready &= ~(1u << (b.me % 32));
    yield();
  }

  /// Lets those go on that wait in this way and for whom over(thread) holds.
  template <class Over>
  void wake(waiting kind, Over const& over) {
    auto& b = running();
    ++progress_, ++b.launch.events;
    for (std::uint32_t t = 0; t < b.threads; ++t) {
      auto& s = b.thread[t];
      if (s.state != kind || !over(s)) continue;
      s.state       = waiting::nothing;
      s.may_give_up = false;
      note(deed::goes_on, t / 32, 1u << t % 32, s.wait_for, s.wait_site);
      warps_[t / 32].ready |= 1u << (t % 32);
    }
  }

  /// A thread that asks for something over and over waits for another: that one's turn, but not for ever.
  void poll(site_number at, char const* what, std::size_t key, std::uint64_t turn) {
    auto& b = running();
    auto& t = *b.mine;
    if (t.polled_at != progress_) t.polled_at = progress_, t.polls = 0;
    if (++t.polls > 20000) {
      t.state = waiting::mbarrier, t.wait_site = at, t.wait_for = what, t.wait_key = key, t.wait_turn = turn;
      report_deadlock();
      give_up();
    }
    if (next_up(b.me) == b.me && engine_step()) ++progress_;
    else give_way();
  }

  /// Lets every other thread that can run have its turn, whatever the schedule.
  void give_way() { switch_to(next_up(running().me)); }

  std::uint64_t random() {
    random_ ^= random_ << 13, random_ ^= random_ >> 7, random_ ^= random_ << 17;
    return random_;
  }

  /// No thread of the block can go on, and no other block helps.
  void report_deadlock() {
    auto&                    b    = running();
    site_number              here = 0, there = 0;
    char const*              here_for    = "";
    char const*              there_for   = "";
    std::uint32_t            here_thread = 0, there_thread = 0;
    std::vector<site_number> wanted;
    for (std::uint32_t t = 0; t < b.threads; ++t) {
      auto const& s = b.thread[t];
      if (s.state == waiting::gone) continue;
      wanted.push_back(s.wait_site);
      if (!here) here = s.wait_site, here_thread = t, here_for = s.wait_for;
      else if (!there && s.wait_site != here) there = s.wait_site, there_thread = t, there_for = s.wait_for;
    }
    sites().resolve(wanted);
    bool bytes = false;
    for (auto const& t : b.thread) bytes |= only_bytes_are_wrong(t);
    kind const what = bytes ? kind::transaction_mismatch : kind::deadlock;
    if (b.found.again(what, here, there)) return;
    side other;
    if (there) other = {there, std::string("waits in ") + there_for, b.name_of(b.first_agent + there_thread)};
    b.found.add(
        what, level::error, {here, std::string("waits in ") + here_for, b.name_of(b.first_agent + here_thread)},
        std::move(other), {},
        (bytes ? "The bytes expected of a barrier and those copied do not agree, and no thread of the block can go on:"
               : "No thread of the block can go on:") +
            who_waits());
  }

  /// What has happened that others may wait for; a number that grows.
  std::uint64_t progress() const { return progress_; }

  std::string who_waits() const {
    auto const&       b = running();
    std::string       text;
    std::vector<bool> told(b.threads, false);
    for (std::uint32_t t = 0; t < b.threads; ++t) {
      auto const& s = b.thread[t];
      if (told[t]) continue;
      std::string who;
      std::size_t count = 0;
      for (std::uint32_t u = t; u < b.threads; ++u) {
        auto const& o = b.thread[u];
        if (o.state != s.state ||
            (s.state != waiting::gone && (o.wait_site != s.wait_site || o.wait_mask != s.wait_mask)))
          continue;
        told[u] = true;
        if (count++ < 4) who += (who.empty() ? "" : ", ") + std::to_string(u);
      }
      if (count > 4) who += ", ...";
      text += "\n    " + std::to_string(count) + " thread(s) (" + who + ") ";
      if (s.state == waiting::gone) {
        text += "have returned";
        continue;
      }
      if (s.state == waiting::nothing) {
        text += "could go on";
        continue;
      }
      text += std::string("wait in ") + s.wait_for;
      auto const line = sites().line(s.wait_site);
      if (!line.file.empty()) text += " at " + line.file + ":" + std::to_string(line.line);
      if (s.state == waiting::collective) {
        char mask[40];
        std::snprintf(mask, sizeof mask, ", mask 0x%08x", s.wait_mask);
        text += mask;
      }
      text += describe_wait(s);
    }
    return text;
  }

 private:
  struct rendezvous {
    collective    what{};
    unsigned      mask = 0, here = 0;
    site_number   at     = 0;
    std::uint32_t first  = 0;  // the thread that came first
    bool          broken = false;
    void*         lane[32]{};
    void (*execute)(void* const*, unsigned) = nullptr;
  };
  struct warp {
    unsigned                ready = 0, alive = 0;
    std::int64_t            priority = 0;
    std::vector<rendezvous> open;
  };

  void come_back(outcome how) {
    outcome_ = how;
    main_.resume_from(running().mine->context);
  }

  static void enter() {
    auto& s = instance();
    doing   = activity::kernel;
    s.body_(s.argument_);
    doing = activity::runtime;
    s.leave();
  }

  [[noreturn]] void leave() {
    auto& b = running();
    abandon_copies();
    leave_engines(b.live == 1);
    note(deed::returns, "", 0);
    b.mine->state = waiting::gone;
    warp& w       = warps_[b.me / 32];
    w.ready &= ~(1u << (b.me % 32));
    w.alive &= ~(1u << (b.me % 32));
    --b.live;
    ++b.launch.events;
    if (b.live == 0) {
      come_back(outcome::finished);
    } else {
      for (auto& r : w.open)
        if (r.here && (r.here & w.alive) == (r.mask & w.alive)) complete(w, r);
      release_barrier();
      yield();
    }
    std::abort();
  }

  void abandon_copies() {
    auto& b = running();
    if (b.mine->copies.empty()) return;
    auto const& c = b.mine->copies.front();
    if (!b.found.again(kind::unwaited_copy, c.at, 0))
      b.found.add(
          kind::unwaited_copy, level::error, {c.at, "cp.async still in flight when its thread returns", b.my_name()},
          {}, bytes_of(c.to, c.bytes),
          "The copy's group was never waited for. Missing: cp_async_wait<0>() after the last commit, or a guard "
          "that issues no copy past the end.");
    b.mine->copies.clear();
  }

  /// Lets every test of a barrier that suspends say "not yet", a few times as long as nothing happens.
  bool let_tests_end() {
    auto& b   = running();
    bool  any = false;
    for (std::uint32_t t = 0; t < b.threads; ++t) {
      auto& s = b.thread[t];
      if (s.state != waiting::mbarrier || !s.may_give_up) continue;
      if (s.polled_at != progress_) s.polled_at = progress_, s.polls = 0;
      if (++s.polls > 3) continue;
      s.state = waiting::nothing;
      note(deed::goes_on, t / 32, 1u << t % 32, s.wait_for, s.wait_site);
      warps_[t / 32].ready |= 1u << (t % 32);
      any = true;
    }
    return any;
  }

  bool release_barrier() {
    auto& b = running();
    if (b.live == 0 || arrived_ < b.live) return false;
    voters_                = std::exchange(arrived_, 0u);
    voted_                 = std::exchange(yes_, 0u);
    site_number   at       = 0;
    std::uint32_t first    = 0;
    bool          handover = false;
    for (std::uint32_t t = 0; t < b.threads; ++t) {
      auto& s   = b.thread[t];
      b.base[t] = s.clock;
      if (s.state != waiting::block_barrier) continue;
      if (at == 0) at = s.wait_site, first = t;
      else if (s.wait_site != at) report_divergent_barrier(first, t);
      s.state = waiting::nothing;
      note(deed::goes_on, t / 32, 1u << t % 32, s.wait_for, s.wait_site);
      ++s.clock;
      if (s.full)  // what it knows of barriers and engines outlives the clocks of threads
        for (std::uint32_t u = b.threads; u < b.agents; ++u) b.base[u] = std::max(b.base[u], (*s.full)[u]);
      s.full = nullptr;
      handover |= s.proxied || s.others || !s.released.empty() || !s.pending.empty();
      warps_[t / 32].ready |= 1u << (t % 32);
    }
    if (handover) share_knowledge();
    b.next_interval();
    ++b.launch.events;
    b.now = make_epoch(b.first_agent + b.me, b.mine->clock);
    return true;
  }

  void share_knowledge();

  void complete(warp& w, rendezvous& r) {
    auto&               b     = running();
    std::uint32_t const first = b.me / 32 * 32;
    if (!r.broken) {
      std::uint32_t const me = b.me;
      note(deed::meets, first / 32, r.here, r.what.name, r.at);
      if (r.execute) r.execute(r.lane, r.here);
      if (r.what.operation == warp_operation::sync) join_lanes(first, r.here), b.found.note_barrier(r.at, false);
      b.become(me);
    }
    for (unsigned l = 0; l < 32; ++l)
      if (r.here >> l & 1) {
        auto& s = b.thread[first + l];
        if (s.state == waiting::collective) s.state = waiting::nothing;
      }
    w.ready |= r.here & w.alive;
    r.here = 0;
  }

  void join_lanes(std::uint32_t first, unsigned lanes) {
    auto&                               b = running();
    std::uint32_t                       view[32];
    std::shared_ptr<clocks const>       full;
    std::shared_ptr<clocks const>       proxied;
    std::shared_ptr<known_blocks const> others;
    std::uint32_t const                 n = std::min(32u, b.threads - first);
    for (unsigned l = 0; l < n; ++l) view[l] = b.base[first + l];
    for (unsigned l = 0; l < n; ++l) {
      if (!(lanes >> l & 1)) continue;
      auto& s = b.thread[first + l];
      if (s.view_of == b.barriers)
        for (unsigned i = 0; i < n; ++i) view[i] = std::max(view[i], s.view[i]);
      view[l] = std::max(view[l], s.clock);
      full    = join(full, s.full);
      others  = join(others, s.others);
      proxied = join(proxied, s.proxied);
    }
    for (unsigned l = 0; l < n; ++l) {
      if (!(lanes >> l & 1)) continue;
      auto& s = b.thread[first + l];
      std::copy_n(view, n, s.view);
      s.view_of = b.barriers;
      s.full    = full;
      s.others  = others;
      s.proxied = proxied;
      ++s.clock;
    }
  }

  void switch_to(std::uint32_t next) {
    auto& b = running();
    if (next == b.me) return;
    std::uint32_t const me = b.me;
    place(next);
    b.thread[next].context.resume_from(b.thread[me].context);
  }

  // ---- the order of threads ---------------------------------------------------------------------------------------

  void place(std::uint32_t t) {
    auto& b = running();
    b.become(t);
    threadIdx = b.thread[t].index;
  }

  std::uint32_t pick() {
    auto const& b = running();
    switch (b.options.schedule) {
      case schedule::in_order: return next_up(b.me);
      case schedule::reversed: return next_down(b.me);
      case schedule::warp_ahead:
        if (unsigned const r = warps_[ahead_].ready) return ahead_ * 32 + static_cast<unsigned>(std::countr_zero(r));
        return next_up(b.me);
      case schedule::random: {
        auto const n     = static_cast<std::uint32_t>(warps_.size());
        auto const start = static_cast<std::uint32_t>(random() % n);
        for (std::uint32_t k = 0; k < n; ++k) {
          unsigned r = warps_[(start + k) % n].ready;
          if (!r) continue;
          for (auto skip = random() % static_cast<unsigned>(std::popcount(r)); skip > 0; --skip) r &= r - 1;
          return (start + k) % n * 32 + static_cast<unsigned>(std::countr_zero(r));
        }
        return b.threads;
      }
      case schedule::priorities: return first_by_priority();
    }
    return b.threads;
  }
  std::uint32_t first_by_priority() {
    auto const n = static_cast<std::uint32_t>(warps_.size());
    if (random() % 64 == 0) warps_[running().me / 32].priority = --lowest_;  // a change point: behind all others
    std::uint32_t best = n;
    for (std::uint32_t w = 0; w < n; ++w)
      if (warps_[w].ready && (best == n || warps_[w].priority > warps_[best].priority)) best = w;
    if (best == n) return running().threads;
    unsigned r = warps_[best].ready;
    for (auto skip = random() % static_cast<unsigned>(std::popcount(r)); skip > 0; --skip) r &= r - 1;
    return best * 32 + static_cast<unsigned>(std::countr_zero(r));
  }
  std::uint32_t next_up(std::uint32_t from) const {
    auto const n = static_cast<std::uint32_t>(warps_.size());
    for (std::uint32_t k = 0; k <= n; ++k) {
      std::uint32_t const w = (from / 32 + k) % n;
      unsigned            r = warps_[w].ready;
      if (k == 0) r &= from % 32 == 31 ? 0 : ~0u << (from % 32 + 1);
      if (r) return w * 32 + static_cast<unsigned>(std::countr_zero(r));
    }
    return running().threads;
  }
  std::uint32_t next_down(std::uint32_t from) const {
    auto const n = static_cast<std::uint32_t>(warps_.size());
    for (std::uint32_t k = 0; k <= n; ++k) {
      std::uint32_t const w = (from / 32 + n - k % n) % n;
      unsigned            r = warps_[w].ready;
      if (k == 0) r &= (1u << (from % 32)) - 1;
      if (r) return w * 32 + 31 - static_cast<unsigned>(std::countl_zero(r));
    }
    return running().threads;
  }

  // ---- reports ----------------------------------------------------------------------------------------------------

  void report_collective(collective what, site_number at, rendezvous const* other, char const* message,
                         level severity = level::error) {
    auto& b = running();
    if (b.found.again(kind::divergent_collective, at, other ? other->at : 0)) return;
    side there;
    if (other) there = {other->at, other->what.name, b.name_of(b.first_agent + other->first)};
    b.found.add(kind::divergent_collective, severity, {at, what.name, b.my_name()}, std::move(there), {},
                std::string(message) +
                    " Every lane named by the mask must come to the same call; move it out of the branch or name the "
                    "lanes that take the branch.");
  }

  void report_divergent_barrier(std::uint32_t first, std::uint32_t second) {
    auto&             b  = running();
    site_number const at = b.thread[first].wait_site, other = b.thread[second].wait_site;
    if (b.found.again(kind::divergent_barrier, at, other)) return;
    b.found.add(
        kind::divergent_barrier, level::error, {at, "sync_block", b.name_of(b.first_agent + first)},
        {other, "sync_block", b.name_of(b.first_agent + second)}, {},
        "Threads of one block meet at different barriers, which is undefined. Move the barrier out of the branch.");
  }

  static inline fiber   main_;  // who starts blocks
  static inline outcome outcome_ = outcome::finished;

  void (*body_)(void const*)  = nullptr;
  void const*       argument_ = nullptr;
  std::uint64_t     random_   = 1;
  std::uint64_t     progress_ = 1;
  std::int64_t      lowest_   = 0;  // the priority given last
  std::uint32_t     arrived_  = 0;
  std::uint32_t     yes_ = 0, voted_ = 0, voters_ = 0;  // of block barriers that vote
  std::uint32_t     ahead_ = 0;
  std::vector<warp> warps_;
  stack_pool        stacks_{256 * 1024}, lone_stack_{8 * 1024 * 1024};
};

}  // namespace tenon::simt::checked
