// ldmatrix, stmatrix and movmatrix against the table of the PTX ISA, with an integer of its own in every element; every
// mma.sync against products of small integers, which all types hold exactly.
#include <tenon/arch/arch.cuh>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/numeric.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <type_traits>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

constexpr int pitch = 24;  // elements from row to row: a multiple of 16 bytes, not of a matrix

struct ldmatrix_params {
  std::uint32_t* r;  // (32, count)
};

template <int Count, bool Transposed>
__global__ void load_matrices(__grid_constant__ ldmatrix_params const p) {
  using namespace tenon;
  struct storage {
    std::uint16_t element[4 * 8 * pitch];
  };
  auto&     s = arch::shared<storage>();
  int const t = static_cast<int>(threadIdx.x);
  // Element j of row i of matrix m is 64 m + 8 i + j; rows lie in reverse order.
  for (int row = t; row < 32; row += 32)
    for (int j = 0; j < 8; ++j) s.element[(31 - row) * pitch + j] = static_cast<std::uint16_t>(row * 8 + j);
  arch::sync_block();
  std::uint32_t r[Count];
  auto const*   mine = &s.element[(31 - t) * pitch];
  if constexpr (Transposed) arch::ldmatrix_transposed(r, mine);
  else arch::ldmatrix(r, mine);
  for (int i = 0; i < Count; ++i) p.r[t * Count + i] = r[i];
}

template <int Count, bool Transposed>
void expect_table() {
  test::on_every_target([](tenon::context const& where) {
    test::tensor<std::uint32_t, 1> r(32 * Count);
    ASSERT_TRUE(tenon::arch::launch("load_matrices", where, {.grid = 1, .block = 32, .shared_bytes = 4 * 8 * pitch * 2},
                                    load_matrices<Count, Transposed>, ldmatrix_params{r.view().data})
                    .ok());
    auto const got = r.values();
    for (int lane = 0; lane < 32; ++lane)
      for (int m = 0; m < Count; ++m) {
        int const g = lane / 4, t = lane % 4;
        int const low  = 64 * m + (Transposed ? 8 * (2 * t) + g : 8 * g + 2 * t);
        int const high = 64 * m + (Transposed ? 8 * (2 * t + 1) + g : 8 * g + 2 * t + 1);
        EXPECT_EQ(got[static_cast<std::size_t>(lane * Count + m)], static_cast<std::uint32_t>(low | high << 16))
            << "lane " << lane << ", matrix " << m;
      }
  });
}
TEST(ldmatrix, x1) { expect_table<1, false>(); }
TEST(ldmatrix, x2) { expect_table<2, false>(); }
TEST(ldmatrix, x4) { expect_table<4, false>(); }
TEST(ldmatrix, x1_transposed) { expect_table<1, true>(); }
TEST(ldmatrix, x2_transposed) { expect_table<2, true>(); }
TEST(ldmatrix, x4_transposed) { expect_table<4, true>(); }

// ---- stmatrix and movmatrix ---------------------------------------------------------------------------------------------

struct stmatrix_params {
  std::uint16_t* matrices;  // (count, 8, 8)
};

template <int Count, bool Transposed>
__global__ void store_matrices(__grid_constant__ stmatrix_params const p) {
  using namespace tenon;
  struct storage {
    std::uint16_t element[4 * 8 * pitch];
  };
  auto&         s = arch::shared<storage>();
  int const     t = static_cast<int>(threadIdx.x);
  std::uint32_t r[Count];
  for (int m = 0; m < Count; ++m) {  // element j of row i of matrix m is 64 m + 8 i + j, rows by lane / 4
    auto const first = static_cast<std::uint32_t>(64 * m + 2 * t);
    r[m]             = first | (first + 1) << 16;
  }
  auto* mine = &s.element[(31 - t) * pitch];
  if constexpr (Transposed) arch::stmatrix_transposed(mine, r);
  else arch::stmatrix(mine, r);
  arch::sync_block();
  for (int i = t; i < Count * 64; i += 32) p.matrices[i] = s.element[(31 - i / 8) * pitch + i % 8];
}

