#include <tenon/core/numeric.hpp>
#include <tenon/op/epilogue.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "../support/npy.hpp"

namespace {

using tenon::bf16, tenon::index_t;
namespace epilogue = tenon::epilogue;

TEST(epilogue, stages_state_their_formulas) {
  std::vector<float> const values = {10, 20, 30, 40};
  auto const               vector = tenon::dense(values.data(), 4);
  auto const               matrix = tenon::dense(values.data(), 2, 2);
  EXPECT_EQ(epilogue::scale(3.f)(2.f, 0, 0), 6.f);
  EXPECT_EQ(epilogue::bias(vector)(2.f, 0, 3), 42.f);
  EXPECT_EQ(epilogue::add_columns(vector)(2.f, 0, 1), 22.f);
  EXPECT_EQ(epilogue::add_rows(vector)(2.f, 1, 0), 22.f);
  EXPECT_EQ(epilogue::scale_columns(vector)(2.f, 0, 2), 60.f);
  EXPECT_EQ(epilogue::scale_rows(vector)(2.f, 2, 0), 60.f);
  EXPECT_EQ(epilogue::residual(matrix)(2.f, 1, 0), 32.f);
  EXPECT_EQ(epilogue::round_to<bf16>()(1.00390625f, 0, 0), 1.f);
  EXPECT_EQ(epilogue::silu()(1.5f, 0, 0), tenon::silu(1.5f));
  EXPECT_EQ(epilogue::gelu_erf()(1.5f, 0, 0), tenon::gelu_erf(1.5f));
  EXPECT_EQ(epilogue::gelu_tanh()(1.5f, 0, 0), tenon::gelu_tanh(1.5f));
  EXPECT_EQ(epilogue::gelu_quick()(1.5f, 0, 0), tenon::gelu_quick(1.5f));
  EXPECT_EQ(epilogue::relu()(-1.5f, 0, 0), 0.f);
  EXPECT_EQ(epilogue::swiglu()(1.5f, 2.f, 0, 0), tenon::silu(1.5f) * 2.f);
  EXPECT_EQ(epilogue::geglu_erf()(1.5f, 2.f, 0, 0), tenon::gelu_erf(1.5f) * 2.f);
  EXPECT_EQ(epilogue::geglu_tanh()(1.5f, 2.f, 0, 0), tenon::gelu_tanh(1.5f) * 2.f);
  EXPECT_EQ(epilogue::geglu_quick()(1.5f, 2.f, 0, 0), tenon::gelu_quick(1.5f) * 2.f);
  EXPECT_EQ(epilogue::reglu()(-1.5f, 2.f, 0, 0), 0.f);
}

TEST(epilogue, ports_take_any_stride) {
  std::vector<float> const                 values = {1, 2, 3, 4, 5, 6};
  tenon::tensor_view<float const, 1> const every_other{values.data(), {3}, {2}};
  tenon::tensor_view<float const, 2> const transposed{values.data(), {3, 2}, {1, 3}};
  EXPECT_EQ(epilogue::bias(every_other)(0.f, 0, 2), 5.f);
  EXPECT_EQ(epilogue::residual(transposed)(0.f, 2, 1), 6.f);
}

struct add_place {
  float operator()(float v, index_t row, index_t column) const { return v + static_cast<float>(100 * row + column); }
};

TEST(epilogue, pipelines_apply_from_left_to_right) {
  EXPECT_EQ((epilogue::scale(2.f) | add_place{})(1.f, 2, 3), 205.f);
  EXPECT_EQ((add_place{} | epilogue::scale(2.f))(1.f, 2, 3), 408.f);
  EXPECT_EQ((epilogue::from(add_place{}) | add_place{} | epilogue::scale(2.f))(1.f, 2, 3), 814.f);
  auto const left  = epilogue::scale(2.f) | add_place{};
  auto const right = epilogue::scale(3.f) | add_place{};
  EXPECT_EQ((left | right)(1.f, 0, 1), 10.f);  // ((1 * 2) + 1) * 3 + 1
}

TEST(epilogue, pairs_see_their_rows_of_b_before_and_columns_of_d_after) {
  // Column 9 of D: gate in row 17 of B, up in row 25.
  EXPECT_EQ(tenon::gate_row(9), 17);
  EXPECT_EQ(tenon::up_row(9), 25);
  EXPECT_EQ(tenon::paired_rows(9), 32);
  EXPECT_EQ(tenon::paired_rows(8), 16);
  EXPECT_EQ(tenon::paired_rows(0), 0);
  auto const all = epilogue::scale(2.f) | add_place{} | epilogue::reglu() | add_place{};
  EXPECT_EQ(all(1.f, 1.f, 0, 9), (2.f + 17.f) * (2.f + 25.f) + 9.f);
}

TEST(epilogue, concepts_tell_pairs_from_single_values) {
  static_assert(tenon::elementwise<epilogue::silu_stage> && !tenon::pairwise<epilogue::silu_stage>);
  using single = decltype(epilogue::scale(1.f) | epilogue::relu());
  using paired = decltype(epilogue::scale(1.f) | epilogue::swiglu() | epilogue::relu());
  static_assert(tenon::elementwise<single> && !tenon::pairwise<single>);
  static_assert(tenon::pairwise<paired> && !tenon::elementwise<paired>);
}

TEST(epilogue_vectors, agree_with_other_programs) {
  auto const vectors = test::kernel_vectors("silu_and_mul_bf16_8x256");
  if (!vectors) GTEST_SKIP() << test::no_shared_data;
  auto const         x = vectors->values<float>("x"), want = vectors->values<float>("out");
  std::vector<float> got(8 * 128);
  auto const         swiglu = epilogue::swiglu();
  for (index_t i = 0; i < 8; ++i)
    for (index_t j = 0; j < 128; ++j)
      got[static_cast<std::size_t>(i * 128 + j)] =
          swiglu(x[static_cast<std::size_t>(i * 256 + j)], x[static_cast<std::size_t>(i * 256 + 128 + j)], i, j);
  EXPECT_LE(test::excess(got, want, 8e-3, 8e-3), 0);  // the other program rounds to bf16 on the way
}

}  // namespace
