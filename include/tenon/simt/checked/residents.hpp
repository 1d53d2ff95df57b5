#pragma once
//  The blocks of a launch that are on their way at a time. One of them runs; the others have put their shared memory, what
//  is known of it and their machinery aside.
//
//  One block at a time is the default: fast, and a kernel whose blocks do not wait for each other needs no more. With
//  several, a block that cannot go on lets the next one start or go on, so that kernels whose blocks wait for each other
//  (grid barriers, look-back, stream-K) run, in the order of the schedule.
#include <tenon/simt/checked/counters.hpp>
#include <tenon/simt/checked/engines.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tenon::simt::checked {

/// One block and all that is its own.
class resident {
 public:
  /// Makes it the running block.
  void enter() {
    current        = &state_;
    shadow_now     = &shadows_;
    barriers_now   = &barriers_;
    engines_now    = &engines_;
    scheduler::now = &scheduler_;
    blockIdx       = index_;
    the_recorder().turn(&state_.me);
    exchange();
  }
  /// Puts it aside.
  void leave() { exchange(); }

  scheduler::outcome start(uint3 index, void (*body)(void const*), void const* argument, std::uint64_t seed) {
    index_   = index;
    blockIdx = index;
    state_.begin();
    shadows_.begin_block();
    barriers_.begin_block();
    engines_.begin_block();
    std::memset(memory.shared(), 0xff, state_.shared_bytes);
    if (the_launch().trace && state_.serial == 0)
      the_recorder().begin(
          (state_.threads + 31) / 32,
          "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) + ")",
          &state_.me);
    return scheduler_.start(body, argument, seed);
  }
  scheduler::outcome go_on() { return scheduler_.resume(); }
  void               report_deadlock() { scheduler_.report_deadlock(); }

  bool busy = false;

 private:
  /// Shared memory and its shadow are at one place for all: swaps them for what was put aside.
  void exchange() {
    if (the_launch().options.resident_blocks <= 1) return;
    std::size_t const bytes = the_launch().shared_bytes, cells = (bytes + 3) / 4;
    shared_.resize(bytes);
    cells_.resize(cells);
    std::swap_ranges(shared_.begin(), shared_.end(), memory.shared());
    std::swap_ranges(cells_.begin(), cells_.end(), memory.shadow + arena::shared_begin / 4);
    statics_.resize(memory.statics_bytes / 4);
    static_cells_.resize(memory.statics_bytes / 4);
    auto* const words = reinterpret_cast<std::uint32_t*>(memory.statics);
    for (std::size_t i = 0; i < statics_.size(); ++i)
      if (!memory.not_shared[i]) std::swap(statics_[i], words[i]), std::swap(static_cells_[i], memory.shadow[i]);
  }

  uint3                      index_;
  block_state                state_;
  shadow_state               shadows_;
  barrier_state              barriers_;
  engine_state               engines_;
  scheduler                  scheduler_;
  std::vector<std::byte>     shared_;
  std::vector<cell>          cells_, static_cells_;
  std::vector<std::uint32_t> statics_;
};

/// The blocks that are on their way.
class residents {
 public:
  static residents& instance() {
    static auto* const r = new residents;
    return *r;
  }

  /// Some block to be the running one outside a launch.
  void prepare() {
    if (all_.empty()) add();
    all_[0]->enter();
    all_[0]->leave();
  }

  /// Runs these blocks; false where the launch had to be given up.
  bool run(std::vector<uint3> const& blocks, std::vector<std::uint64_t> const& seeds, void (*body)(void const*),
           void const* argument) {
    auto&             l = the_launch();
    std::size_t const most =
        std::clamp<std::size_t>(static_cast<std::size_t>(std::max(l.options.resident_blocks, 1)), 1, blocks.size());
    while (all_.size() < most) add();
    for (auto& r : all_) r->busy = false;
    std::size_t   next = 0, active = 0, turn = 0, quiet = 0;
    std::uint64_t seen   = 0;
    std::uint64_t random = l.seed * 0x9e3779b97f4a7c15u + 7;
    while (next < blocks.size() || active > 0) {
      resident*          r = nullptr;
      scheduler::outcome outcome;
      if (active < most && next < blocks.size()) {
        r = &free();
        r->enter();
        r->busy = true;
        ++active;
        outcome = r->start(blocks[next], body, argument, seeds[next]);
        ++next;
      } else {
        if (l.options.schedule == schedule::random || l.options.schedule == schedule::priorities) {
          random ^= random << 13, random ^= random >> 7, random ^= random << 17;
          turn = random % most;
        }
        for (++turn; !all_[turn % most]->busy;) ++turn;
        r = all_[turn % most].get();
        r->enter();
        outcome = r->go_on();
      }
      if (outcome == scheduler::outcome::gave_up) {
        r->leave();
        return false;
      }
      if (outcome == scheduler::outcome::finished) {
        if (counting) counters().end_block();
        r->busy = false;
        --active;
      } else {
        quiet                = l.events == seen ? quiet + 1 : 0;
        seen                 = l.events;
        bool const may_start = next < blocks.size() && active < most;
        if (!may_start && quiet > 4 * (active - 1)) {  // everyone has looked several times, and nothing has happened
          r->report_deadlock();
          r->leave();
          return false;
        }
      }
      r->leave();
    }
    return true;
  }

 private:
  void      add() { all_.push_back(std::make_unique<resident>()); }
  resident& free() {
    for (auto& r : all_)
      if (!r->busy) return *r;
    return *all_[0];
  }
  std::vector<std::unique_ptr<resident>> all_;
};

}  // namespace tenon::simt::checked