template <int Count, bool Transposed>
void expect_stored() {
  test::on_every_target([](tenon::context const& where) {
    if (TENON_CUDA && where.arch < 90) GTEST_SKIP() << "stmatrix is of sm_90";
    test::tensor<std::uint16_t, 1> matrices(64 * Count);
    ASSERT_TRUE(tenon::arch::launch("store_matrices", where,
                                    {.grid = 1, .block = 32, .shared_bytes = 4 * 8 * pitch * 2},
                                    store_matrices<Count, Transposed>, stmatrix_params{matrices.view().data})
                    .ok());
    auto const got = matrices.values();
    for (int i = 0; i < 64 * Count; ++i) {
      int const m = i / 64, row = i / 8 % 8, column = i % 8;
      EXPECT_EQ(got[static_cast<std::size_t>(i)], 64 * m + (Transposed ? 8 * column + row : 8 * row + column)) << i;
    }
  });
}
TEST(stmatrix, x1) { expect_stored<1, false>(); }
TEST(stmatrix, x2_transposed) { expect_stored<2, true>(); }
TEST(stmatrix, x4) { expect_stored<4, false>(); }

__global__ void transpose_matrix(__grid_constant__ ldmatrix_params const p) {
  using namespace tenon;
  auto const first = 2 * threadIdx.x;  // element j of row i is 8 i + j
  p.r[threadIdx.x] = arch::movmatrix(first | (first + 1) << 16);
}

TEST(movmatrix, transposes) {
  test::on_every_target([](tenon::context const& where) {
    test::tensor<std::uint32_t, 1> r(32);
    ASSERT_TRUE(tenon::arch::launch("transpose_matrix", where, {.grid = 1, .block = 32}, transpose_matrix,
                                    ldmatrix_params{r.view().data})
                    .ok());
    auto const got = r.values();
    for (int lane = 0; lane < 32; ++lane) {
      int const g = lane / 4, t = lane % 4;
      EXPECT_EQ(got[static_cast<std::size_t>(lane)], static_cast<std::uint32_t>((16 * t + g) | (16 * t + 8 + g) << 16));
    }
  });
}

// ---- mma.sync -----------------------------------------------------------------------------------------------------------

using tenon::bf16, tenon::e4m3, tenon::e5m2, tenon::f16, tenon::overflow, tenon::s4, tenon::tf32, tenon::u4;

/// Elements of an operand: how many bits, and the pattern of a small integer, which all of them hold exactly.
struct element {
  int bits, least, greatest;
  std::uint32_t (*pattern)(int);
};
template <class T>
constexpr element element_of = {8 * sizeof(T), -7, 7,
                                [](int v) -> std::uint32_t { return T(static_cast<float>(v)).bits; }};
template <>
constexpr element element_of<e5m2> = {8, -4, 4,
                                      [](int v) -> std::uint32_t { return e5m2(static_cast<float>(v)).bits; }};
template <>
constexpr element element_of<std::int8_t> = {8, -128, 127, [](int v) { return static_cast<std::uint32_t>(v) & 255u; }};
template <>
constexpr element element_of<std::uint8_t> = {8, 0, 255, [](int v) { return static_cast<std::uint32_t>(v) & 255u; }};
template <>
constexpr element element_of<s4> = {4, -8, 7, [](int v) { return static_cast<std::uint32_t>(v) & 15u; }};
template <>
constexpr element element_of<u4> = {4, 0, 15, [](int v) { return static_cast<std::uint32_t>(v) & 15u; }};

struct mma_params {
  std::uint32_t const* a;  // (samples, 32, 4), registers of A; b and d alike
  std::uint32_t const* b;
  std::uint32_t*       d;  // the accumulators before and after
};

template <int M, int K, class A, class B, class D, int N, overflow Overflow>
__global__ void multiply(__grid_constant__ mma_params const p) {
  using namespace tenon;
  constexpr int registers_a = M * K * element_of<A>.bits / 1024, registers_b = 8 * K * element_of<B>.bits / 1024;
  auto const    at = (static_cast<std::size_t>(blockIdx.x) * 32 + threadIdx.x) * 4;
  std::uint32_t a[registers_a], b[registers_b];
  D             d[N];
  for (int r = 0; r < registers_a; ++r) a[r] = p.a[at + static_cast<std::size_t>(r)];
  for (int r = 0; r < registers_b; ++r) b[r] = p.b[at + static_cast<std::size_t>(r)];
  for (int r = 0; r < N; ++r) d[r] = tenon::bit_cast<D>(p.d[at + static_cast<std::size_t>(r)]);
  if constexpr (K == 4) arch::mma_m16n8k4<A, B>(d, a, b);
  else if constexpr (K == 8) arch::mma_m16n8k8<A, B>(d, a, b);
  else if constexpr (M == 8 && K == 16) arch::mma_m8n8k16<A, B, Overflow>(d, a, b);
  else if constexpr (M == 8) arch::mma_m8n8k32<A, B, Overflow>(d, a, b);
  else if constexpr (K == 16) arch::mma_m16n8k16<A, B, Overflow>(d, a, b);
  else if constexpr (K == 32) arch::mma_m16n8k32<A, B, Overflow>(d, a, b);
  else arch::mma_m16n8k64<A, B, Overflow>(d, a, b);
  for (int r = 0; r < N; ++r) p.d[at + static_cast<std::size_t>(r)] = tenon::bit_cast<std::uint32_t>(d[r]);
}

