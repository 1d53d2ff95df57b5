// Epilogues that look along a row, hold a value per row, or store codes: on every kind, orientation and split of the dense
// product, against the reference.
#include <tenon/gemm/gemm.hpp>
#include <tenon/gemm/gemm_ref.hpp>
#include <tenon/op/epilogue_rows.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::index_t;
namespace epilogue = tenon::epilogue;

/// Runs body(context, options) for every policy that this epilogue runs on, and once more with K in two parts.
template <class T, class Pipeline, class Body>
void on_every_plan(Body const& body) {
  test::on_every_target([&](tenon::context const& plain) {
    if (plain.arch == 89) return;  // the kernels of 80
    for (auto const& policy : tenon::gemm_menu) {
      if (policy.on_host() != (plain.arch == 0)) continue;
      if (!policy.runs(sizeof(T), tenon::needs_of<Pipeline>())) continue;
      if (sizeof(T) == 4 && policy.kind == tenon::gemm_kind::mma) continue;  // tf32 has its own test
      SCOPED_TRACE(to_string(policy));
      body(plain, tenon::gemm_options{.policy = policy});
      if (policy != tenon::gemm_policies::mma_segment && policy != tenon::gemm_policies::mma_16_split) continue;
      test::tensor<float, 1>    bytes(1 << 17);
      test::tensor<unsigned, 1> words(64);
      words.fill(0);
      tenon::context where = plain;
      where.workspace      = {reinterpret_cast<std::byte*>(bytes.view().data), bytes.size() * sizeof(float)};
      where.counters       = {words.view().data, 64};
      body(where, tenon::gemm_options{.plan = tenon::gemm_plan{policy, 2}});
    }
  });
}

/// Codes of nearly equal values: next to each other, and seldom not the same.
template <class Code>
void expect_codes(std::vector<Code> const& got, std::vector<Code> const& want) {
  ASSERT_EQ(got.size(), want.size());
  std::size_t others = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    float const g = static_cast<float>(got[i]), w = static_cast<float>(want[i]);
    float const step = std::is_same_v<Code, std::int8_t> ? 1.f : std::max(std::abs(w) / 8, 0.002f);
    ASSERT_LE(std::abs(g - w), step) << i;
    others += g != w;
  }
  EXPECT_LE(others, got.size() / 100 + 1);
}

// y = x W1^T + r leaves its squares behind, z = RMSNorm(y) W2^T takes them: two products and no norm between them.
TEST(gemm_rows, norms_ride_on_two_products) {
  constexpr index_t     m = 19, n = 70, k = 40, n2 = 33;
  constexpr float       eps      = 1e-5f;
  index_t const         segments = epilogue::square_sums(n);
  test::tensor<bf16, 2> x(m, k), w1(n, k), r(m, n), w2(n2, n);
  test::tensor<bf16, 1> bias(n2);
  x.random(1), w1.random(2, 0.3f), r.random(3), w2.random(4, 0.2f), bias.random(5);
  auto const         xs = x.values(), w1s = w1.values(), rs = r.values(), w2s = w2.values(), biases = bias.values();
  std::vector<bf16>  y_want(m * n);
  std::vector<float> sums_want(static_cast<std::size_t>(m * segments)), z_want(m * n2);
  auto const         sums_view = test::over(sums_want, m, segments);
  tenon::ref::gemm(test::over(y_want, m, n), test::over(xs, m, k), test::over(w1s, n, k),
                   epilogue::residual(test::over(rs, m, n)) | epilogue::row_square_sums(sums_view));
  // The page's claim in full: the norm of the row, then the product.
  for (index_t i = 0; i < m; ++i) {
    double square = 0;
    for (index_t j = 0; j < n; ++j) square += std::pow(double(float(y_want[static_cast<std::size_t>(i * n + j)])), 2);
    for (index_t c = 0; c < n2; ++c) {
      double sum = 0;
      for (index_t j = 0; j < n; ++j)
        sum += double(float(y_want[static_cast<std::size_t>(i * n + j)])) *
               double(float(w2s[static_cast<std::size_t>(c * n + j)]));
      z_want[static_cast<std::size_t>(i * n2 + c)] = static_cast<float>(
          sum / std::sqrt(square / n + double(eps)) + double(float(biases[static_cast<std::size_t>(c)])));
    }
  }

  auto const first = [&](tenon::tensor_view<float, 2> s) {
    return epilogue::residual(r.view()) | epilogue::row_square_sums(s);
  };
  auto const second = [&](tenon::tensor_view<float, 2> s) {
    return epilogue::deferred_rms(s, n, eps) | epilogue::bias(bias.view());
  };
  on_every_plan<bf16, decltype(first({}))>([&](tenon::context const& where, tenon::gemm_options const& options) {
    test::tensor<bf16, 2>  y(m, n);
    test::tensor<float, 2> sums(m, segments), z(m, n2);
    ASSERT_TRUE(tenon::gemm(where, y.view(), x.view(), w1.view(), options, first(sums.view())).ok());
    EXPECT_LE(test::relative_error(y.values(), y_want), test::tolerance<bf16>());
    EXPECT_LE(test::relative_error(sums.values(), sums_want), 2e-6);
    auto rest = options;
    if ((rest.plan ? rest.plan->policy : *rest.policy).wide && where.arch != 0) rest = {};  // rows of 70 elements
    ASSERT_TRUE(tenon::gemm(where, z.view(), y.view(), w2.view(), rest, second(sums.view())).ok());
    EXPECT_LE(test::relative_error(z.values(), z_want), 2.5e-3);
  });
}

