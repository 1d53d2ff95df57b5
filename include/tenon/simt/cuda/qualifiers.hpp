#pragma once
//  CUDA's qualifiers for variables and functions, beside those of simt/vocabulary.hpp.
#include <tenon/simt/launch.hpp>
#include <tenon/simt/vocabulary.hpp>

// One instance per OS thread, as blocks of a plain run are spread over several; a checked run watches it as it does
// dynamic shared memory. A constructor is left out on a device; here it runs once per OS thread, never once per block.
#ifndef __shared__
#  define __shared__ \
    static thread_local  // for `extern __shared__ T x[]` use auto* const x = tenon::simt::dynamic_shared<T>()
#endif
// Variables at namespace scope: host and kernels share one memory, so host code assigns to them directly.
#ifndef __constant__
#  define __constant__
#endif
#ifndef __managed__
#  define __managed__
#endif
#ifndef __align__
#  define __align__(bytes) __attribute__((aligned(bytes)))
#endif
// Empty, so that __attribute__((__noinline__)) in the standard library's headers stays what it is.
#ifndef __noinline__
#  define __noinline__
#endif
#ifndef __maxnreg__
#  define __maxnreg__(registers)
#endif

#if TENON_CHECKED
namespace tenon::simt::detail {
inline bool const statics_are_watched = (watch_static_shared(), true);
}
#endif

using tenon::simt::blockDim;
using tenon::simt::blockIdx;
using tenon::simt::dim3;
using tenon::simt::gridDim;
using tenon::simt::threadIdx;
using tenon::simt::uint3;
inline constexpr int warpSize = 32;