enum class sums { f32, f16, s32 };

/// One instruction.
struct product {
  int     m, k;
  element a, b;
  sums    d;
  bool    saturates, fp8;
  tenon::status (*launch)(tenon::context const&, unsigned samples, mma_params);
};
template <int M, int K, class A, class B, class D, overflow Overflow = overflow::wrap>
product product_of() {
  constexpr sums d = std::is_same_v<D, float> ? sums::f32 : std::is_same_v<D, std::uint32_t> ? sums::f16 : sums::s32;
  return {M,
          K,
          element_of<A>,
          element_of<B>,
          d,
          Overflow == overflow::saturate,
          std::is_same_v<A, e4m3> || std::is_same_v<A, e5m2>,
          [](tenon::context const& where, unsigned samples, mma_params p) {
            return tenon::arch::launch("multiply", where, {.grid = samples, .block = 32}, multiply < M, K, A, B, D,
                                       d == sums::f16 ? 2 : M / 4, Overflow >, p);
          }};
}

/// Random products and one-hot rows of A, each against integer arithmetic. Fragments are laid out element by element as the
/// PTX ISA numbers them.
void expect_products(product const& what) {
  constexpr int    samples = 6;
  int const        m = what.m, k = what.k, bits = what.a.bits, each = 32 / bits, bands = m / 8;
  std::mt19937     engine(7);
  auto const       between = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine); };
  auto const       at      = [](int i) { return static_cast<std::size_t>(i); };
  std::vector<int> a(at(samples * m * k)), b(at(samples * k * 8)), c(at(samples * m * 8));
  std::vector<std::uint32_t> ra(samples * 128), rb(samples * 128), rd(samples * 128);
  for (int s = 0; s < samples; ++s) {
    for (int i = 0; i < m; ++i) {
      for (int x = 0; s % 2 == 0 && x < k; ++x) a[at((s * m + i) * k + x)] = between(what.a.least, what.a.greatest);
      if (s % 2) a[at((s * m + i) * k + between(0, k - 1))] = 1;
    }
    for (int i = 0; i < k * 8; ++i) b[at(s * k * 8 + i)] = between(what.b.least, what.b.greatest);
    for (int i = 0; i < m * 8; ++i)
      c[at(s * m * 8 + i)] =
          what.d == sums::s32 && i % 3 == 0 ? (i % 2 ? INT32_MAX - 5 : INT32_MIN + 5) : between(-50, 50);
    for (int lane = 0; lane < 32; ++lane) {
      int const  g = lane / 4, t = lane % 4;
      auto const own = [&](int r) { return at((s * 32 + lane) * 4 + r); };
      for (int i = 0; i < m * k / 32; ++i) {
        int const r = i / each, row = g + 8 * (r % bands), column = each * (t + 4 * (r / bands)) + i % each;
        ra[own(r)] |= what.a.pattern(a[at((s * m + row) * k + column)]) << (bits * (i % each));
      }
      for (int i = 0; i < 8 * k / 32; ++i) {
        int const r = i / each, row = each * (t + 4 * r) + i % each;
        rb[own(r)] |= what.b.pattern(b[at((s * k + row) * 8 + g)]) << (bits * (i % each));
      }
      for (int v = 0; v < m / 4; ++v) {
        int const e = c[at((s * m + g + 8 * (v / 2)) * 8 + 2 * t + v % 2)];
        if (what.d == sums::s32) rd[own(v)] = static_cast<std::uint32_t>(e);
        if (what.d == sums::f16) rd[own(v / 2)] |= element_of<f16>.pattern(e) << (v % 2 * 16);
        if (what.d == sums::f32) rd[own(v)] = tenon::bit_cast<std::uint32_t>(static_cast<float>(e));
      }
    }
  }
  test::on_every_target([&](tenon::context const& where) {
    if (TENON_CUDA && what.fp8 && where.arch < 89) return;  // no such instruction there
    test::tensor<std::uint32_t, 1> x(samples * 128), y(samples * 128), d(samples * 128);
    x.assign(ra), y.assign(rb), d.assign(rd);
    ASSERT_TRUE(what.launch(where, samples, {x.view().data, y.view().data, d.view().data}).ok());
    auto const got = d.values();
    for (int s = 0; s < samples; ++s)
      for (int i = 0; i < m; ++i)
        for (int j = 0; j < 8; ++j) {
          std::int64_t sum = c[at((s * m + i) * 8 + j)];
          for (int n = 0; n < k; ++n)
            sum += static_cast<std::int64_t>(a[at((s * m + i) * k + n)]) * b[at((s * k + n) * 8 + j)];
          if (what.saturates) sum = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
          auto const          own      = [&](int r) { return got[at((s * 32 + i % 8 * 4 + j / 2) * 4 + r)]; };
          int const           v        = i / 8 * 2 + j % 2;
          std::uint32_t const is       = what.d == sums::f16 ? own(v / 2) >> (v % 2 * 16) & 0xffffu : own(v);
          std::uint32_t const expected = what.d == sums::s32 ? static_cast<std::uint32_t>(sum)
                                         : what.d == sums::f16
                                             ? element_of<f16>.pattern(static_cast<int>(sum))
                                             : tenon::bit_cast<std::uint32_t>(static_cast<float>(sum));
          ASSERT_EQ(is, expected) << "sample " << s << ", row " << i << ", column " << j;
        }
  });
}

