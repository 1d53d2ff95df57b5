#pragma once
//  What one thread does by itself: clocks, sleep, traps, hints; printf and assert are the C library's.
#include <tenon/config.hpp>
#include <tenon/simt/machine.hpp>
#include <tenon/simt/site.hpp>
#include <tenon/simt/vocabulary.hpp>
#if !TENON_CHECKED
#  include <tenon/simt/plain/block.hpp>
#endif

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <assert.h>
#include <stdio.h>
#include <time.h>

/// Nanoseconds of a clock that only goes on. Says nothing about a device's speed. clock() is <time.h>'s.
inline long long clock64() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Lets others run. No time passes.
inline void __nanosleep(unsigned, tenon::simt::site at = tenon::simt::site::here()) {
  tenon::simt::machine::give_way(at);
}

/// Ends the program, and says where: on a device the launch fails.
[[noreturn]] inline void __trap(tenon::simt::site at = tenon::simt::site::here()) {
  using namespace tenon::simt;
  std::fprintf(stderr, "%s:%u: __trap() by thread (%u, %u, %u) of block (%u, %u, %u)\n", at.file, at.line, threadIdx.x,
               threadIdx.y, threadIdx.z, blockIdx.x, blockIdx.y, blockIdx.z);
  std::abort();
}
[[noreturn]] inline void __brkpt(tenon::simt::site at = tenon::simt::site::here()) { __trap(at); }

#if !defined(__clang__) && !defined(__builtin_assume)
#  define __builtin_assume(condition) static_cast<void>(0)
#endif
