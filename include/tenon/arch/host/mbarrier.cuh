#pragma once
//  Memory barriers, see cuda/mbarrier.cuh.
#include <tenon/simt/machine.hpp>

#include <cstdint>

namespace tenon::inline host::arch {

struct alignas(8) mbarrier {
  std::uint64_t opaque;
};

inline void mbarrier_init(mbarrier* b, int arrivals, simt::site at = simt::site::here()) {
  simt::machine::mbarrier_init(b, arrivals, at);
}
inline void mbarrier_invalidate(mbarrier* b, simt::site at = simt::site::here()) {
  simt::machine::mbarrier_invalidate(b, at);
}
inline void mbarrier_arrive(mbarrier* b, int count = 1, simt::site at = simt::site::here()) {
  simt::machine::mbarrier_arrive(b, count, 0, at);
}
inline void mbarrier_expect(mbarrier* b, int bytes, simt::site at = simt::site::here()) {
  simt::machine::mbarrier_expect(b, bytes, at);
}
inline void mbarrier_arrive_expect(mbarrier* b, int bytes, simt::site at = simt::site::here()) {
  simt::machine::mbarrier_arrive(b, 1, bytes, at);
}
inline bool mbarrier_test(mbarrier* b, unsigned parity, simt::site at = simt::site::here()) {
  return simt::machine::mbarrier_test(b, parity, false, at);
}
inline bool mbarrier_try_wait(mbarrier* b, unsigned parity, simt::site at = simt::site::here()) {
  return simt::machine::mbarrier_test(b, parity, true, at);
}
inline void mbarrier_wait(mbarrier* b, unsigned parity, simt::site at = simt::site::here()) {
  simt::machine::mbarrier_wait(b, parity, at);
}
inline void mbarrier_arrive_after_copies(mbarrier* b, simt::site at = simt::site::here()) {
  simt::machine::mbarrier_arrive_after_copies(b, at);
}

}  // namespace tenon::inline host::arch
