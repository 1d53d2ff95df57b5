#pragma once
//  One thread block on one OS thread: its CUDA threads are fibers, its barriers and warp collectives are rendezvous.
//
//  Between two rendezvous the lanes of a warp run one after the other, in any order; there is no lock-step to rely on.
#include <tenon/simt/fiber.hpp>
#include <tenon/simt/vocabulary.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

namespace tenon::simt {

class block {
 public:
  /// The block that the calling OS thread is running; null outside a kernel and in a direct run.
  static inline thread_local block* current = nullptr;

  /// This OS thread's block, whose stacks are reused from launch to launch.
  static block& of_this_thread() {
    static thread_local block b;
    return b;
  }

  /// False where no thread could go on any more.
  bool run(void (*body)(void const*), void const* argument, dim3 shape) {
    given_up_ = false;
    threads_  = static_cast<unsigned>(shape.count());
    body_     = body;
    argument_ = argument;
    live_     = threads_;
    arrived_  = 0;
    yes_      = 0;
    for (auto& b : named_) b = {};
    fibers_.resize(threads_);
    state_.assign(threads_, state::ready);
    waits_.resize(threads_);
    index_.resize(threads_);
    for (unsigned t = 0; t < threads_; ++t) index_[t] = {t % shape.x, t / shape.x % shape.y, t / shape.x / shape.y};
    warps_.assign((threads_ + 31) / 32, {});
    stacks_.reserve(threads_);
    for (unsigned t = 0; t < threads_; ++t)
      fibers_[t].prepare(stacks_.stack(t), stacks_.usable_bytes(), t % 32 * 2 + t / 32 % 2, &block::enter);
    current  = this;
    running_ = 0;
    place(0);
    fibers_[0].resume_from(main_);
    current = nullptr;
    return !given_up_;
  }

  /// __syncthreads: returns when every live thread of the block has come.
  void sync() {
    ++arrived_;
    state_[running_] = state::at_barrier;
    if (!release_barrier()) yield();
  }

  /// The same; how many of the threads that came said yes.
  unsigned sync_count(bool yes) {
    yes_ += yes;
    sync();
    return counted_;
  }
  unsigned live() const { return live_; }

  /// bar.sync and bar.arrive: barrier `id` opens when `threads` threads have come.
  void sync_named(int id, int threads, bool stay) {
    auto& b = named_[id & 15];
    if (++b.arrived < static_cast<unsigned>(threads)) {
      unsigned const turn = b.turn;
      if (stay) wait_for([&] { return b.turn != turn; });
      return;
    }
    b.arrived = 0;
    ++b.turn;
  }

  /// The lanes of `mask` meet; the last one runs execute(lanes) over everyone's argument, then all go on.
  void warp_collective(unsigned mask, void* mine, void (*execute)(void* const*, unsigned)) {
    warp&          w = warps_[running_ / 32];
    unsigned const l = running_ % 32;
    w.lane[l] = mine, w.mask[l] = mask, w.execute[l] = execute;
    w.here |= 1u << l;
    if (mask == ~0u) {
      w.whole |= 1u << l;
      if (w.whole == ~0u) {  // the common case: 32 lanes, all together
        execute(w.lane, ~0u);
        std::fill_n(&state_[running_ - l], 32, state::ready);
        w.here = w.whole = 0;
        return;
      }
    }
    state_[running_] = state::at_warp;
    if (!meet(w, mask)) yield_in_warp();
  }

  /// Waits until over(argument), which other threads of the block bring about.
  void wait_until(bool (*over)(void const*), void const* argument) {
    waits_[running_] = {over, argument};
    state_[running_] = state::waiting;
    yield();
  }

  /// Lets the next thread that can run go first.
  void give_way() { yield(); }

 private:
  enum class state : unsigned char { ready, at_barrier, at_warp, waiting, done };
  struct warp {
    void*    lane[32]                           = {};
    unsigned mask[32]                           = {};  // of the lanes that are here
    void (*execute[32])(void* const*, unsigned) = {};
    unsigned here                               = 0;
    unsigned whole                              = 0;  // of those here, whose mask is the whole warp
    unsigned exited                             = 0;
    unsigned alive(unsigned threads, unsigned index) const {
      unsigned const lanes = threads - index * 32;
      return (lanes >= 32 ? ~0u : (1u << lanes) - 1) & ~exited;
    }
  };

