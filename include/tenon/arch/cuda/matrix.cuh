#pragma once
//  Tensor-core fragments. PTX: ldmatrix, stmatrix, movmatrix, mma.sync.aligned. Whole warps, converged.
//
//  mma_<shape><A, B>(d, a, b) computes d += a b for A of m x k (rows contiguous) and B of k x n (columns contiguous); B is A
//  where it is left out. What d is made of chooses the accumulators:
//
//    shape                    elements                        d                                  from
//    m16n8k8, m16n8k16        f16, bf16                       float[4]; f16 also uint32_t[2]     sm_80
//    m16n8k4, m16n8k8         tf32                            float[4]                           sm_80
//    m16n8k16, m16n8k32       e4m3, e5m2, A and B may differ  float[4] or uint32_t[2] (f16)      sm_89
//    m8n8k16, m16n8k16,       int8_t, uint8_t, A and B may    int32_t[4], of m8 int32_t[2]; a    sm_80
//    m16n8k32                 differ                          third argument
//    m8n8k32, m16n8k32,       s4, u4, A and B may differ      overflow::saturate clamps it
//    m16n8k64
//
//  All shapes share one layout (PTX ISA, "Matrix fragments for mma ..."). In words of 32 bits along k, with g = lane / 4 and
//  t = lane % 4, and element p of word w being k = p + w * (elements per word):
//    A  a[r]  is word t + 4 * (r / (m / 8)) of row g + 8 * (r % (m / 8))
//    B  b[r]  is word t + 4 * r of column g
//    D  d[v]  is D[g + 8 * (v / 2)][2 * t + v % 2]; of f16, d[r] holds D[g + 8 * r][2 * t] and, above it, [2 * t + 1]
//  For m16n8k16 of f16 that is A[g + 8 * (r & 1)][2 * t + h + 8 * (r >> 1)] in half h of a[r], B[2 * t + h + 8 * r][g].
//
//  fp8 on sm_90: ptxas makes two f16 products of each instruction (simt/tensor_core/model.hpp). Four-bit integers there are
//  widened to eight bits, many instructions for one.
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

/// The inverse of ldmatrix; from sm_90 on, before it traps.
template <int N>
__device__ inline void stmatrix([[maybe_unused]] void* row, [[maybe_unused]] std::uint32_t const (&r)[N]) {
  static_assert(N == 1 || N == 2 || N == 4, "tenon::arch::stmatrix: N must be 1, 2 or 4");
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  auto const to = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (N == 1)
    asm volatile("stmatrix.sync.aligned.m8n8.x1.shared.b16 [%0], {%1};" ::"r"(to), "r"(r[0]) : "memory");
  if constexpr (N == 2)
    asm volatile("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%0], {%1, %2};" ::"r"(to), "r"(r[0]), "r"(r[1]) : "memory");
  if constexpr (N == 4)
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(r[0]), "r"(r[1]),
                 "r"(r[2]), "r"(r[3])
                 : "memory");
#else
  __trap();
#endif
}

/// The inverse of ldmatrix_transposed; from sm_90 on, before it traps.
template <int N>
__device__ inline void stmatrix_transposed([[maybe_unused]] void* row, [[maybe_unused]] std::uint32_t const (&r)[N]) {
  static_assert(N == 1 || N == 2 || N == 4, "tenon::arch::stmatrix_transposed: N must be 1, 2 or 4");
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  auto const to = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (N == 1)
    asm volatile("stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%0], {%1};" ::"r"(to), "r"(r[0]) : "memory");
  if constexpr (N == 2)
    asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(to), "r"(r[0]), "r"(r[1])
                 : "memory");
  if constexpr (N == 4)
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(r[0]),
                 "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
#else
  __trap();
#endif
}

/// The transpose of one 8 x 8 matrix of 16-bit elements: `v` holds row g, columns 2t and 2t + 1, the result rows 2t and
/// 2t + 1 of column g.
__device__ inline std::uint32_t movmatrix(std::uint32_t v) {
  std::uint32_t r;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(r) : "r"(v));
  return r;
}

