#include <tenon/gemm/gemm.hpp>
#include <tenon/gemm/gemm_ref.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "../support/npy.hpp"
#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::f16, tenon::gemm_policy, tenon::index_t;

struct shape {
  index_t m, n, k;
};
// Edges first: one element, below and above a vector, a fragment and a tile, primes; then sizes of small models.
constexpr shape shapes[] = {{1, 1, 1},   {3, 7, 5},    {1, 16, 32},  {5, 17, 64},  {2, 9, 33},
                            {4, 64, 72}, {17, 65, 40}, {16, 64, 64}, {33, 70, 136}};

std::string text(shape const& s) {
  return std::to_string(s.m) + " x " + std::to_string(s.n) + " x " + std::to_string(s.k);
}

/// Every policy of this run's menu that can run these elements.
template <class T, class Body>
void on_every_policy(tenon::context const& where, bool wide, Body const& body) {
  if (where.arch == 89) return;  // the kernels of 80
  for (gemm_policy const& policy : tenon::gemm_menu) {
    bool const host = policy.kind == tenon::gemm_kind::lanes;
    if (host != (where.arch == 0)) continue;
    if (!policy.runs(sizeof(T), {}) || (policy.kind == tenon::gemm_kind::mma && sizeof(T) != 2)) continue;
    if (policy.wide && !wide) continue;
    SCOPED_TRACE(to_string(policy));
    body(policy);
  }
}

template <class Element, class Result>
struct types {
  using element = Element;
  using result  = Result;
};

template <class Types>
class gemm : public testing::Test {};
using all = testing::Types<types<float, float>, types<f16, f16>, types<bf16, bf16>, types<bf16, float>>;
TYPED_TEST_SUITE(gemm, all);

template <class T, class D>
std::vector<float> expected(std::vector<T> const& a, std::vector<T> const& b, shape const& s) {
  std::vector<float> d(static_cast<std::size_t>(s.m * s.n));
  tenon::ref::gemm(test::over(d, s.m, s.n), test::over(a, s.m, s.k), test::over(b, s.n, s.k));
  return d;
}

TYPED_TEST(gemm, agrees_with_the_reference) {
  using T = typename TypeParam::element;
  using D = typename TypeParam::result;
  for (auto const& s : shapes) {
    SCOPED_TRACE(text(s));
    test::tensor<T, 2> a(s.m, s.k), b(s.n, s.k);
    a.random(1), b.random(2);
    auto const want = expected<T, D>(a.values(), b.values(), s);
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<D, 2> d(s.m, s.n);
      ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view()).ok());
      EXPECT_LE(test::relative_error(d.values(), want), test::tolerance<D>());
    });
  }
}

