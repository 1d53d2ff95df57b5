// Bank conflicts and global sectors of accesses whose numbers are known.
#include <tenon/arch/arch.cuh>
#include <tenon/simt/check.hpp>
#include <tenon/simt/cuda.hpp>
#include <tenon/simt/expect.hpp>

#include <gtest/gtest.h>

#include <cstdint>

#if TENON_CHECKED

namespace {

using namespace tenon;

// A column of a 32 x Pitch tile of words: 32 passes where the pitch is 32, one where it is 33.
template <int Pitch>
void column(float* y) {
  auto* const s = reinterpret_cast<float*>(&arch::shared<std::byte>());
  for (unsigned i = threadIdx.x; i < 32 * Pitch; i += 32) s[i] = 1;
  arch::sync_block();
  y[threadIdx.x] = s[threadIdx.x * Pitch];
}
template <int Pitch>
simt::report run_column() {
  simt::buffer<float> y(32);
  return simt::check({.count_wavefronts = true}, column<Pitch>, 1, 32, 32 * Pitch * 4, y.data());
}
TEST(wavefronts, a_padded_column_has_no_conflicts) {
  auto const bad = run_column<32>(), good = run_column<33>();
  EXPECT_TRUE(is_clean(bad)) << "a conflict is no finding";
  EXPECT_EQ(bad.bank_conflicts(), 31u);
  EXPECT_EQ(good.bank_conflicts(), 0u);
  EXPECT_EQ(bad.ideal, 33u);  // 32 stores, one load
}

// The same with a static tile.
template <int Pitch>
void static_column(float* y) {
  __shared__ float s[32][Pitch];
  for (unsigned i = 0; i < 32; ++i) s[i][threadIdx.x] = 1;
  arch::sync_block();
  y[threadIdx.x] = s[threadIdx.x][0];
}
TEST(wavefronts, static_tiles_count_too) {
  simt::buffer<float> y(32);
  EXPECT_EQ(simt::check({.count_wavefronts = true}, static_column<32>, 1, 32, 0, y.data()).bank_conflicts(), 31u);
  EXPECT_EQ(simt::check({.count_wavefronts = true}, static_column<33>, 1, 32, 0, y.data()).bank_conflicts(), 0u);
}

// Rows of 64 bytes: eight of them lie in two banks' groups of 16 bytes, unless the chunk is exclusive-ored with the row.
template <bool Swizzled>
void rows(std::uint32_t* y) {
  auto* const s = reinterpret_cast<std::uint16_t*>(&arch::shared<std::byte>());
  for (unsigned i = threadIdx.x; i < 32 * 32; i += 32) s[i] = 1;
  arch::sync_block();
  unsigned const row = threadIdx.x, chunk = Swizzled ? (row >> 1) & 3 : 0;
  std::uint32_t  r[4];
  arch::ldmatrix(r, s + row * 32 + chunk * 8);
  y[threadIdx.x] = r[0] + r[1] + r[2] + r[3];
}
template <bool Swizzled>
simt::report run_rows() {
  simt::buffer<std::uint32_t> y(32);
  return simt::check({.count_wavefronts = true}, rows<Swizzled>, 1, 32, 32 * 32 * 2, y.data());
}
TEST(wavefronts, a_swizzle_spares_ldmatrix_its_conflicts) {
  EXPECT_EQ(run_rows<false>().bank_conflicts(), 4u * 3u);  // four matrices, each in four passes
  EXPECT_EQ(run_rows<true>().bank_conflicts(), 0u);
}

// 16-byte vectors: a quarter warp is one pass where its lanes lie side by side.
template <int Stride>
void vectors(float* y) {
  auto* const s = reinterpret_cast<float*>(&arch::shared<std::byte>());
  arch::store(s + threadIdx.x * Stride, vec<float, 4>{1, 2, 3, 4});
  y[threadIdx.x] = s[threadIdx.x * Stride];
}
TEST(wavefronts, vectors_are_served_by_quarter_warps) {
  simt::buffer<float> y(32);
  auto const          side_by_side = simt::check({.count_wavefronts = true}, vectors<4>, 1, 32, 4096, y.data());
  auto const          far_apart    = simt::check({.count_wavefronts = true}, vectors<32>, 1, 32, 4096, y.data());
  EXPECT_EQ(side_by_side.bank_conflicts(), 3u);  // the scalar loads, four words apart; the vectors have none
  EXPECT_EQ(far_apart.bank_conflicts(), 4u * 7u + 31u);
}

// Global memory moves sectors of 32 bytes: side by side a warp's words fill four, with a stride of 32 bytes each needs its own.
template <int Stride>
void strided(float* y, float const* x) {
  y[threadIdx.x] = x[threadIdx.x * Stride];
}
template <int Stride>
simt::report run_strided() {
  simt::buffer<float> x(32 * Stride, 1.f), y(32);
  return simt::check({.count_wavefronts = true}, strided<Stride>, 1, 32, 0, y.data(), x.data());
}
TEST(sectors, count_what_a_warp_moves) {
  auto const dense = run_strided<1>(), sparse = run_strided<8>();
  EXPECT_EQ(dense.requests, 2u);
  EXPECT_EQ(dense.sectors, 4u + 4u);
  EXPECT_EQ(dense.ideal_sectors, 4u + 4u);
  EXPECT_EQ(sparse.sectors, 32u + 4u);
  EXPECT_EQ(sparse.ideal_sectors, 4u + 4u);
}
TEST(sectors, a_word_for_all_is_one) {
  simt::buffer<float> x(1, 1.f), y(32);
  auto const          found = simt::check(
               {.count_wavefronts = true}, [](float* to, float const* from) { to[threadIdx.x] = from[0]; }, 1, 32, 0, y.data(),
               x.data());
  EXPECT_EQ(found.sectors, 1u + 4u);
}

}  // namespace

#endif
