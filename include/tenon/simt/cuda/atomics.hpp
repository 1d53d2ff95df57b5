#pragma once
//  Atomics of CUDA C++: relaxed, each in three forms, for the device, _block and _system. The types are those of the
//  programming guide ("Atomic functions"); another type finds no function.
#include <tenon/simt/cuda/half.hpp>
#include <tenon/simt/machine.hpp>

#include <type_traits>

namespace tenon::simt::detail {

template <class T, class Next>
T update(T* p, site at, scope how_far, Next next) {
  return machine::atomic_update(p, memory_order::relaxed, how_far, at, next);
}

}  // namespace tenon::simt::detail

// AFTER is the value that replaces b, in terms of the argument v.
#define TENON_SIMT_ATOMIC_FORM(NAME, SCOPE, T, AFTER)                                    \
  inline T NAME(T* p, T v, tenon::simt::site at = tenon::simt::site::here()) {           \
    return tenon::simt::detail::update(p, at, tenon::simt::scope::SCOPE, [v](T b) -> T { \
      (void)b;                                                                           \
      return AFTER;                                                                      \
    });                                                                                  \
  }
#define TENON_SIMT_ATOMIC(NAME, T, AFTER)               \
  TENON_SIMT_ATOMIC_FORM(NAME, device, T, AFTER)        \
  TENON_SIMT_ATOMIC_FORM(NAME##_block, block, T, AFTER) \
  TENON_SIMT_ATOMIC_FORM(NAME##_system, device, T, AFTER)
#define TENON_SIMT_CAS_FORM(NAME, SCOPE, T)                                                        \
  inline T NAME(T* p, T expected, T v, tenon::simt::site at = tenon::simt::site::here()) {         \
    return tenon::simt::detail::update(p, at, tenon::simt::scope::SCOPE,                           \
                                       [expected, v](T b) -> T { return b == expected ? v : b; }); \
  }
#define TENON_SIMT_CAS(T)                        \
  TENON_SIMT_CAS_FORM(atomicCAS, device, T)      \
  TENON_SIMT_CAS_FORM(atomicCAS_block, block, T) \
  TENON_SIMT_CAS_FORM(atomicCAS_system, device, T)

// clang-format off
TENON_SIMT_ATOMIC(atomicAdd, int, static_cast<int>(static_cast<unsigned>(b) + static_cast<unsigned>(v)))
TENON_SIMT_ATOMIC(atomicAdd, unsigned, b + v)
TENON_SIMT_ATOMIC(atomicAdd, unsigned long long, b + v)
TENON_SIMT_ATOMIC(atomicAdd, float, b + v)
TENON_SIMT_ATOMIC(atomicAdd, double, b + v)
TENON_SIMT_ATOMIC(atomicAdd, __half, b + v)
TENON_SIMT_ATOMIC(atomicAdd, __half2, b + v)
TENON_SIMT_ATOMIC(atomicAdd, __nv_bfloat16, b + v)
TENON_SIMT_ATOMIC(atomicAdd, __nv_bfloat162, b + v)

TENON_SIMT_ATOMIC(atomicSub, int, static_cast<int>(static_cast<unsigned>(b) - static_cast<unsigned>(v)))
TENON_SIMT_ATOMIC(atomicSub, unsigned, b - v)

TENON_SIMT_ATOMIC(atomicMin, int, v < b ? v : b)
TENON_SIMT_ATOMIC(atomicMin, unsigned, v < b ? v : b)
TENON_SIMT_ATOMIC(atomicMin, long long, v < b ? v : b)
TENON_SIMT_ATOMIC(atomicMin, unsigned long long, v < b ? v : b)
TENON_SIMT_ATOMIC(atomicMax, int, b < v ? v : b)
TENON_SIMT_ATOMIC(atomicMax, unsigned, b < v ? v : b)
TENON_SIMT_ATOMIC(atomicMax, long long, b < v ? v : b)
TENON_SIMT_ATOMIC(atomicMax, unsigned long long, b < v ? v : b)

TENON_SIMT_ATOMIC(atomicAnd, int, b & v)
TENON_SIMT_ATOMIC(atomicAnd, unsigned, b & v)
TENON_SIMT_ATOMIC(atomicAnd, unsigned long long, b & v)
TENON_SIMT_ATOMIC(atomicOr, int, b | v)
TENON_SIMT_ATOMIC(atomicOr, unsigned, b | v)
TENON_SIMT_ATOMIC(atomicOr, unsigned long long, b | v)
TENON_SIMT_ATOMIC(atomicXor, int, b ^ v)
TENON_SIMT_ATOMIC(atomicXor, unsigned, b ^ v)
TENON_SIMT_ATOMIC(atomicXor, unsigned long long, b ^ v)

TENON_SIMT_ATOMIC(atomicExch, int, v)
TENON_SIMT_ATOMIC(atomicExch, unsigned, v)
TENON_SIMT_ATOMIC(atomicExch, unsigned long long, v)
TENON_SIMT_ATOMIC(atomicExch, float, v)

// One more, back to 0 after v; one less, back to v after 0 and from beyond v.
TENON_SIMT_ATOMIC(atomicInc, unsigned, b >= v ? 0 : b + 1)
TENON_SIMT_ATOMIC(atomicDec, unsigned, b == 0 || b > v ? v : b - 1)

TENON_SIMT_CAS(int)
TENON_SIMT_CAS(unsigned)
TENON_SIMT_CAS(unsigned long long)
TENON_SIMT_CAS(unsigned short)
// clang-format on

#undef TENON_SIMT_ATOMIC
#undef TENON_SIMT_ATOMIC_FORM
#undef TENON_SIMT_CAS
#undef TENON_SIMT_CAS_FORM
