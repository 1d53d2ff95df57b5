#pragma once
//  One thread block on one OS thread: its CUDA threads are fibers, its barriers and warp collectives are rendezvous.
//
//  Between two rendezvous the lanes of a warp run one after the other, in any order; there is no lock-step to rely on.
#include <tenon/simt/fiber.hpp>
#include <tenon/simt/site.hpp>
#include <tenon/simt/vocabulary.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
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
    shape_    = shape;
    body_     = body;
    argument_ = argument;
    live_     = threads_;
    arrived_  = 0;
    fibers_.resize(threads_);
    state_.assign(threads_, state::ready);
    warps_.assign((threads_ + 31) / 32, {});
    stacks_.reserve(threads_);
    for (unsigned t = 0; t < threads_; ++t)
      fibers_[t].prepare(stacks_.stack(t), stacks_.usable_bytes(), t % 32, &block::enter);
    current  = this;
    running_ = 0;
    place(0);
    fibers_[0].resume_from(main_);
    current = nullptr;
    return !given_up_;
  }

  /// __syncthreads: returns when every live thread of the block has come.
  void sync(site at) {
    (void)at;
    ++arrived_;
    state_[running_] = state::at_barrier;
    if (!release_barrier()) yield();
  }

  /// The lanes of `mask` meet; the last one runs execute(lanes) over everyone's argument, then all go on.
  void warp_collective(site at, unsigned mask, void* mine, void (*execute)(void* const*, unsigned)) {
    (void)at;
    warp& w               = warps_[running_ / 32];
    w.lane[running_ % 32] = mine;
    w.here |= 1u << (running_ % 32);
    w.mask[running_ % 32]    = mask;
    w.execute[running_ % 32] = execute;
    state_[running_]         = state::at_warp;
    if (!meet(w, mask)) yield();
  }

 private:
  enum class state : unsigned char { ready, at_barrier, at_warp, done };
  struct warp {
    void*    lane[32]                           = {};
    unsigned mask[32]                           = {};  // of the lanes that are here
    void (*execute[32])(void* const*, unsigned) = {};
    unsigned here                               = 0;
    unsigned exited                             = 0;
    unsigned alive(unsigned threads, unsigned index) const {
      unsigned const lanes = threads - index * 32;
      return (lanes >= 32 ? ~0u : (1u << lanes) - 1) & ~exited;
    }
  };

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
    w.here &= ~come;
    return true;
  }
  void release_warp(warp& w) {
    for (unsigned l = 0; l < 32; ++l)
      if (w.here >> l & 1) meet(w, w.mask[l]);
  }

  bool release_barrier() {
    if (live_ == 0 || arrived_ < live_) return false;
    arrived_ = 0;
    for (auto& s : state_)
      if (s == state::at_barrier) s = state::ready;
    return true;
  }

  void yield(bool for_good = false) {
    for (unsigned k = 1; k <= threads_; ++k) {
      unsigned const next = (running_ + k) % threads_;
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
    threadIdx = {t % shape_.x, t / shape_.x % shape_.y, t / shape_.x / shape_.y};
  }

  unsigned threads_ = 0, live_ = 0, arrived_ = 0, running_ = 0;
  bool     given_up_ = false;
  dim3     shape_;
  void (*body_)(void const*)   = nullptr;
  void const*        argument_ = nullptr;
  fiber              main_;
  std::vector<fiber> fibers_;
  std::vector<state> state_;
  std::vector<warp>  warps_;
  stack_pool         stacks_;
};

}  // namespace tenon::simt