// A gated unit, quantised by groups of 128 columns: 256 rows of B to look along.
TEST(gemm_rows, gated_units_are_quantised) {
  constexpr index_t     m = 18, n = 150, k = 24;
  index_t const         rows = tenon::paired_rows(n), groups = 2;
  test::tensor<bf16, 2> a(m, k), b(rows, k);
  a.random(1), b.random(2);
  auto const                       as = a.values(), bs = b.values();
  std::vector<std::int8_t>         want(m * n);
  std::vector<float>               scales_want(static_cast<std::size_t>(m * groups));
  constexpr epilogue::gate_options limits{1.702f, 7.f, 1.f};
  auto const                       stages = [&](tenon::tensor_view<float, 2> scales) {
    return epilogue::swiglu(limits) | epilogue::quantize<std::int8_t>(scales);
  };
  tenon::ref::gemm(test::over(want, m, n), test::over(as, m, k), test::over(bs, rows, k),
                   stages(test::over(scales_want, m, groups)));
  on_every_plan<bf16, decltype(stages({}))>([&](tenon::context const& where, tenon::gemm_options const& options) {
    test::tensor<std::int8_t, 2> d(m, n);
    test::tensor<float, 2>       scales(m, groups);
    ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view(), options, stages(scales.view())).ok());
    expect_codes(d.values(), want);
    EXPECT_LE(test::relative_error(scales.values(), scales_want), 2e-6);
  });
  // And where rows are not on 16 bytes.
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<std::int8_t, 2> d(m, n);
    test::tensor<float, 2>       scales(m, groups);
    test::tensor<bf16, 2>        turned(k, m);
    std::vector<bf16>            t(as.size());
    for (index_t i = 0; i < m; ++i)
      for (index_t j = 0; j < k; ++j) t[static_cast<std::size_t>(j * m + i)] = as[static_cast<std::size_t>(i * k + j)];
    turned.assign(t);
    tenon::tensor_view<bf16, 2> const at{turned.view().data, {m, k}, {1, m}};
    ASSERT_TRUE(tenon::gemm(where, d.view(), at, b.view(), {}, stages(scales.view())).ok());
    expect_codes(d.values(), want);
  });
}

// f32 operands, zero points taken out, e4m3 by groups of 32 columns.
TEST(gemm_rows, corrected_sums_are_quantised) {
  constexpr index_t      m = 9, n = 75, k = 20;
  index_t const          groups = 3;
  test::tensor<float, 2> a(m, k), b(n, k);
  test::tensor<float, 1> row(m), column(n);
  a.random(1), b.random(2), row.random(3), column.random(4);
  auto const               as = a.values(), bs = b.values(), row_s = row.values(), column_s = column.values();
  std::vector<tenon::e4m3> want(m * n);
  std::vector<float>       scales_want(static_cast<std::size_t>(m * groups));
  auto const               stages = [](auto rows, auto columns, tenon::tensor_view<float, 2> scales) {
    return epilogue::zero_point_correction(rows, columns) | epilogue::quantize<tenon::e4m3, 32>(scales);
  };
  tenon::ref::gemm(test::over(want, m, n), test::over(as, m, k), test::over(bs, n, k),
                   stages(test::over(row_s, m), test::over(column_s, n), test::over(scales_want, m, groups)));
  using pipeline = decltype(stages(row.view(), column.view(), {}));
  on_every_plan<float, pipeline>([&](tenon::context const& where, tenon::gemm_options const& options) {
    test::tensor<tenon::e4m3, 2> d(m, n);
    test::tensor<float, 2>       scales(m, groups);
    auto const                   all = stages(row.view(), column.view(), scales.view());
    ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view(), options, all).ok());
    expect_codes(d.values(), want);
    EXPECT_LE(test::relative_error(scales.values(), scales_want), 2e-6);
  });
}

// A batch norm in evaluation and a static int8 store, which saturates; no row of A at all.
TEST(gemm_rows, codes_saturate) {
  constexpr index_t      m = 6, n = 37, k = 16;
  test::tensor<bf16, 2>  a(m, k), b(n, k);
  test::tensor<float, 1> factors(n), shifts(n);
  a.random(1), b.random(2), factors.random(3, 20.f), shifts.random(4, 10.f);
  auto const               as = a.values(), bs = b.values();
  auto const               factor_s = factors.values(), shift_s = shifts.values();
  std::vector<std::int8_t> want(m * n);
  tenon::ref::gemm(test::over(want, m, n), test::over(as, m, k), test::over(bs, n, k),
                   epilogue::scale_shift_columns(test::over(factor_s, n), test::over(shift_s, n)));
  EXPECT_GT(std::count(want.begin(), want.end(), 127), 0);
  EXPECT_GT(std::count(want.begin(), want.end(), -128), 0);
  auto const stages = epilogue::scale_shift_columns(factors.view(), shifts.view());
  using pipeline    = epilogue::pipeline_of<std::remove_const_t<decltype(stages)>>;
  on_every_plan<bf16, pipeline>([&](tenon::context const& where, tenon::gemm_options const& options) {
    test::tensor<std::int8_t, 2> d(m, n), none(0, n);
    ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view(), options, stages).ok());
    expect_codes(d.values(), want);
    EXPECT_TRUE(tenon::gemm(where, none.view(), a.view().slice(0, 0), b.view(), options, stages).ok());
  });
}

}  // namespace
