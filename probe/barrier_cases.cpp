// Memory barriers and bulk copies: which phases have ended after every step of a random, but legal life.
#include "probe.hpp"

namespace {

using probe::bench, probe::words;
using std::uint32_t;
namespace arch = tenon::arch;

/// Each lane leads a barrier of its own through 16 steps of arrivals; after each it asks for both parities.
struct phases {
  static constexpr char name[] = "mbarrier_phases",
                        primitives[] =
                            "mbarrier_init mbarrier_arrive mbarrier_test mbarrier_try_wait mbarrier_invalidate";
  static constexpr int inputs = 17, outputs = 2, items = probe::chunks * 4;
  static TENON_HD void draw(words& w, uint32_t* in) {
    in[0] = w.next() % 8 ? 1 + w.next() % 6 : (1u << 20) - 1;
    for (int i = 1; i < 17; ++i) in[i] = w.next();
  }
  static __device__ void apply(bench const& b, uint32_t const* in, uint32_t* out) {
    auto* const barrier = reinterpret_cast<arch::mbarrier*>(b.shared) + arch::lane();
    auto const  count   = static_cast<int>(in[0]);
    int         pending = count;
    arch::mbarrier_init(barrier, count);
    for (int step = 0; step < 16; ++step) {
      uint32_t const r     = in[1 + step];
      int const      comes = r % 3 ? 1 : r % 5 ? 1 + static_cast<int>(r >> 8) % pending : pending;
      arch::mbarrier_arrive(barrier, comes);
      pending = pending == comes ? count : pending - comes;
      out[0] |= (arch::mbarrier_test(barrier, 0) ? 1u : 0u) << (2 * step);
      out[0] |= (arch::mbarrier_test(barrier, 1) ? 2u : 0u) << (2 * step);
    }
    // Of the parity that has ended: a try for the other one may take its time.
    out[1] = arch::mbarrier_try_wait(barrier, arch::mbarrier_test(barrier, 0) ? 0 : 1);
    if (pending < count) arch::mbarrier_arrive(barrier, pending);  // it ends between two phases
    arch::mbarrier_invalidate(barrier);
    arch::sync_warp();
  }
};

/// Lane 0 leads a barrier through 24 steps of expected bytes, bulk loads and arrivals. It asks only where the answer does
/// not depend on when a copy lands: while something else is missing, and after a wait for what must end.
struct transactions {
  static constexpr char name[]       = "mbarrier_transactions",
                        primitives[] = "mbarrier_expect mbarrier_arrive_expect mbarrier_wait bulk_load";
  static constexpr int needs = 90, inputs = 25, outputs = 2, items = probe::chunks * 16;
  static TENON_HD void draw(words& w, uint32_t* in) {
    in[0] = 1 + w.next() % 4;
    for (int i = 1; i < 25; ++i) in[i] = w.next();
  }
  static __device__ void apply(bench const& b, uint32_t const* in, uint32_t* out) {
    auto* const barrier = reinterpret_cast<arch::mbarrier*>(b.shared);
    for (int i = arch::lane(); i < 1024; i += 32) reinterpret_cast<uint32_t*>(b.global)[i] = 0;
    arch::fence_proxy_async();
    arch::sync_warp();
    if (arch::lane() == 0) {
      auto const count   = static_cast<int>(in[0]);
      int        pending = count, owed = 0;
      unsigned   parity = 0;
      arch::mbarrier_init(barrier, count);
      arch::fence_mbarrier_init();
      for (int step = 0; step < 24; ++step) {
        uint32_t const r     = in[1 + step];
        int const      bytes = 16 * (1 + static_cast<int>(r >> 16) % 8);
        if (pending == 0 || (owed > 0 && r % 3 == 0)) {
          int const part = bytes < owed ? bytes : owed;
          arch::bulk_load(b.shared + 128 * (1 + step), b.global, part, barrier);  // each to a place of its own
          owed -= part;
        } else if (r % 3 == 1) {
          arch::mbarrier_expect(barrier, bytes), owed += bytes;
        } else if (r % 2) {
          arch::mbarrier_arrive_expect(barrier, bytes), owed += bytes, --pending;
        } else {
          arch::mbarrier_arrive(barrier), --pending;
        }
        if (pending == 0 && owed == 0) {
          arch::mbarrier_wait(barrier, parity);
          parity ^= 1, pending = count, ++out[1];
        }
        out[0] |= (arch::mbarrier_test(barrier, parity) ? 1u : 0u) << step;
      }
      if (owed > 0) arch::bulk_load(b.shared + 4096, b.global, owed, barrier);
      if (pending > 0) arch::mbarrier_arrive(barrier, pending);
      arch::mbarrier_wait(barrier, parity);
      arch::mbarrier_invalidate(barrier);
    }
    arch::sync_warp();
  }
};

/// A piece of memory goes to shared memory and back to another place.
struct bulk_copies {
  static constexpr char name[]       = "bulk_copies",
                        primitives[] = "bulk_load bulk_store bulk_commit bulk_wait bulk_wait_read fence_proxy_async";
  static constexpr int needs = 90, inputs = 3, outputs = 16, items = probe::chunks * 16;
  static TENON_HD void draw(words& w, uint32_t* in) {
    in[0] = 1 + w.common() % 64;                          // sixteen bytes each
    in[1] = w.common() % (65 - in[0]), in[2] = w.next();  // where they begin; what they hold
  }
  static __device__ void apply(bench const& b, uint32_t const* in, uint32_t* out) {
    auto* const barrier = reinterpret_cast<arch::mbarrier*>(b.shared);
    auto *const from = reinterpret_cast<uint32_t*>(b.global), *const to = from + 512;
    auto* const tile = reinterpret_cast<uint32_t*>(b.shared + 1024);
    int const   lane = arch::lane(), bytes = 16 * static_cast<int>(in[0]), first = 4 * static_cast<int>(in[1]);
    for (int i = lane; i < 256; i += 32) from[i] = in[2] * static_cast<uint32_t>(i + 1), to[i] = 0, tile[i] = 0;
    if (lane == 0) arch::mbarrier_init(barrier, 1), arch::fence_mbarrier_init();
    arch::fence_proxy_async();
    arch::sync_warp();
    if (lane == 0) {
      arch::mbarrier_arrive_expect(barrier, bytes);
      arch::bulk_load(tile + first, from + first, bytes, barrier);
      arch::mbarrier_wait(barrier, 0);
      arch::bulk_store(to, tile + first, bytes);
      arch::bulk_commit();
      arch::bulk_wait_read<0>();
      arch::bulk_wait<0>();
      arch::mbarrier_invalidate(barrier);
    }
    arch::sync_warp();
    for (int i = lane, k = 0; i < 256; i += 32, ++k) out[k] = to[i], out[8 + k] = tile[i];
    arch::sync_warp();
  }
};

}  // namespace

std::vector<probe::entry> probe::barrier_cases() { return make_all<phases, transactions, bulk_copies>(); }
