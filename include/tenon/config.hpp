#pragma once
//  The library's macros. Everything else is C++.

// The target that this translation unit is compiled for. Names that differ between the two live in
// `namespace tenon::inline TENON_TARGET`, so that one program can link code of both.
#if defined(__CUDACC__)
#  define TENON_CUDA 1
#  define TENON_TARGET cuda
#else
#  define TENON_CUDA 0
#  define TENON_TARGET host
#endif

// What the host target compiles: the kernels of every architecture, so that a run may act as each (1), or the host's own
// alone (0), which is several times faster to compile. One value per program.
#if !defined(TENON_ACT_AS)
#  define TENON_ACT_AS 1
#endif

// The host target's checked build: this translation unit is compiled with -fsanitize=thread and linked with
// simt/checked_runtime.cpp instead of libtsan. Define it as 0 to run the real ThreadSanitizer over host code.
#if !defined(TENON_CHECKED)
#  if defined(__SANITIZE_THREAD__)
#    define TENON_CHECKED 1
#  elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#      define TENON_CHECKED 1
#    endif
#  endif
#endif
#if !defined(TENON_CHECKED)
#  define TENON_CHECKED 0
#endif

// A function that runs on both sides of a launch.
#if TENON_CUDA
#  define TENON_HD __host__ __device__
#else
#  define TENON_HD
#endif

// A loop whose trip count is a constant and whose body indexes registers.
#if TENON_CUDA || defined(__clang__)
#  define TENON_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#  define TENON_UNROLL _Pragma("GCC unroll 64")
#else
#  define TENON_UNROLL
#endif

// The same for a loop that only a GPU gains by: on the host, where the registers of a fiber are memory anyway, unrolled
// warp tiles cost minutes of compile time.
#if TENON_CUDA
#  define TENON_UNROLL_DEVICE _Pragma("unroll")
#else
#  define TENON_UNROLL_DEVICE
#endif

// Returns the first status that is not ok.
#define TENON_TRY(expression)                                                            \
  do {                                                                                   \
    if (auto const tenon_status = (expression); !tenon_status.ok()) return tenon_status; \
  } while (false)