namespace detail {

/// Bits of an operand's element; 0 of what is none.
template <class T>
inline constexpr int operand_bits = 0;
template <>
inline constexpr int operand_bits<f16> = 16;
template <>
inline constexpr int operand_bits<bf16> = 16;
template <>
inline constexpr int operand_bits<tf32> = 32;
template <>
inline constexpr int operand_bits<e4m3> = 8;
template <>
inline constexpr int operand_bits<e5m2> = 8;
template <>
inline constexpr int operand_bits<std::int8_t> = 8;
template <>
inline constexpr int operand_bits<std::uint8_t> = 8;
template <>
inline constexpr int operand_bits<s4> = 4;
template <>
inline constexpr int operand_bits<u4> = 4;

/// Registers of a fragment of `rows` x k elements.
template <class T, int Rows, int K>
inline constexpr int registers_of = Rows* K* operand_bits<T> / 1024;

// How many registers d, a and b are, and the constraint of d.
#define TENON_MMA_442(INSTRUCTION, C)                                                                             \
  asm volatile("mma.sync.aligned." INSTRUCTION " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
               : "+" C(d[0]), "+" C(d[1]), "+" C(d[2]), "+" C(d[3])                                               \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#define TENON_MMA_421(INSTRUCTION, C)                                                                 \
  asm volatile("mma.sync.aligned." INSTRUCTION " {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};" \
               : "+" C(d[0]), "+" C(d[1]), "+" C(d[2]), "+" C(d[3])                                   \
               : "r"(a[0]), "r"(a[1]), "r"(b[0]))
#define TENON_MMA_242(INSTRUCTION, C)                                                             \
  asm volatile("mma.sync.aligned." INSTRUCTION " {%0, %1}, {%2, %3, %4, %5}, {%6, %7}, {%0, %1};" \
               : "+" C(d[0]), "+" C(d[1])                                                         \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#define TENON_MMA_221(INSTRUCTION, C)                                                 \
  asm volatile("mma.sync.aligned." INSTRUCTION " {%0, %1}, {%2, %3}, {%4}, {%0, %1};" \
               : "+" C(d[0]), "+" C(d[1])                                             \
               : "r"(a[0]), "r"(a[1]), "r"(b[0]))
#define TENON_MMA_211(INSTRUCTION, C)                                             \
  asm volatile("mma.sync.aligned." INSTRUCTION " {%0, %1}, {%2}, {%3}, {%0, %1};" \
               : "+" C(d[0]), "+" C(d[1])                                         \
               : "r"(a[0]), "r"(b[0]))

// The four pairs of two operand types.
#define TENON_MMA_PAIR(REGISTERS, SHAPE, D, X, XNAME, Y, YNAME, C) \
  if constexpr (std::is_same_v<A, X> && std::is_same_v<B, Y>)      \
  TENON_MMA_##REGISTERS(SHAPE "." D "." XNAME "." YNAME "." D, C)
#define TENON_MMA_PAIRS(REGISTERS, SHAPE, PREFIX, D, X, XNAME, Y, YNAME, C)     \
  TENON_MMA_PAIR(REGISTERS, SHAPE ".row.col" PREFIX, D, X, XNAME, X, XNAME, C); \
  TENON_MMA_PAIR(REGISTERS, SHAPE ".row.col" PREFIX, D, X, XNAME, Y, YNAME, C); \
  TENON_MMA_PAIR(REGISTERS, SHAPE ".row.col" PREFIX, D, Y, YNAME, X, XNAME, C); \
  TENON_MMA_PAIR(REGISTERS, SHAPE ".row.col" PREFIX, D, Y, YNAME, Y, YNAME, C)
#define TENON_MMA_INTEGERS(REGISTERS, SHAPE, X, XNAME, Y, YNAME)                     \
  if constexpr (Overflow == overflow::wrap) {                                        \
    TENON_MMA_PAIRS(REGISTERS, SHAPE, "", "s32", X, XNAME, Y, YNAME, "r");           \
  } else {                                                                           \
    TENON_MMA_PAIRS(REGISTERS, SHAPE, ".satfinite", "s32", X, XNAME, Y, YNAME, "r"); \
  }

template <class A, class B, class D, int Registers>
inline constexpr bool is_float_mma = std::is_same_v<A, B>&& std::is_same_v<D, float>&& Registers == 4;
template <class A, class B, class D, int Registers>
inline constexpr bool        is_f16_mma =
    std::is_same_v<A, f16>&& std::is_same_v<B, f16>&& std::is_same_v<D, std::uint32_t>&& Registers == 2;
template <class T>
inline constexpr bool is_fp8 = std::is_same_v<T, e4m3> || std::is_same_v<T, e5m2>;
template <class A, class B, class D, int Registers>
inline constexpr bool is_fp8_mma = is_fp8<A>&& is_fp8<B> && ((std::is_same_v<D, float> && Registers == 4) ||
                                                             (std::is_same_v<D, std::uint32_t> && Registers == 2));
template <class T>
inline constexpr bool is_int8 = std::is_same_v<T, std::int8_t> || std::is_same_v<T, std::uint8_t>;
template <class T>
inline constexpr bool is_int4 = std::is_same_v<T, s4> || std::is_same_v<T, u4>;
template <int M, class D, int Registers>
inline constexpr bool is_integer_sum = std::is_same_v<D, std::int32_t>&& Registers == M / 4;

}  // namespace detail

/// bf16, f16 (also with f16 accumulators), tf32.
template <class A, class B = A, class D, int N>
__device__ inline void mma_m16n8k8(D (&d)[N], std::uint32_t const (&a)[detail::registers_of<A, 16, 8>],
                                   std::uint32_t const (&b)[detail::registers_of<B, 8, 8>]) {
  constexpr bool to_float = detail::is_float_mma<A, B, D, N>;
  static_assert(detail::is_f16_mma<A, B, D, N> ||
                    (to_float && (std::is_same_v<A, f16> || std::is_same_v<A, bf16> || std::is_same_v<A, tf32>)),
                "tenon::arch::mma_m16n8k8: no such operands and accumulators");
  if constexpr (detail::is_f16_mma<A, B, D, N>) TENON_MMA_221("m16n8k8.row.col.f16.f16.f16.f16", "r");
  else if constexpr (std::is_same_v<A, f16>) TENON_MMA_421("m16n8k8.row.col.f32.f16.f16.f32", "f");
  else if constexpr (std::is_same_v<A, bf16>) TENON_MMA_421("m16n8k8.row.col.f32.bf16.bf16.f32", "f");
  else TENON_MMA_442("m16n8k8.row.col.f32.tf32.tf32.f32", "f");
}

/// tf32.
template <class A, class B = A, class D, int N>
__device__ inline void mma_m16n8k4(D (&d)[N], std::uint32_t const (&a)[detail::registers_of<A, 16, 4>],
                                   std::uint32_t const (&b)[detail::registers_of<B, 8, 4>]) {
  static_assert(std::is_same_v<A, tf32> && detail::is_float_mma<A, B, D, N>,
                "tenon::arch::mma_m16n8k4: no such operands and accumulators");
  TENON_MMA_421("m16n8k4.row.col.f32.tf32.tf32.f32", "f");
}

/// bf16, f16 (also with f16 accumulators); fp8; eight-bit integers.
template <class A, class B = A, overflow Overflow = overflow::wrap, class D, int N>
__device__ inline void mma_m16n8k16(D (&d)[N], std::uint32_t const (&a)[detail::registers_of<A, 16, 16>],
                                    std::uint32_t const (&b)[detail::registers_of<B, 8, 16>]) {
  constexpr bool to_float = detail::is_float_mma<A, B, D, N>;
  constexpr bool integers = detail::is_int8<A> && detail::is_int8<B> && detail::is_integer_sum<16, D, N>;
  static_assert(integers || detail::is_fp8_mma<A, B, D, N> || detail::is_f16_mma<A, B, D, N> ||
                    (to_float && (std::is_same_v<A, f16> || std::is_same_v<A, bf16>)),
                "tenon::arch::mma_m16n8k16: no such operands and accumulators");
  if constexpr (integers) {
    TENON_MMA_INTEGERS(421, "m16n8k16", std::int8_t, "s8", std::uint8_t, "u8");
  } else if constexpr (detail::is_fp8<A>) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    if constexpr (N == 4) {
      TENON_MMA_PAIRS(421, "m16n8k16", "", "f32", e4m3, "e4m3", e5m2, "e5m2", "f");
    } else {
      TENON_MMA_PAIRS(221, "m16n8k16", "", "f16", e4m3, "e4m3", e5m2, "e5m2", "r");
    }
#else
    __trap();
#endif
  } else if constexpr (detail::is_f16_mma<A, B, D, N>) {
    TENON_MMA_242("m16n8k16.row.col.f16.f16.f16.f16", "r");
  } else if constexpr (std::is_same_v<A, f16>) {
    TENON_MMA_442("m16n8k16.row.col.f32.f16.f16.f32", "f");
  } else {
    TENON_MMA_442("m16n8k16.row.col.f32.bf16.bf16.f32", "f");
  }
}

/// fp8; eight-bit and four-bit integers.
template <class A, class B = A, overflow Overflow = overflow::wrap, class D, int N>
__device__ inline void mma_m16n8k32(D (&d)[N], std::uint32_t const (&a)[detail::registers_of<A, 16, 32>],
                                    std::uint32_t const (&b)[detail::registers_of<B, 8, 32>]) {
  constexpr bool int8 = detail::is_int8<A> && detail::is_int8<B> && detail::is_integer_sum<16, D, N>;
  constexpr bool int4 = detail::is_int4<A> && detail::is_int4<B> && detail::is_integer_sum<16, D, N>;
  static_assert(int8 || int4 || detail::is_fp8_mma<A, B, D, N>,
                "tenon::arch::mma_m16n8k32: no such operands and accumulators");
  if constexpr (int8) {
    TENON_MMA_INTEGERS(442, "m16n8k32", std::int8_t, "s8", std::uint8_t, "u8");
  } else if constexpr (int4) {
    TENON_MMA_INTEGERS(421, "m16n8k32", s4, "s4", u4, "u4");
  } else {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    if constexpr (N == 4) {
      TENON_MMA_PAIRS(442, "m16n8k32", "", "f32", e4m3, "e4m3", e5m2, "e5m2", "f");
    } else {
      TENON_MMA_PAIRS(242, "m16n8k32", "", "f16", e4m3, "e4m3", e5m2, "e5m2", "r");
    }
#else
    __trap();
#endif
  }
}

/// Four-bit integers.
template <class A, class B = A, overflow Overflow = overflow::wrap, class D, int N>
__device__ inline void mma_m16n8k64(D (&d)[N], std::uint32_t const (&a)[detail::registers_of<A, 16, 64>],
                                    std::uint32_t const (&b)[detail::registers_of<B, 8, 64>]) {
  static_assert(detail::is_int4<A> && detail::is_int4<B> && detail::is_integer_sum<16, D, N>,
                "tenon::arch::mma_m16n8k64: no such operands and accumulators");
  TENON_MMA_INTEGERS(442, "m16n8k64", s4, "s4", u4, "u4");
}

/// Eight-bit integers, eight rows.
template <class A, class B = A, overflow Overflow = overflow::wrap, class D, int N>
__device__ inline void mma_m8n8k16(D (&d)[N], std::uint32_t const (&a)[detail::registers_of<A, 8, 16>],
                                   std::uint32_t const (&b)[detail::registers_of<B, 8, 16>]) {
  static_assert(detail::is_int8<A> && detail::is_int8<B> && detail::is_integer_sum<8, D, N>,
                "tenon::arch::mma_m8n8k16: no such operands and accumulators");
  TENON_MMA_INTEGERS(211, "m8n8k16", std::int8_t, "s8", std::uint8_t, "u8");
}

/// Four-bit integers, eight rows.
template <class A, class B = A, overflow Overflow = overflow::wrap, class D, int N>
__device__ inline void mma_m8n8k32(D (&d)[N], std::uint32_t const (&a)[detail::registers_of<A, 8, 32>],
                                   std::uint32_t const (&b)[detail::registers_of<B, 8, 32>]) {
  static_assert(detail::is_int4<A> && detail::is_int4<B> && detail::is_integer_sum<8, D, N>,
                "tenon::arch::mma_m8n8k32: no such operands and accumulators");
  TENON_MMA_INTEGERS(211, "m8n8k32", s4, "s4", u4, "u4");
}

#undef TENON_MMA_442
#undef TENON_MMA_421
#undef TENON_MMA_242
#undef TENON_MMA_221
#undef TENON_MMA_211
#undef TENON_MMA_PAIR
#undef TENON_MMA_PAIRS
#undef TENON_MMA_INTEGERS

/// Several at a time, of T = f16 or bf16: d[i][j].v += a[i].r b[j / 2][j % 2].r, b in pairs as ldmatrix x4 brings them.
template <class T, class D, class A, class B, int High, int Wide, int Pairs>
__device__ inline void mma_m16n8k16_tiles(D (&d)[High][Wide], A const (&a)[High], B const (&b)[Pairs][2]) {
  static_assert(Wide == 2 * Pairs, "tenon::arch::mma_m16n8k16_tiles: one fragment of b for each column of d");
  TENON_UNROLL
  for (int i = 0; i < High; ++i) {
    TENON_UNROLL
    for (int j = 0; j < Wide; ++j) mma_m16n8k16<T>(d[i][j].v, a[i].r, b[j / 2][j % 2].r);
  }
}

/// first.v += a.r b[0].r, second.v += a.r b[1].r.
template <class T, class D, class A, class B>
__device__ inline void mma_m16n8k16_pair(D& first, D& second, A const& a, B const (&b)[2]) {
  mma_m16n8k16<T>(first.v, a.r, b[0].r);
  mma_m16n8k16<T>(second.v, a.r, b[1].r);
}

}  // namespace tenon::inline cuda::arch
