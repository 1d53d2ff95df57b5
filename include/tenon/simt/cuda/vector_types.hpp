#pragma once
//  CUDA's vector types, their alignments (CUDA C++ programming guide, "Built-in vector types"), and make_*.
#include <tenon/simt/vocabulary.hpp>

#define TENON_SIMT_VECTOR(T, NAME, ALIGN2, ALIGN4)                              \
  struct NAME##1 {                                                              \
    T x;                                                                        \
  };                                                                            \
  struct alignas(ALIGN2) NAME##2 {                                              \
    T x, y;                                                                     \
  };                                                                            \
  struct alignas(ALIGN4) NAME##4 {                                              \
    T x, y, z, w;                                                               \
  };                                                                            \
  constexpr NAME##1 make_##NAME##1(T x) { return {x}; }                         \
  constexpr NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }                 \
  constexpr NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; }         \
  constexpr NAME##4 make_##NAME##4(T x, T y, T z, T w) { return {x, y, z, w}; } \
  static_assert(sizeof(NAME##3) == 3 * sizeof(T) && sizeof(NAME##4) == 4 * sizeof(T))
#define TENON_SIMT_THREE(T, NAME) \
  struct NAME##3 {                \
    T x, y, z;                    \
  }

// clang-format off
TENON_SIMT_THREE(signed char, char);
TENON_SIMT_THREE(unsigned char, uchar);
TENON_SIMT_THREE(short, short);
TENON_SIMT_THREE(unsigned short, ushort);
TENON_SIMT_THREE(int, int);
TENON_SIMT_THREE(long, long);
TENON_SIMT_THREE(unsigned long, ulong);
TENON_SIMT_THREE(long long, longlong);
TENON_SIMT_THREE(unsigned long long, ulonglong);
TENON_SIMT_THREE(float, float);
TENON_SIMT_THREE(double, double);
using tenon::simt::uint3;

TENON_SIMT_VECTOR(signed char,        char,      2,  4);
TENON_SIMT_VECTOR(unsigned char,      uchar,     2,  4);
TENON_SIMT_VECTOR(short,              short,     4,  8);
TENON_SIMT_VECTOR(unsigned short,     ushort,    4,  8);
TENON_SIMT_VECTOR(int,                int,       8,  16);
TENON_SIMT_VECTOR(unsigned,           uint,      8,  16);
TENON_SIMT_VECTOR(long,               long,      16, 16);
TENON_SIMT_VECTOR(unsigned long,      ulong,     16, 16);
TENON_SIMT_VECTOR(long long,          longlong,  16, 16);
TENON_SIMT_VECTOR(unsigned long long, ulonglong, 16, 16);
TENON_SIMT_VECTOR(float,              float,     8,  16);
TENON_SIMT_VECTOR(double,             double,    16, 16);
// clang-format on

#undef TENON_SIMT_VECTOR
#undef TENON_SIMT_THREE