// The rows of all three stand apart in memory, NaN between them; what is beside D is not touched.
TYPED_TEST(gemm, reads_and_writes_inside_its_views_only) {
  using T               = typename TypeParam::element;
  using D               = typename TypeParam::result;
  float const       nan = std::numeric_limits<float>::quiet_NaN();
  constexpr index_t pad = 3;
  for (shape const s : {shape{5, 19, 21}, shape{18, 34, 61}}) {
    SCOPED_TRACE(text(s));
    auto const poisoned = [&](auto type, index_t rows, index_t columns, unsigned seed) {
      using E = decltype(type);
      std::vector<E> v(static_cast<std::size_t>((rows + 1) * (columns + pad)), E(nan));
      for (index_t i = 0; i < rows; ++i)
        for (index_t j = 0; j < columns; ++j)
          v[static_cast<std::size_t>(i * (columns + pad) + j)] =
              E(static_cast<float>((static_cast<unsigned>(i * 7 + j * 3) + seed) % 11) / 4.f - 1.f);
      return v;
    };
    auto const         as = poisoned(T{}, s.m, s.k, 1), bs = poisoned(T{}, s.n, s.k, 5);
    auto const         ds = poisoned(D{}, s.m, s.n, 0);
    test::tensor<T, 1> a(static_cast<index_t>(as.size())), b(static_cast<index_t>(bs.size()));
    a.assign(as), b.assign(bs);
    std::vector<float>                   want(static_cast<std::size_t>(s.m * s.n));
    tenon::tensor_view<T const, 2> const av{as.data(), {s.m, s.k}, {s.k + pad, 1}};
    tenon::tensor_view<T const, 2> const bv{bs.data(), {s.n, s.k}, {s.k + pad, 1}};
    tenon::ref::gemm(test::over(want, s.m, s.n), av, bv);

    test::on_every_target([&](tenon::context const& where) {
      tenon::tensor_view<T, 2> const at{a.view().data, {s.m, s.k}, {s.k + pad, 1}};
      tenon::tensor_view<T, 2> const bt{b.view().data, {s.n, s.k}, {s.k + pad, 1}};
      constexpr index_t              vector = 16 / sizeof(T);
      bool const                     wide   = where.arch == 0 || (s.k + pad) % vector == 0;
      on_every_policy<T>(where, wide, [&](gemm_policy const& policy) {
        test::tensor<D, 1> d(static_cast<index_t>(ds.size()));
        d.assign(ds);
        tenon::tensor_view<D, 2> const dt{d.view().data, {s.m, s.n}, {s.n + pad, 1}};
        ASSERT_TRUE(tenon::gemm(where, dt, at, bt, {.policy = policy}).ok());
        auto const         got = d.values();
        std::vector<float> inside;
        for (std::size_t i = 0; i < got.size(); ++i) {
          index_t const row = static_cast<index_t>(i) / (s.n + pad), column = static_cast<index_t>(i) % (s.n + pad);
          if (row < s.m && column < s.n) {
            inside.push_back(static_cast<float>(got[i]));
          } else {
            EXPECT_TRUE(std::isnan(static_cast<float>(got[i]))) << row << ", " << column;
          }
        }
        EXPECT_LE(test::relative_error(inside, want), test::tolerance<D>());
      });
    });
  }
}

// Any strides: transposed operands and a transposed result give the bits of contiguous ones.
TYPED_TEST(gemm, takes_transposed_views) {
  using T = typename TypeParam::element;
  using D = typename TypeParam::result;
  for (shape const s : {shape{18, 21, 72}, shape{3, 5, 45}}) {
    test::tensor<T, 2> a(s.m, s.k), b(s.n, s.k), a_columns(s.k, s.m), b_columns(s.k, s.n);
    a.random(3), b.random(4);
    auto const transposed = [](std::vector<T> const& v, index_t rows, index_t columns) {
      std::vector<T> t(v.size());
      for (index_t i = 0; i < rows; ++i)
        for (index_t j = 0; j < columns; ++j)
          t[static_cast<std::size_t>(j * rows + i)] = v[static_cast<std::size_t>(i * columns + j)];
      return t;
    };
    a_columns.assign(transposed(a.values(), s.m, s.k)), b_columns.assign(transposed(b.values(), s.n, s.k));
    tenon::tensor_view<T, 2> const at{a_columns.view().data, {s.m, s.k}, {1, s.m}};
    tenon::tensor_view<T, 2> const bt{b_columns.view().data, {s.n, s.k}, {1, s.n}};
    test::on_every_target([&](tenon::context where) {
      where.batch_invariant = true;  // one kind whatever the strides
      test::tensor<D, 2>             d(s.m, s.n), e(s.n, s.m);
      tenon::tensor_view<D, 2> const et{e.view().data, {s.m, s.n}, {1, s.m}};
      ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view()).ok());
      ASSERT_TRUE(tenon::gemm(where, et, at, bt).ok());
      auto const     straight = d.values(), turned = e.values();
      std::vector<D> back(straight.size());
      for (index_t i = 0; i < s.m; ++i)
        for (index_t j = 0; j < s.n; ++j)
          back[static_cast<std::size_t>(i * s.n + j)] = turned[static_cast<std::size_t>(j * s.m + i)];
      EXPECT_TRUE(test::same_bits(straight, back));
    });
  }
}

