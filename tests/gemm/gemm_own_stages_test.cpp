// The stages that docs/operators/epilogues.md writes, on every kind of kernel.
#include <tenon/gemm/gemm.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "../support/page.hpp"
#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace page {

// -- the page has this
using tenon::index_t;

// One value: v limited to [-limit, limit].
struct soft_cap {
  float          limit;
  TENON_HD float operator()(float v, index_t, index_t) const { return v < -limit ? -limit : v > limit ? limit : v; }
};

// A pair: gate * max(up, 0).
struct gate_of_relu {
  TENON_HD float operator()(float gate, float up, index_t, index_t) const { return gate * (up > 0 ? up : 0); }
};

// Along a row: the largest of each run of 32 columns, left in `largest`; the values stay.
struct row_largest {
  static constexpr int         segment = 32;
  tenon::tensor_view<float, 2> largest;  // (m, ceil(n / 32))

  template <class Segment, int N>
  TENON_HD void along(Segment const& all, float (&v)[N], index_t row, index_t column, int count) const {
    float most = -3.4e38f;
    for (int e = 0; e < N; ++e)
      if (e < count && v[e] > most) most = v[e];
    most = all.template largest<segment>(most);  // of all threads that hold the run: every one of them calls it
    if (count > 0 && all.template leads<segment>()) largest(row, column / segment) = most;
  }
};

// With a row value: v minus the mean of a row of `reference`.
struct minus_row_mean {
  tenon::tensor_view<float const, 2> reference;  // (m, any)

  TENON_HD float row_term(index_t row, int first, int step) const {  // one lane's part of the row's sum
    float sum = 0;
    for (index_t j = first; j < reference.extent[1]; j += step) sum += reference(row, j);
    return sum;
  }
  TENON_HD float row_value(float sum) const { return sum / static_cast<float>(reference.extent[1]); }
  TENON_HD float with_row(float v, index_t, index_t, float mean) const { return v - mean; }
};
// -- to here

/// A shorter run beside the longer one.
struct sums_of_eight {
  static constexpr int         segment = 8;
  tenon::tensor_view<float, 2> sums;  // (m, ceil(n / 8))

  template <class Segment, int N>
  TENON_HD void along(Segment const& all, float (&v)[N], index_t row, index_t column, int count) const {
    float sum = 0;
    for (int e = 0; e < N; ++e)
      if (e < count) sum += v[e];
    sum = all.template sum<segment>(sum);
    if (count > 0 && all.template leads<segment>()) sums(row, column / segment) = sum;
  }
};

}  // namespace page

namespace {

using namespace page;

TEST(own_stages, are_those_of_the_page) {
  test::expect_code_on_page(test::code_for_page("tests/gemm/gemm_own_stages_test.cpp"), "docs/operators/epilogues.md");
}

template <class Pipeline, class Body>
void on_every_policy(Body const& body) {
  test::on_every_target([&](tenon::context const& where) {
    if (where.arch == 89) return;  // the kernels of 80
    for (auto const& policy : tenon::gemm_menu) {
      if (policy.on_host() != (where.arch == 0) || !policy.runs(2, tenon::needs_of<Pipeline>())) continue;
      SCOPED_TRACE(to_string(policy));
      body(where, tenon::gemm_options{.policy = policy});
    }
  });
}

// Small whole numbers: every sum is exact, so results are equal, not close.
constexpr index_t m = 5, n = 40, k = 16;
struct operands {
  test::tensor<tenon::bf16, 2> a{m, k}, b;
  test::tensor<float, 2>       reference{m, index_t{8}};
  std::vector<float>           sums;  // (m, rows of b)
  explicit operands(index_t rows) : b(rows, k), sums(static_cast<std::size_t>(m * rows)) {
    std::vector<tenon::bf16> as(m * k), bs(static_cast<std::size_t>(rows * k));
    std::vector<float>       rs(m * 8);
    for (std::size_t i = 0; i < as.size(); ++i) as[i] = tenon::bf16(static_cast<float>(i * 7 % 5) - 2.f);
    for (std::size_t i = 0; i < bs.size(); ++i) bs[i] = tenon::bf16(static_cast<float>(i * 11 % 7) - 3.f);
    for (std::size_t i = 0; i < rs.size(); ++i) rs[i] = static_cast<float>(i % 3 * 8);
    a.assign(as), b.assign(bs), reference.assign(rs);
    for (index_t i = 0; i < m; ++i)
      for (index_t j = 0; j < rows; ++j)
        for (index_t e = 0; e < k; ++e)
          sums[static_cast<std::size_t>(i * rows + j)] += static_cast<float>(as[static_cast<std::size_t>(i * k + e)]) *
                                                          static_cast<float>(bs[static_cast<std::size_t>(j * k + e)]);
  }
};

TEST(own_stages, see_rows_and_row_values) {
  operands   o(n);
  auto const stages = [&](tenon::tensor_view<float, 2> largest, tenon::tensor_view<float, 2> eights) {
    return tenon::epilogue::from(minus_row_mean{tenon::as_const(o.reference.view())}) | soft_cap{9} |
           row_largest{largest} | sums_of_eight{eights};
  };
  auto const         reference = o.reference.values();
  std::vector<float> want(m * n), largest_want(m * 2, -3.4e38f), eights_want(m * 5);
  for (index_t i = 0; i < m; ++i) {
    float mean = 0;
    for (index_t j = 0; j < 8; ++j) mean += reference[static_cast<std::size_t>(i * 8 + j)] / 8;
    for (index_t j = 0; j < n; ++j) {
      float const v                             = soft_cap{9}(o.sums[static_cast<std::size_t>(i * n + j)] - mean, i, j);
      want[static_cast<std::size_t>(i * n + j)] = v;
      auto& most                                = largest_want[static_cast<std::size_t>(i * 2 + j / 32)];
      most                                      = v > most ? v : most;
      eights_want[static_cast<std::size_t>(i * 5 + j / 8)] += v;
    }
  }
  on_every_policy<decltype(stages({}, {}))>([&](tenon::context const& where, tenon::gemm_options const& options) {
    test::tensor<float, 2> d(m, n), largest(m, 2), eights(m, 5);
    ASSERT_TRUE(
        tenon::gemm(where, d.view(), o.a.view(), o.b.view(), options, stages(largest.view(), eights.view())).ok());
    EXPECT_EQ(d.values(), want);
    EXPECT_EQ(largest.values(), largest_want);
    EXPECT_EQ(eights.values(), eights_want);
  });
}

TEST(own_stages, pair_up) {
  index_t const      rows = tenon::paired_rows(n);
  operands           o(rows);
  std::vector<float> want(m * n);
  for (index_t i = 0; i < m; ++i)
    for (index_t j = 0; j < n; ++j) {
      auto const sum = [&](index_t row) { return o.sums[static_cast<std::size_t>(i * rows + row)]; };
      want[static_cast<std::size_t>(i * n + j)] = gate_of_relu{}(sum(tenon::gate_row(j)), sum(tenon::up_row(j)), i, j);
    }
  using pipeline = tenon::epilogue::pipeline_of<gate_of_relu>;
  on_every_policy<pipeline>([&](tenon::context const& where, tenon::gemm_options const& options) {
    test::tensor<float, 2> d(m, n);
    ASSERT_TRUE(tenon::gemm(where, d.view(), o.a.view(), o.b.view(), options, gate_of_relu{}).ok());
    EXPECT_EQ(d.values(), want);
  });
}

}  // namespace
