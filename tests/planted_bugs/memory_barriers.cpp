//  mbarriers: initialisation, arrivals, parities, phases and transaction bytes, in pipelines of producers and consumers.
//  CUDA has them as PTX only, so the plain kernels use arch:: for them.
#include "planted_bugs.hpp"

#include <tenon/tile/swizzle.cuh>

namespace planted_bugs {
namespace {

enum class fault {
  none,
  unsynced_init,   // 24
  arrivals,        // 25
  double_arrival,  // 26
  first_parity,    // 27
  same_parity,     // 28
  expects_less,    // 30
  expects_more,    // 31
  no_full_wait,    // 32
  no_empty_wait,   // 33
};

// ---- a ring of two stages: one thread starts bulk loads, a warp adds up what they bring ----------------------------

template <fault Fault>
__global__ void ring(float* y, float const* x, int tiles) {
  alignas(128) __shared__ float stage[2][64];
  __shared__ arch::mbarrier full[2], empty[2];
  constexpr int             bytes = sizeof stage[0];
  if (threadIdx.x == 0) {
    for (int s = 0; s < 2; ++s) {
      arch::mbarrier_init(&full[s], 1);
      arch::mbarrier_init(&empty[s], Fault == fault::arrivals ? 1 : 32);  // [ring: init]
    }
    arch::fence_mbarrier_init();
  }
  if (Fault != fault::unsynced_init) __syncthreads();
  if (threadIdx.x == 0) {
    for (int i = 0; i < tiles; ++i) {
      int const      s      = i % 2;
      unsigned const parity = static_cast<unsigned>(i / 2) % 2;
      if (Fault != fault::no_empty_wait)
        arch::mbarrier_wait(&empty[s], Fault == fault::first_parity ? parity : parity ^ 1);  // [ring: wait for empty]
      int const more = Fault == fault::expects_less ? -16 : Fault == fault::expects_more ? 16 : 0;
      arch::mbarrier_arrive_expect(&full[s], bytes + more);    // [ring: expect]
      arch::bulk_load(stage[s], x + 64 * i, bytes, &full[s]);  // [ring: load]
    }
  } else if (threadIdx.x >= 32) {
    unsigned const lane = threadIdx.x - 32;
    float          sum  = 0;
    for (int i = 0; i < tiles; ++i) {
      int const      s      = i % 2;
      unsigned const parity = static_cast<unsigned>(i / 2) % 2;
      if (Fault != fault::no_full_wait)
        arch::mbarrier_wait(&full[s], Fault == fault::same_parity ? 0 : parity);              // [ring: wait for full]
      sum += stage[s][lane] + stage[s][lane + 32];                                            // [ring: read]
      arch::mbarrier_arrive(&empty[s], Fault == fault::double_arrival && lane == 0 ? 2 : 1);  // [ring: arrive]
    }
    y[lane] = sum;
  }
}

// ---- a relay of two stages: two warps store, a third one adds up ---------------------------------------------------

struct relay_storage {
  tile::shared_tile<float, 1, 64> stage[2];
  arch::mbarrier                  full[2], empty[2];
};

template <fault Fault>
__global__ void relay(float* y, float const* x, int tiles) {
  auto&     shared = arch::shared<relay_storage>();
  int const t = static_cast<int>(threadIdx.x), lane = arch::lane();
  if (t == 0) {
    for (int s = 0; s < 2; ++s) {
      arch::mbarrier_init(&shared.full[s], Fault == fault::arrivals ? 65 : 64);
      arch::mbarrier_init(&shared.empty[s], 32);
    }
    arch::fence_mbarrier_init();
  }
  if (Fault != fault::unsynced_init) arch::sync_block();
  if (arch::warp() < 2) {
    for (int i = 0; i < tiles; ++i) {
      int const      s      = i % 2;
      unsigned const parity = static_cast<unsigned>(i / 2) % 2;
      if (Fault != fault::no_empty_wait)
        arch::mbarrier_wait(&shared.empty[s], Fault == fault::same_parity ? 1 : parity ^ 1);  // [relay: wait for empty]
      shared.stage[s](0, t) = x[64 * i + t];                                                  // [relay: write]
      arch::mbarrier_arrive(&shared.full[s]);                                                 // [relay: arrive]
      if (Fault == fault::double_arrival && t == 0) arch::mbarrier_arrive(&shared.full[s]);   // [relay: again]
    }
  } else {
    float sum = 0;
    for (int i = 0; i < tiles; ++i) {
      int const      s      = i % 2;
      unsigned const parity = static_cast<unsigned>(i / 2) % 2;
      if (Fault != fault::no_full_wait)
        arch::mbarrier_wait(&shared.full[s], parity ^ (Fault == fault::first_parity));  // [relay: wait for full]
      sum += shared.stage[s](0, lane) + shared.stage[s](0, lane + 32);                  // [relay: read]
      arch::mbarrier_arrive(&shared.empty[s]);
    }
    y[lane] = sum;
  }
}

// ---- 29: a phase is overtaken ---------------------------------------------------------------------------------------

// Nothing is overwritten, so nobody thought of waiting for the consumer; but a phase has one bit.
template <bool Bug>
__global__ void progress(float* y, float const* x, int steps) {
  __shared__ float row[8][32];
  __shared__ arch::mbarrier ready, seen;
  unsigned const            lane = threadIdx.x % 32;
  if (threadIdx.x == 0) arch::mbarrier_init(&ready, 32), arch::mbarrier_init(&seen, 32);
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < steps; ++i) {
    unsigned const parity = static_cast<unsigned>(i) % 2;
    if (threadIdx.x < 32) {
      if (!Bug && i > 0) arch::mbarrier_wait(&seen, parity ^ 1);
      row[i][lane] = x[32 * i + static_cast<int>(lane)];
      arch::mbarrier_arrive(&ready);  // [progress: arrive]
    } else {
      arch::mbarrier_wait(&ready, parity);  // [progress: wait]
      sum += row[i][31 - lane];
      if (!Bug) arch::mbarrier_arrive(&seen);
    }
  }
  if (threadIdx.x >= 32) y[lane] = sum;
}

struct shared_barrier_storage {
  tile::shared_tile<float, 1, 64> stage[2];
  arch::mbarrier                  full[2], empty[2];
};

// Two buffers, each with its own empty barrier, but one full barrier for both: a producer two ahead wraps its phase.
template <bool Bug>
__global__ void one_full_barrier(float* y, float const* x, int tiles) {
  auto&     shared = arch::shared<shared_barrier_storage>();
  int const t = static_cast<int>(threadIdx.x), lane = arch::lane();
  if (t == 0)
    for (int s = 0; s < 2; ++s) arch::mbarrier_init(&shared.full[s], 1), arch::mbarrier_init(&shared.empty[s], 32);
  arch::sync_block();
  if (t == 0) {
    for (int i = 0; i < tiles; ++i) {
      auto* const full = &shared.full[Bug ? 0 : i % 2];
      arch::mbarrier_wait(&shared.empty[i % 2], static_cast<unsigned>(i / 2 % 2) ^ 1);
      arch::mbarrier_arrive_expect(full, 256);                              // [one_full_barrier: expect]
      arch::bulk_load(shared.stage[i % 2].element, x + 64 * i, 256, full);  // [one_full_barrier: load]
    }
  } else if (t >= 32) {
    float sum = 0;
    for (int i = 0; i < tiles; ++i) {
      arch::mbarrier_wait(&shared.full[Bug ? 0 : i % 2], static_cast<unsigned>(Bug ? i % 2 : i / 2 % 2));
      sum += shared.stage[i % 2](0, lane);
      arch::mbarrier_arrive(&shared.empty[i % 2]);
    }
    y[lane] = sum;
  }
}

// ---- 30, 31: two loads of one phase, the bytes counted by hand ------------------------------------------------------

struct two_loads_storage {
  tile::shared_tile<float, 1, 64> row, weight;
  arch::mbarrier                  full;
};

template <fault Fault>
__global__ void weighted(float* y, float const* x, float const* weight) {
  auto&         shared   = arch::shared<two_loads_storage>();
  int const     t        = static_cast<int>(threadIdx.x);
  constexpr int expected = Fault == fault::expects_less ? 256 : Fault == fault::expects_more ? 768 : 512;
  if (t == 0) {
    arch::mbarrier_init(&shared.full, 1);
    arch::mbarrier_arrive_expect(&shared.full, expected);  // [weighted: expect]
    arch::bulk_load(shared.row.element, x, 256, &shared.full);
    arch::bulk_load(shared.weight.element, weight, 256, &shared.full);  // [weighted: load]
  }
  arch::sync_block();
  arch::mbarrier_wait(&shared.full, 0);           // [weighted: wait]
  y[t] = shared.row(0, t) * shared.weight(0, t);  // [weighted: read]
}

template <fault Fault>
report run_ring(check_options const& o, bool bug) {
  buffer<float> x(5 * 64, 1.f), y(32);
  return check(o, bug ? ring<Fault> : ring<fault::none>, 1, 64, 0, y.data(), x.data(), 5);
}
template <fault Fault>
report run_relay(check_options const& o, bool bug) {
  buffer<float> x(5 * 64, 1.f), y(32);
  return check(o, bug ? relay<Fault> : relay<fault::none>, 1, 96, sizeof(relay_storage), y.data(), x.data(), 5);
}
template <fault Fault>
report run_weighted(check_options const& o, bool bug) {
  buffer<float> x(64, 1.f), w(64, 2.f), y(64);
  return check(o, bug ? weighted<Fault> : weighted<fault::none>, 1, 64, sizeof(two_loads_storage), y.data(), x.data(),
               w.data());
}

// clang-format off
planted_case const cases[] = {
    {24, "ring", style::cuda, "no barrier behind mbarrier_init",
     {{kind::read_after_write, "ring: wait for full"}, {kind::barrier_misuse, "ring: wait for full"}},
     run_ring<fault::unsynced_init>, copies::asynchronous},
    {24, "relay", style::tenon, "no barrier behind mbarrier_init",
     {{kind::read_after_write, "relay: wait for full"}, {kind::barrier_misuse, "relay: wait for full"}},
     run_relay<fault::unsynced_init>},
    {25, "ring", style::cuda, "more threads arrive than are counted",
     {{kind::phase_overtaken, "ring: arrive"}}, run_ring<fault::arrivals>, copies::asynchronous},
    {25, "relay", style::tenon, "fewer threads arrive than are counted",
     {{kind::deadlock, "relay: wait for full"}}, run_relay<fault::arrivals>},
    {26, "ring", style::cuda, "a lane arrives twice",
     {{kind::barrier_misuse, "ring: arrive", "ring: init"}, {kind::write_after_read, "ring: load", "ring: read"},
      {kind::unwaited_copy, "ring: read", "ring: load"}, {kind::deadlock, "ring: wait for full"}},
     run_ring<fault::double_arrival>, copies::asynchronous},
    {26, "relay", style::tenon, "a lane arrives twice",
     {{kind::barrier_misuse, "relay: again"}, {kind::read_after_write, "relay: read", "relay: write"},
      {kind::write_after_read, "relay: write", "relay: read"}},
     run_relay<fault::double_arrival>},
    {27, "ring", style::cuda, "the producer begins with the wrong parity",
     {{kind::deadlock, "ring: wait for empty"}}, run_ring<fault::first_parity>, copies::asynchronous},
    {27, "relay", style::tenon, "the consumer begins with the wrong parity",
     {{kind::read_after_write, "relay: read", "relay: write"}, {kind::write_after_read, "relay: read", "relay: write"}},
     run_relay<fault::first_parity>},
    {28, "ring", style::cuda, "the consumer never flips its parity",
     {{kind::phase_overtaken, "ring: arrive"}, {kind::unwaited_copy, "ring: read", "ring: load"},
      {kind::deadlock, "ring: wait for full"}},
     run_ring<fault::same_parity>, copies::asynchronous},
    {28, "relay", style::tenon, "the producers never flip their parity",
     {{kind::phase_overtaken, "relay: arrive"}, {kind::write_after_read, "relay: write", "relay: read"},
      {kind::read_after_write, "relay: write", "relay: read"}},
     run_relay<fault::same_parity>},
    {29, "progress", style::cuda, "nobody waits for the consumer to have looked",
     {{kind::phase_overtaken, "progress: arrive"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(8 * 32, 1.f), y(32);
       return check(o, bug ? progress<true> : progress<false>, 1, 64, 0, y.data(), x.data(), 8);
     }},
    {29, "one_full_barrier", style::tenon, "one full barrier for two buffers",
     {{kind::phase_overtaken, "one_full_barrier: load"}, {kind::barrier_misuse, "one_full_barrier: expect"}},
     [](check_options const& o, bool bug) {
       buffer<float> x(6 * 64, 1.f), y(32);
       return check(o, bug ? one_full_barrier<true> : one_full_barrier<false>, 1, 64, sizeof(shared_barrier_storage),
                    y.data(), x.data(), 6);
     },
     copies::asynchronous},
    {30, "ring", style::cuda, "expects fewer bytes than come",
     {{kind::transaction_mismatch, "ring: wait for full"}}, run_ring<fault::expects_less>, copies::asynchronous},
    {30, "weighted", style::tenon, "expects the bytes of one load of two",
     {{kind::unwaited_copy, "weighted: read"}}, run_weighted<fault::expects_less>, copies::asynchronous},
    {31, "ring", style::cuda, "expects more bytes than come",
     {{kind::transaction_mismatch, "ring: wait for full"}}, run_ring<fault::expects_more>, copies::asynchronous},
    {31, "weighted", style::tenon, "expects the bytes of three loads",
     {{kind::transaction_mismatch, "weighted: wait"}}, run_weighted<fault::expects_more>, copies::asynchronous},
    {32, "ring", style::cuda, "reads before the stage is full",
     {{kind::unwaited_copy, "ring: read", "ring: load"}, {kind::uninitialised_read, "ring: read"}},
     run_ring<fault::no_full_wait>, copies::asynchronous},
    {32, "relay", style::tenon, "reads before the stage is full",
     {{kind::read_after_write, "relay: read", "relay: write"}, {kind::write_after_read, "relay: read", "relay: write"}},
     run_relay<fault::no_full_wait>},
    {33, "ring", style::cuda, "loads into a stage that is still in use",
     {{kind::unwaited_copy, "ring: load", "ring: load"}, {kind::write_after_read, "ring: load", "ring: read"}},
     run_ring<fault::no_empty_wait>, copies::asynchronous},
    {33, "relay", style::tenon, "writes to a stage that is still in use",
     {{kind::phase_overtaken, "relay: arrive"}, {kind::write_after_read, "relay: write", "relay: read"},
      {kind::read_after_write, "relay: write", "relay: read"}},
     run_relay<fault::no_empty_wait>},
};
// clang-format on

}  // namespace

chapter const memory_barriers{__FILE__, cases};

}  // namespace planted_bugs