// Each row has the same bits alone, in every batch and under every policy of a kind, and in every run.
TYPED_TEST(gemm, is_batch_invariant) {
  using T = typename TypeParam::element;
  using D = typename TypeParam::result;
  for (shape const s : {shape{19, 24, 72}, shape{6, 9, 43}}) {
    SCOPED_TRACE(text(s));
    test::tensor<T, 2> a(s.m, s.k), b(s.n, s.k);
    a.random(5), b.random(6);
    test::on_every_target([&](tenon::context where) {
      where.batch_invariant = true;
      test::tensor<D, 2> d(s.m, s.n);
      ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view()).ok());
      auto const together = d.values();
      ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view()).ok());
      EXPECT_TRUE(test::same_bits(d.values(), together)) << "a second run";
      for (index_t const rows : {1, 5, 17}) {
        test::tensor<D, 2> part(s.m, s.n);
        for (index_t i = 0; i < s.m; i += rows) {
          index_t const count = std::min(rows, s.m - i);
          ASSERT_TRUE(tenon::gemm(where, part.view().slice(i, count), a.view().slice(i, count), b.view()).ok());
        }
        EXPECT_TRUE(test::same_bits(part.values(), together)) << rows << " rows at a time";
      }
      auto const chosen = tenon::plan_gemm({.m = s.m, .n = s.n, .k = s.k, .element_bytes = sizeof(T)},
                                           {.as = {where.arch}, .batch_invariant = true})
                              .policy;
      on_every_policy<T>(where, s.k % 8 == 0, [&](gemm_policy const& policy) {
        if (policy.kind != chosen.kind || policy.split != chosen.split) return;
        ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view(), {.policy = policy}).ok());
        EXPECT_TRUE(test::same_bits(d.values(), together));
      });
    });
  }
}

TYPED_TEST(gemm, sums_over_nothing_are_zero) {
  using T = typename TypeParam::element;
  using D = typename TypeParam::result;
  test::tensor<T, 2> a(3, 0), b(5, 0);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<D, 2> d(3, 5);
    d.fill(D(7.f));
    ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view()).ok());
    for (D const v : d.values()) EXPECT_EQ(static_cast<float>(v), 0.f);
    test::tensor<D, 2> no_rows(0, 5), no_columns(3, 0);
    test::tensor<T, 2> empty(0, 4), rows(3, 4), columns(5, 4);
    rows.fill(T(1.f)), columns.fill(T(1.f));
    EXPECT_TRUE(tenon::gemm(where, no_rows.view(), empty.view(), columns.view()).ok());
    EXPECT_TRUE(tenon::gemm(where, no_columns.view(), rows.view(), empty.view()).ok());
  });
}

// Infinities and NaNs come through, and only into their own row and column.
TYPED_TEST(gemm, keeps_infinities_apart) {
  using T             = typename TypeParam::element;
  using D             = typename TypeParam::result;
  constexpr index_t m = 3, n = 18, k = 43;
  std::vector<T>    as(m * k, T(1.f)), bs(n * k, T(1.f));
  as[1 * k + 40]  = T(std::numeric_limits<float>::infinity());
  bs[4 * k + 0]   = T(std::numeric_limits<float>::quiet_NaN());
  bs[17 * k + 42] = T(-std::numeric_limits<float>::infinity());
  test::tensor<T, 2> a(m, k), b(n, k);
  a.assign(as), b.assign(bs);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<D, 2> d(m, n);
    ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view()).ok());
    auto const got = d.values();
    for (index_t i = 0; i < m; ++i)
      for (index_t j = 0; j < n; ++j) {
        float const v = static_cast<float>(got[static_cast<std::size_t>(i * n + j)]);
        if (j == 4 || (i == 1 && j == 17)) {
          EXPECT_TRUE(std::isnan(v)) << i << ", " << j;
        } else if (i == 1 || j == 17) {
          EXPECT_EQ(v, i == 1 ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity());
        } else {
          EXPECT_EQ(v, 43.f);
        }
      }
  });
}

TEST(gemm_vectors, agree_with_other_programs) {
  auto const vectors = test::kernel_vectors("matmul_bf16_16x64x32");
  if (!vectors) GTEST_SKIP() << test::no_shared_data;
  test::tensor<bf16, 2> a(16, 64), b(64, 32);  // b is (k, n): its transpose is a view
  a.assign(vectors->values<bf16>("a")), b.assign(vectors->values<bf16>("b"));
  tenon::tensor_view<bf16, 2> const bt{b.view().data, {32, 64}, {1, 32}};
  auto const                        want = vectors->values<float>("out");
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 2> d(16, 32);
    ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), bt).ok());
    EXPECT_LE(test::excess(d.values(), want, 1e-5, 1e-5), 0);
  });
}

}  // namespace
