#include <tenon/gemm/interleave.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace {

using tenon::index_t;

TEST(interleave, alternates_in_groups_of_eight) {
  for (index_t const n : {0, 1, 7, 8, 9, 16, 21}) {
    index_t const      k = 3, rows = tenon::paired_rows(n);
    std::vector<float> gate(static_cast<std::size_t>(n * k)), up(gate.size());
    std::vector<float> b(static_cast<std::size_t>(rows * k), -1.f);
    for (std::size_t i = 0; i < gate.size(); ++i)
      gate[i] = 1.f + static_cast<float>(i), up[i] = 1000.f + static_cast<float>(i);
    ASSERT_TRUE(tenon::interleave(tenon::dense(b.data(), rows, k), tenon::dense(gate.data(), n, k),
                                  tenon::dense(up.data(), n, k))
                    .ok());
    // Equivalent to: for each group of eight, eight rows of gate, then eight of up, zeros past the end.
    std::size_t at = 0;
    for (index_t group = 0; group < rows / 16; ++group)
      for (auto const* from : {&gate, &up})
        for (index_t j = 8 * group; j < 8 * group + 8; ++j)
          for (index_t i = 0; i < k; ++i, ++at)
            EXPECT_EQ(b[at], j < n ? (*from)[static_cast<std::size_t>(j * k + i)] : 0.f) << "n " << n << ", " << at;
    EXPECT_EQ(at, b.size());
  }
}

TEST(interleave, takes_vectors) {
  std::vector<float> gate(9, 1.f), up(9, 2.f), b(32, -1.f);
  ASSERT_TRUE(
      tenon::interleave(tenon::dense(b.data(), 32), tenon::dense(gate.data(), 9), tenon::dense(up.data(), 9)).ok());
  for (std::size_t i = 0; i < 32; ++i) {
    float const want = i < 8 || i == 16 ? 1.f : i < 16 || i == 24 ? 2.f : 0.f;
    EXPECT_EQ(b[i], want) << i;
  }
}

TEST(interleave, names_the_extent_at_fault) {
  std::vector<float> gate(18), up(18), b(64);
  auto const         s =
      tenon::interleave(tenon::dense(b.data(), 16, 2), tenon::dense(gate.data(), 9, 2), tenon::dense(up.data(), 9, 2));
  EXPECT_EQ(s.code, tenon::errc::shape_mismatch);
  EXPECT_STREQ(s.subject, "n of b");
  EXPECT_EQ(s.got, 16);
  EXPECT_EQ(s.want, 32);
}

}  // namespace