template <int K, class T>
void expect_sixteen_bits() {
  expect_products(product_of<16, K, T, T, float>());
  if constexpr (std::is_same_v<T, f16>) expect_products(product_of<16, K, T, T, std::uint32_t>());
}
TEST(mma, f16) { expect_sixteen_bits<8, f16>(), expect_sixteen_bits<16, f16>(); }
TEST(mma, bf16) { expect_sixteen_bits<8, bf16>(), expect_sixteen_bits<16, bf16>(); }
TEST(mma, tf32) {
  expect_products(product_of<16, 4, tf32, tf32, float>());
  expect_products(product_of<16, 8, tf32, tf32, float>());
}

template <int K, class A, class B>
void expect_fp8() {
  expect_products(product_of<16, K, A, B, float>());
  expect_products(product_of<16, K, A, B, std::uint32_t>());
}
TEST(mma, fp8_k16) {
  expect_fp8<16, e4m3, e4m3>(), expect_fp8<16, e4m3, e5m2>(), expect_fp8<16, e5m2, e4m3>(),
      expect_fp8<16, e5m2, e5m2>();
}
TEST(mma, fp8_k32) {
  expect_fp8<32, e4m3, e4m3>(), expect_fp8<32, e4m3, e5m2>(), expect_fp8<32, e5m2, e4m3>(),
      expect_fp8<32, e5m2, e5m2>();
}

template <int M, int K, class S, class U>
void expect_integers() {
  using D = std::int32_t;
  for (auto const& what :
       {product_of<M, K, S, S, D>(), product_of<M, K, S, U, D>(), product_of<M, K, U, S, D>(),
        product_of<M, K, U, U, D>(), product_of<M, K, S, S, D, overflow::saturate>(),
        product_of<M, K, S, U, D, overflow::saturate>(), product_of<M, K, U, S, D, overflow::saturate>(),
        product_of<M, K, U, U, D, overflow::saturate>()})
    expect_products(what);
}
TEST(mma, int8_m8n8k16) { expect_integers<8, 16, std::int8_t, std::uint8_t>(); }
TEST(mma, int8_m16n8k16) { expect_integers<16, 16, std::int8_t, std::uint8_t>(); }
TEST(mma, int8_m16n8k32) { expect_integers<16, 32, std::int8_t, std::uint8_t>(); }
TEST(mma, int4_m8n8k32) { expect_integers<8, 32, s4, u4>(); }
TEST(mma, int4_m16n8k32) { expect_integers<16, 32, s4, u4>(); }
TEST(mma, int4_m16n8k64) { expect_integers<16, 64, s4, u4>(); }

}  // namespace
