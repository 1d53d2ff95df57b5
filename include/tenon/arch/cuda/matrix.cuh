#pragma once
//  Tensor-core fragments. PTX: ldmatrix, mma.sync.aligned. Whole warps only.
//
//  With g = lane / 4 and t = lane % 4, register r and half h (PTX ISA, "Matrix fragments for mma.m16n8k16"):
//    A  a[r].h  is A[g + 8 * (r & 1)][2 * t + h + 8 * (r >> 1)]     16 x 16, row-major
//    B  b[r].h  is B[2 * t + h + 8 * r][g]                          16 x 8,  column-major
//    D  d[v]    is D[g + 8 * (v >> 1)][2 * t + (v & 1)]             16 x 8,  fp32
#include <tenon/core/numeric.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::inline cuda::arch {

/// Loads N (1, 2, 4) 8 x 8 matrices of 16-bit elements; lane 8 * m + i gives the address of row i of matrix m (16-byte
/// aligned, in shared memory). Register r of lane holds row g, columns 2t and 2t + 1 of matrix r.
template <int N>
__device__ inline void ldmatrix(std::uint32_t (&r)[N], void const* row) {
  static_assert(N == 1 || N == 2 || N == 4, "tenon::arch::ldmatrix: N must be 1, 2 or 4");
  auto const from = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (N == 1)
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(from) : "memory");
  if constexpr (N == 2)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(from)
                 : "memory");
  if constexpr (N == 4)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(from)
                 : "memory");
}

/// The same, each matrix transposed: register r of lane holds rows 2t and 2t + 1, column g of matrix r.
template <int N>
__device__ inline void ldmatrix_transposed(std::uint32_t (&r)[N], void const* row) {
  static_assert(N == 1 || N == 2 || N == 4, "tenon::arch::ldmatrix_transposed: N must be 1, 2 or 4");
  auto const from = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (N == 1)
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(from) : "memory");
  if constexpr (N == 2)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(from)
                 : "memory");
  if constexpr (N == 4)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(from)
                 : "memory");
}

/// d += a b, one m16n8k16 step of T (f16 or bf16), fp32 accumulate.
template <class T>
__device__ inline void mma_m16n8k16(float (&d)[4], std::uint32_t const (&a)[4], std::uint32_t const (&b)[2]) {
  static_assert(sizeof(T) == 2 && is_floating<T>, "tenon::arch::mma_m16n8k16: T must be f16 or bf16");
  if constexpr (std::is_same_v<T, f16>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace tenon::inline cuda::arch
