// ldmatrix against the table of the PTX ISA, with an integer of its own in every element; mma.sync against integer
// products, which f16, bf16 and f32 all hold exactly.
#include <tenon/arch/arch.cuh>
#include <tenon/core/numeric.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
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

template <class T>
struct mma_params {
  T const*     a;  // (16, 16) row-major
  T const*     b;  // (16, 8)  row-major
  float const* c;  // (16, 8)  row-major
  float*       d;  // (16, 8)  row-major
};

template <class T>
__device__ std::uint32_t pair(T low, T high) {
  return low.bits | static_cast<std::uint32_t>(high.bits) << 16;
}

template <class T>
__global__ void multiply(__grid_constant__ mma_params<T> const p) {
  using namespace tenon;
  int const     g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  std::uint32_t a[4], b[2];
  float         d[4];
  for (int r = 0; r < 4; ++r) {
    T const* const at = p.a + (g + 8 * (r & 1)) * 16 + 2 * t + 8 * (r >> 1);
    a[r]              = pair(at[0], at[1]);
  }
  for (int r = 0; r < 2; ++r) b[r] = pair(p.b[(2 * t + 8 * r) * 8 + g], p.b[(2 * t + 1 + 8 * r) * 8 + g]);
  for (int v = 0; v < 4; ++v) d[v] = p.c[(g + 8 * (v >> 1)) * 8 + 2 * t + (v & 1)];
  arch::mma_m16n8k16<T>(d, a, b);
  for (int v = 0; v < 4; ++v) p.d[(g + 8 * (v >> 1)) * 8 + 2 * t + (v & 1)] = d[v];
}

template <class T>
class mma : public testing::Test {};
using types = testing::Types<tenon::f16, tenon::bf16>;
TYPED_TEST_SUITE(mma, types);

TYPED_TEST(mma, m16n8k16_is_exact_on_integers) {
  using T = TypeParam;
  std::mt19937                       engine(7);
  std::uniform_int_distribution<int> small(-9, 9), large(-5000, 5000);
  std::vector<int>                   a(256), b(128), c(128);
  std::vector<T>                     at(256), bt(128);
  std::vector<float>                 ct(128);
  for (std::size_t i = 0; i < 256; ++i) a[i] = small(engine), at[i] = T(static_cast<float>(a[i]));
  for (std::size_t i = 0; i < 128; ++i) b[i] = small(engine), bt[i] = T(static_cast<float>(b[i]));
  for (std::size_t i = 0; i < 128; ++i) c[i] = large(engine), ct[i] = static_cast<float>(c[i]);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<T, 1>     x(256), y(128);
    test::tensor<float, 1> z(128), d(128);
    x.assign(at), y.assign(bt), z.assign(ct);
    ASSERT_TRUE(tenon::arch::launch("multiply", where, {.grid = 1, .block = 32}, multiply<T>,
                                    mma_params<T>{x.view().data, y.view().data, z.view().data, d.view().data})
                    .ok());
    auto const got = d.values();
    for (std::size_t i = 0; i < 16; ++i)
      for (std::size_t j = 0; j < 8; ++j) {
        int expected = c[i * 8 + j];
        for (std::size_t k = 0; k < 16; ++k) expected += a[i * 16 + k] * b[k * 8 + j];
        EXPECT_EQ(got[i * 8 + j], static_cast<float>(expected)) << i << ", " << j;
      }
  });
}

}  // namespace
