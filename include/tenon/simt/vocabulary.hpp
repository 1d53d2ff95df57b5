#pragma once
//  The words of CUDA C++ that a kernel needs where no CUDA compiler is: function qualifiers as empty macros, the
//  built-in index variables, dim3.
#include <cstddef>

#ifndef __global__
#  define __global__
#endif
#ifndef __device__
#  define __device__
#endif
#ifndef __host__
#  define __host__
#endif
#ifndef __forceinline__
#  define __forceinline__ inline
#endif
#ifndef __grid_constant__
#  define __grid_constant__
#endif
#ifndef __launch_bounds__
#  define __launch_bounds__(...)
#endif

namespace tenon::simt {

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3() = default;
  constexpr dim3(unsigned x_, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
  constexpr             operator uint3() const { return {x, y, z}; }
  constexpr std::size_t count() const { return std::size_t{x} * y * z; }
};

// Where the running fiber stands; set at every switch. Trivial types, so an access is one load from thread storage.
inline thread_local uint3 threadIdx;
inline thread_local uint3 blockIdx;
inline thread_local dim3  blockDim;
inline thread_local dim3  gridDim;

}  // namespace tenon::simt
