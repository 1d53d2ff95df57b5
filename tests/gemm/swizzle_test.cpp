#include <tenon/tile/mma.cuh>
#include <tenon/tile/swizzle.cuh>

#include <gtest/gtest.h>

#include <set>

namespace {

/// The most addresses, of eight chunks that one phase of a 16-byte access serves, in one group of four banks.
template <class Offset>
int conflicts(Offset const& offset) {
  int per_group[8] = {}, worst = 0;
  for (int i = 0; i < 8; ++i) {
    int const group = offset(i) % 8;
    worst           = ++per_group[group] > worst ? per_group[group] : worst;
  }
  return worst - 1;
}

template <int Chunks>
void check() {
  SCOPED_TRACE(Chunks);
  constexpr int rows = 64;
  auto const    at   = [](int row, int chunk) { return row * Chunks + tenon::tile::swizzle<Chunks>(row, chunk); };

  // A permutation of each row, its own inverse.
  std::set<int> all;
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < Chunks; ++c) {
      int const to = tenon::tile::swizzle<Chunks>(r, c);
      EXPECT_TRUE(to >= 0 && to < Chunks);
      EXPECT_EQ(tenon::tile::swizzle<Chunks>(r, to), c);
      all.insert(at(r, c));
    }
  EXPECT_EQ(all.size(), static_cast<std::size_t>(rows * Chunks));

  // ldmatrix: each 8 x 8 matrix is eight rows of one chunk, from a multiple of eight rows on.
  for (int r = 0; r < rows; r += 8)
    for (int c = 0; c < Chunks; ++c) EXPECT_EQ(conflicts([&](int i) { return at(r + i, c); }), 0) << r << ", " << c;

  // Copies: eight threads write eight consecutive chunks, in the order of rows.
  for (int first = 0; first + 8 <= rows * Chunks; first += 8)
    EXPECT_EQ(conflicts([&](int i) { return at((first + i) / Chunks, (first + i) % Chunks); }), 0) << first;
}

TEST(swizzle, has_no_bank_conflicts) {
  check<1>(), check<2>(), check<4>(), check<8>(), check<16>(), check<32>();
  check<3>(), check<5>(), check<6>(), check<10>(), check<12>(), check<14>(), check<20>(), check<24>();
}

// The check can fail: rows of 128 bytes as they come put eight rows of a chunk in one group.
TEST(swizzle, is_needed) {
  EXPECT_EQ(conflicts([](int i) { return i * 8; }), 7);
}

}  // namespace