  struct wait {
    bool (*over)(void const*) = nullptr;
    void const* argument      = nullptr;
  };
  struct named_barrier {
    unsigned arrived = 0, turn = 0;
  };

  template <class Over>
  void wait_for(Over const& over) {
    wait_until([](void const* p) { return (*static_cast<Over const*>(p))(); }, &over);
  }

  static void enter() {
    fiber::entered();
    block& b = *current;
    b.body_(b.argument_);
    b.leave();
  }

  [[noreturn]] void leave() {
    state_[running_] = state::done;
    warps_[running_ / 32].exited |= 1u << (running_ % 32);
    --live_;
    if (live_ == 0) {
      main_.resume_from(fibers_[running_], true);
    } else {
      release_warp(warps_[running_ / 32]);
      release_barrier();
      yield(true);
    }
    std::abort();
  }

  /// Lets the lanes of `mask` go on if all that are alive have come with this mask.
  bool meet(warp& w, unsigned mask) {
    unsigned const wanted = mask & w.alive(threads_, running_ / 32);
    unsigned       come   = 0;
    if ((w.here & wanted) != wanted) return false;
    for (unsigned l = 0; l < 32; ++l)
      if ((w.here >> l & 1) && w.mask[l] == mask) come |= 1u << l;
    if (come == 0 || (come & wanted) != wanted) return false;
    unsigned first = 0;
    while (!(come >> first & 1)) ++first;
    w.execute[first](w.lane, come);
    for (unsigned l = 0; l < 32; ++l)
      if (come >> l & 1) state_[running_ / 32 * 32 + l] = state::ready;
    w.here &= ~come, w.whole &= ~come;
    return true;
  }
  void release_warp(warp& w) {
    for (unsigned l = 0; l < 32; ++l)
      if (w.here >> l & 1) meet(w, w.mask[l]);
  }

  bool release_barrier() {
    if (live_ == 0 || arrived_ < live_) return false;
    arrived_ = 0;
    counted_ = std::exchange(yes_, 0u);
    for (auto& s : state_)
      if (s == state::at_barrier) s = state::ready;
    return true;
  }

  /// Goes on with another lane of this warp, whose stacks the cache still holds. Every so often the next warp has its turn,
  /// so that one that polls with warp operations does not keep out those it waits for.
  void yield_in_warp() {
    unsigned const first = running_ & ~31u, lanes = std::min(threads_ - first, 32u);
    if (++stayed_ % 1024 == 0) return yield(false, first + lanes - 1);
    for (unsigned k = 1, l = running_ - first; k < lanes; ++k) {
      l = l + 1 == lanes ? 0 : l + 1;
      if (state_[first + l] != state::ready) continue;
      unsigned const me = running_;
      place(first + l);
      return fibers_[running_].resume_from(fibers_[me]);
    }
    yield();
  }

  void yield(bool for_good = false) { yield(for_good, running_); }
  void yield(bool for_good, unsigned after) {
    for (unsigned k = 0, next = after; k < threads_; ++k) {
      next = next + 1 == threads_ ? 0 : next + 1;
      if (state_[next] == state::waiting && waits_[next].over(waits_[next].argument)) state_[next] = state::ready;
      if (state_[next] != state::ready) continue;
      if (next == running_) return;
      unsigned const me = running_;
      place(next);
      fibers_[next].resume_from(fibers_[me], for_good);
      return;
    }
    std::fprintf(stderr, "tenon: simt: deadlock: no thread of block (%u, %u, %u) can go on\n", blockIdx.x, blockIdx.y,
                 blockIdx.z);
    given_up_ = true;
    main_.resume_from(fibers_[running_], true);
  }

  void place(unsigned t) {
    running_  = t;
    threadIdx = index_[t];
  }

  unsigned threads_ = 0, live_ = 0, arrived_ = 0, running_ = 0;
  unsigned stayed_ = 0;
  unsigned yes_ = 0, counted_ = 0;  // of the block barrier that counts
  bool     given_up_           = false;
  void (*body_)(void const*)   = nullptr;
  void const*        argument_ = nullptr;
  fiber              main_;
  std::vector<fiber> fibers_;
  std::vector<state> state_;
  std::vector<uint3> index_;  // threadIdx of each
  std::vector<wait>  waits_;
  std::vector<warp>  warps_;
  named_barrier      named_[16];
  stack_pool         stacks_;
};

}  // namespace tenon::simt
