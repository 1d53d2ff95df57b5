// The product with a packed weight in one step or two: both agree with the reference, and the plan decides.
#include <tenon/gemm/dequantized_gemm.hpp>
#include <tenon/gemm/packed_gemm_ref.hpp>
#include <tenon/quant/pack_weight.hpp>

#include <gtest/gtest.h>

#include <vector>

#include "../quant/random_weight.hpp"
#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::index_t, tenon::scale_kind, tenon::weight_code;
using int4_weight = tenon::packed_weight<weight_code::int4, scale_kind::group, tenon::pack_order::pairs>;

constexpr index_t m = 37, n = 70, k = 136;

TEST(dequantized_gemm, agrees_in_one_step_and_in_two) {
  auto const           w = test::random_int4(n, k, 32, true, 5);
  tenon::packed_matrix packed;
  ASSERT_TRUE(tenon::pack_weight(packed, w, tenon::pack_order::pairs).ok());
  test::tensor<std::byte, 1> bytes(static_cast<index_t>(packed.bytes.size()));
  bytes.assign(packed.bytes);
  test::tensor<bf16, 2> a(m, k);
  a.random(1);
  std::vector<float> want(static_cast<std::size_t>(m * n));
  auto const         values = a.values();
  tenon::ref::gemm(test::over(want, m, n), test::over(values, m, k), w);

  test::on_every_target([&](tenon::context where) {
    where.batch_invariant = false;
    test::tensor<std::byte, 1> scratch(1 << 16);
    where.workspace = {scratch.view().data, scratch.size()};
    int4_weight const          b{packed.layout, bytes.view().data};
    test::tensor<bf16, 2>      d(m, n);
    tenon::packed_gemm_options options;
    ASSERT_TRUE(tenon::dequantized_gemm(where, d.view(), a.view(), b, options).ok());
    EXPECT_LE(test::relative_error(d.values(), want), test::tolerance<bf16>()) << "as planned";
    if (where.arch == 0) return;
    options.plan =
        tenon::plan_two_steps({.b = packed.layout, .m = m}, {.as = {where.arch}, .workspace = scratch.size()});
    ASSERT_TRUE(options.plan->two_steps);
    ASSERT_TRUE(tenon::dequantized_gemm(where, d.view(), a.view(), b, options).ok());
    // Weights are rounded to bf16 on the way: 2^-9 / sqrt(3) each, once more the error of the result.
    EXPECT_LE(test::relative_error(d.values(), want), 1.5 * test::tolerance<bf16>()) << "two steps";
    where.workspace.size = 100;
    auto const refused   = tenon::dequantized_gemm(where, d.view(), a.view(), b, options);
    EXPECT_EQ(refused.code, tenon::errc::workspace_too_small);
  });
}

// Many tokens repay two steps where there is room for the dense weight, f32 inputs always do; the workspace decides.
TEST(dequantized_gemm, plans_two_steps_for_f32_and_room) {
  tenon::packed_gemm_shape const shape{
      .b           = tenon::packed_layout_of({weight_code::int8}, 4096, 4096, tenon::pack_order::pairs),
      .m           = 2048,
      .input_bytes = 4};
  tenon::packed_gemm_resources have{.as = {90}, .workspace = std::size_t{1} << 30, .counters = 4096, .two_steps = true};
  EXPECT_TRUE(tenon::plan_packed_gemm(shape, have).two_steps);
  have.workspace = 1 << 20;
  EXPECT_FALSE(tenon::plan_packed_gemm(shape, have).two_steps);
  have.workspace = std::size_t{1} << 30, have.two_steps = false;
  EXPECT_FALSE(tenon::plan_packed_gemm(shape, have).two_steps);
}

}  // namespace
