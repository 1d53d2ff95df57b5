// The tiled product with packed weights: every format and every shape of tile, against double precision on the same numbers.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "packed_gemm_problem.hpp"

namespace {

using namespace test::packed_gemm;
using enum tenon::weight_code;

using tile_64x64   = policy_of<policies::tile_64x64>;
using tile_128x64  = policy_of<policies::tile_128x64>;
using tile_128x128 = policy_of<policies::tile_128x128>;
using tile_strided = policy_of<policies::tile_strided>;
using tile_widened = policy_of<policies::tile_widened>;

constexpr weight_format int4_groups_16{int4, 16, 1, true};

TEST(packed_gemm_tile, every_format_with_inputs_of_16_bits) {
  problem const s{37, 75, 203, 0, 1, 5};  // rows of A end in poison
  agrees<tile_64x64, float, bf16, int4, scale_kind::group>(int4_groups_16, s);
  agrees<tile_64x64, float, bf16, int4, scale_kind::group>(int4_groups, s);
  agrees<tile_64x64, float, bf16, int4, scale_kind::group>(int4_symmetric, s);
  agrees<tile_64x64, float, bf16, int4, scale_kind::group>(int4_rows, s);
  agrees<tile_64x64, float, f16, int8, scale_kind::row>(int8_rows, s);
  agrees<tile_64x64, float, bf16, int8, scale_kind::group>(int8_groups, s);
  agrees<tile_64x64, float, bf16, int8, scale_kind::group>({int8, 192, 1, false}, s);
  agrees<tile_64x64, float, bf16, fp8, scale_kind::row>(fp8_rows, s);
  agrees<tile_64x64, float, f16, fp8, scale_kind::block>(fp8_blocks, {3, 150, 300, 0, 1, 4});
  agrees<tile_64x64, float, f16, fp4, scale_kind::group>(fp4_groups, s);
}

TEST(packed_gemm_tile, every_format_with_inputs_of_8_bits) {
  problem const s{37, 75, 203, 0, 1, 5}, grouped{37, 75, 203, 64, 1, 5};
  agrees<tile_64x64, float, std::int8_t, int8, scale_kind::row>(int8_rows, s);
  agrees<tile_64x64, float, std::int8_t, int8, scale_kind::row>(int8_rows, grouped);
  agrees<tile_64x64, float, std::int8_t, int8, scale_kind::row>(int8_rows, {5, 20, 400, 192});
  agrees<tile_64x64, float, std::int8_t, int4, scale_kind::group>(int4_groups_16, s);
  agrees<tile_64x64, float, std::int8_t, int4, scale_kind::group>(int4_groups, grouped);
  agrees<tile_64x64, float, std::int8_t, int4, scale_kind::group>(int4_symmetric, {5, 20, 400, 128});
  agrees<tile_64x64, float, e4m3, fp8, scale_kind::row>(fp8_rows, s);
  agrees<tile_64x64, float, e4m3, fp8, scale_kind::block>(fp8_blocks, {3, 150, 304, 128});
}

TEST(packed_gemm_tile, every_tile) {
  agrees<tile_128x64, bf16, bf16, int4, scale_kind::group>(int4_groups, {131, 75, 136});
  agrees<tile_128x64, f16, std::int8_t, int8, scale_kind::row>(int8_rows, {131, 75, 144});
  agrees<tile_128x128, bf16, bf16, int4, scale_kind::group>(int4_symmetric, {131, 139, 136});
  agrees<tile_128x128, float, std::int8_t, int4, scale_kind::group>(int4_groups, {70, 139, 144});
  agrees<tile_64x64, float, bf16, int4, scale_kind::group>(int4_groups, {577, 70, 8});  // more than a band of blocks
  agrees<tile_widened, float, e4m3, fp8, scale_kind::block>(fp8_blocks, {3, 150, 304, 128});
}

TEST(packed_gemm_tile, rows_of_a_lie_anyhow) {
  agrees<tile_strided, float, bf16, int4, scale_kind::group>(int4_groups, {5, 7, 43, 0, 1, 0, 3});
  agrees<tile_strided, float, std::int8_t, int8, scale_kind::row>(int8_rows, {37, 75, 203, 0, 1, 6});
  agrees<tile_strided, float, e4m3, fp8, scale_kind::row>(fp8_rows, {37, 75, 203, 64, 1, 6});
}

TEST(packed_gemm_tile, shares_k_between_blocks) {
  agrees<tile_64x64, bf16, bf16, int4, scale_kind::group>({int4, 192, 1, true}, {70, 70, 328, 0, 3});
  agrees<tile_64x64, float, std::int8_t, int8, scale_kind::row>(int8_rows, {3, 7, 64, 0, 2});  // one of them has none
}

TEST(packed_gemm_tile, gates) {
  agrees<tile_64x64, float, bf16, int4, scale_kind::group>(int4_groups, {9, 44, 72}, tenon::epilogue::swiglu());
  agrees<tile_64x64, float, bf16, int4, scale_kind::group>(int4_groups, {9, 44, 72, 0, 2}, tenon::epilogue::swiglu());
}

/// D of `a` (m, k) and `w`, without scales of tokens.
template <class A, weight_code Code, scale_kind Scales>
std::vector<float> product(tenon::context const& where, std::vector<A> const& inputs, index_t m,
                           quantized_weight const& w) {
  using kernel = kernel_of<tile_64x64, float, A, Code, Scales, tenon::identity>;
  tenon::packed_matrix packed;
  test::expect_ok(tenon::pack_weight(packed, w, kernel::order));
  test::tensor<std::byte, 1> b(static_cast<index_t>(packed.bytes.size()));
  test::tensor<A, 2>         a(m, w.columns);
  test::tensor<float, 2>     scales(m, 1), d(m, w.rows);
  b.assign(packed.bytes), a.assign(inputs), scales.fill(1.f);
  test::expect_ok(kernel::run(where, {.d        = d.view(),
                                      .a        = tenon::as_const(a.view()),
                                      .b        = {packed.layout, b.view().data},
                                      .a_scales = tenon::as_const(scales.view()),
                                      .epilogue = tenon::epilogue::from(tenon::identity{})}));
  return d.values();
}

/// A of ones in a diagonal: D is the weight, transposed, exactly.
template <class A, weight_code Code, scale_kind Scales>
void gives_the_weight_back(weight_format const& format) {
  SCOPED_TRACE(to_string(format));
  index_t const      n = 70, k = 144;
  auto const         w    = some_weight(format, n, k);
  auto const         want = w.dequantized();
  std::vector<A>     one_hot(static_cast<std::size_t>(k * k), A(0));
  std::vector<float> transposed;
  for (index_t i = 0; i < k; ++i) {
    one_hot[static_cast<std::size_t>(i * k + i)] = A(1);
    for (index_t j = 0; j < n; ++j) transposed.push_back(want[static_cast<std::size_t>(j * k + i)]);
  }
  test::on_every_target([&](tenon::context const& where) {
    if (where.arch != 90) return;
    EXPECT_EQ((product<A, Code, Scales>(where, one_hot, k, w)), transposed);  // zeros of either sign
  });
}

TEST(packed_gemm_tile, decodes_exactly) {
  gives_the_weight_back<bf16, int4, scale_kind::group>(int4_groups_16);
  gives_the_weight_back<bf16, int8, scale_kind::group>(int8_groups);
  gives_the_weight_back<bf16, fp8, scale_kind::row>(fp8_rows);
  gives_the_weight_back<f16, int8, scale_kind::row>(int8_rows);
  gives_the_weight_back<f16, fp8, scale_kind::block>(fp8_blocks);
  gives_the_weight_back<f16, fp4, scale_kind::group>(fp4_groups);
  gives_the_weight_back<std::int8_t, int4, scale_kind::group>(int4_groups);
  gives_the_weight_back<std::int8_t, int8, scale_kind::row>(int8_rows);
  gives_the_weight_back<e4m3, fp8, scale_kind::block>(fp8_blocks);
}

// The sums of int8 products are integers: a float holds these exactly.
TEST(packed_gemm_tile, sums_integers_exactly) {
  index_t const m = 9, n = 70, k = 416;
  auto          w = some_weight(int8_rows, n, k);
  for (auto& s : w.scales) s = 1;
  auto const         a = some_inputs<std::int8_t>(m * k);
  std::vector<float> want;
  for (index_t i = 0; i < m; ++i)
    for (index_t j = 0; j < n; ++j) {
      std::int32_t sum = 0;
      for (index_t c = 0; c < k; ++c)
        sum += a[static_cast<std::size_t>(i * k + c)] *
               static_cast<std::int8_t>(w.codes[static_cast<std::size_t>(j * k + c)]);
      want.push_back(static_cast<float>(sum));
    }
  test::on_every_target([&](tenon::context const& where) {
    if (where.arch == 0) return;
    EXPECT_EQ((product<std::int8_t, int8, scale_kind::row>(where, a, m, w)), want);
  });
}

#if TENON_CHECKED
TEST(packed_gemm_tile, has_no_bank_conflicts) {
  EXPECT_EQ((bank_conflicts<tile_64x64, bf16, int4, scale_kind::group>(int4_groups, 64, 128)), 0u);
  EXPECT_EQ((bank_conflicts<tile_64x64, f16, int8, scale_kind::row>(int8_rows, 64, 128)), 0u);
  EXPECT_EQ((bank_conflicts<tile_128x128, std::int8_t, int4, scale_kind::group>(int4_groups, 128, 128)), 0u);
  EXPECT_EQ((bank_conflicts<tile_64x64, e4m3, fp8, scale_kind::block>(fp8_blocks, 64, 128)), 0u);
}
#endif

}  // namespace
