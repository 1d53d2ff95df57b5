#include <tenon/gemm/gemm.hpp>
#include <tenon/gemm/gemm_ref.hpp>
#include <tenon/gemm/interleave.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::gemm_policy, tenon::index_t;
namespace epilogue = tenon::epilogue;

/// Every policy of this run's menu that can run elements of T in rows on 16 bytes.
template <class T, class Body>
void on_every_policy(tenon::context const& where, Body const& body) {
  if (where.arch == 89) return;  // the kernels of 80
  for (gemm_policy const& policy : tenon::gemm_menu) {
    if ((policy.kind == tenon::gemm_kind::lanes) != (where.arch == 0)) continue;
    if (!policy.runs(sizeof(T), {}) || (policy.kind == tenon::gemm_kind::mma && sizeof(T) != 2)) continue;
    SCOPED_TRACE(to_string(policy));
    body(policy);
  }
}

template <class T>
class gemm_epilogue : public testing::Test {};
using types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(gemm_epilogue, types);

// Everything at once, in an order in which every stage matters.
TYPED_TEST(gemm_epilogue, stages_apply_from_left_to_right) {
  using T              = TypeParam;
  constexpr index_t  m = 18, n = 21, k = 40;
  test::tensor<T, 2> a(m, k), b(n, k), r(m, n);
  test::tensor<T, 1> bias(n), columns(n), rows(m), shifts(m);
  a.random(1, 0.5f), b.random(2, 0.5f), r.random(3), bias.random(4), columns.random(5), rows.random(6),
      shifts.random(7);
  auto const stages = [](auto const& bias_, auto const& columns_, auto const& rows_, auto const& shifts_,
                         auto const& r_) {
    return epilogue::scale(0.5f) | epilogue::scale_columns(columns_) | epilogue::bias(bias_) | epilogue::gelu_tanh() |
           epilogue::add_rows(shifts_) | epilogue::scale_rows(rows_) | epilogue::residual(r_);
  };
  std::vector<float> want(m * n);
  auto const as = a.values(), bs = b.values(), rs = r.values(), bias_s = bias.values(), columns_s = columns.values(),
             rows_s = rows.values(), shifts_s = shifts.values();
  for (index_t i = 0; i < m; ++i)
    for (index_t j = 0; j < n; ++j) {
      auto const at = [](auto const& v, index_t e) {
        return static_cast<double>(static_cast<float>(v[static_cast<std::size_t>(e)]));
      };
      double sum = 0;
      for (index_t e = 0; e < k; ++e) sum += at(as, i * k + e) * at(bs, j * k + e);
      double const v = tenon::ref::gelu_tanh(sum * 0.5 * at(columns_s, j) + at(bias_s, j));
      want[static_cast<std::size_t>(i * n + j)] =
          static_cast<float>((v + at(shifts_s, i)) * at(rows_s, i) + at(rs, i * n + j));
    }
  test::on_every_target([&](tenon::context const& where) {
    auto const all = stages(bias.view(), columns.view(), rows.view(), shifts.view(), r.view());
    on_every_policy<T>(where, [&](gemm_policy const& policy) {
      test::tensor<T, 2> d(m, n);
      ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view(), {.policy = policy}, all).ok());
      EXPECT_LE(test::relative_error(d.values(), want), test::tolerance<T>());
    });
  });
}

// Gate and up meet: silu(s (x Wg^T) + bg) * (s (x Wu^T) + bu) + r, with D as its own residual.
TYPED_TEST(gemm_epilogue, pairs_gate_and_up) {
  using T = TypeParam;
  struct shape {
    index_t m, n;
  };
  constexpr index_t k = 40;
  for (auto const& s : {shape{1, 1}, shape{3, 8}, shape{18, 21}, shape{2, 172}}) {
    SCOPED_TRACE(std::to_string(s.m) + " x " + std::to_string(s.n));
    index_t const      rows = tenon::paired_rows(s.n);
    test::tensor<T, 2> a(s.m, k), gate(s.n, k), up(s.n, k), b(rows, k), r(s.m, s.n);
    test::tensor<T, 1> gate_bias(s.n), up_bias(s.n), bias(rows);
    a.random(1, 0.5f), gate.random(2, 0.5f), up.random(3, 0.5f), r.random(4), gate_bias.random(5), up_bias.random(6);
    auto const     as = a.values(), gs = gate.values(), us = up.values(), rs = r.values();
    auto const     gbs = gate_bias.values(), ubs = up_bias.values();
    std::vector<T> bs(static_cast<std::size_t>(rows * k)), biases(static_cast<std::size_t>(rows));
    ASSERT_TRUE(tenon::interleave(test::over(bs, rows, k), test::over(gs, s.n, k), test::over(us, s.n, k)).ok());
    ASSERT_TRUE(tenon::interleave(test::over(biases, rows), test::over(gbs, s.n), test::over(ubs, s.n)).ok());
    b.assign(bs), bias.assign(biases);

    std::vector<float> want(static_cast<std::size_t>(s.m * s.n));
    for (index_t i = 0; i < s.m; ++i)
      for (index_t j = 0; j < s.n; ++j) {
        auto const at = [](auto const& v, index_t e) {
          return static_cast<double>(static_cast<float>(v[static_cast<std::size_t>(e)]));
        };
        double g = 0, u = 0;
        for (index_t e = 0; e < k; ++e)
          g += at(as, i * k + e) * at(gs, j * k + e), u += at(as, i * k + e) * at(us, j * k + e);
        want[static_cast<std::size_t>(i * s.n + j)] =
            static_cast<float>(tenon::ref::silu(0.5 * g + at(gbs, j)) * (0.5 * u + at(ubs, j)) + at(rs, i * s.n + j));
      }
    test::on_every_target([&](tenon::context const& where) {
      on_every_policy<T>(where, [&](gemm_policy const& policy) {
        test::tensor<T, 2> d(s.m, s.n);
        d.assign(rs);
        auto const all =
            epilogue::scale(0.5f) | epilogue::bias(bias.view()) | epilogue::swiglu() | epilogue::residual(d.view());
        ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view(), {.policy = policy}, all).ok());
        EXPECT_LE(test::relative_error(d.values(), want), test::tolerance<T>());
      });
    });
  }
}

/// The user's own: the value's place, and that it is called for elements of D only.
struct place {
  index_t        rows, columns;
  TENON_HD float operator()(float v, index_t row, index_t column) const {
    bool const inside = row >= 0 && row < rows && column >= 0 && column < columns;
    return v * 0.f + (inside ? static_cast<float>(row * 1000 + column) : -1.f);
  }
};

TYPED_TEST(gemm_epilogue, takes_your_own) {
  using T              = TypeParam;
  constexpr index_t  m = 17, n = 35, k = 16;
  test::tensor<T, 2> a(m, k), b(n, k);
  a.random(1), b.random(2);
  test::on_every_target([&](tenon::context const& where) {
    on_every_policy<T>(where, [&](gemm_policy const& policy) {
      test::tensor<float, 2> d(m, n);
      ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view(), {.policy = policy}, place{m, n}).ok());
      auto const got = d.values();
      for (index_t i = 0; i < m; ++i)
        for (index_t j = 0; j < n; ++j)
          ASSERT_EQ(got[static_cast<std::size_t>(i * n + j)], static_cast<float>(i * 1000 + j));
    });
  });
}

// With a fused epilogue, too, a row has the same bits in every batch.
TYPED_TEST(gemm_epilogue, rows_are_batch_invariant) {
  using T              = TypeParam;
  constexpr index_t  m = 19, n = 22, k = 72;
  index_t const      rows = tenon::paired_rows(n);
  test::tensor<T, 2> a(m, k), b(rows, k);
  test::tensor<T, 1> bias(rows);
  a.random(1), b.random(2), bias.random(3);
  test::on_every_target([&](tenon::context where) {
    where.batch_invariant = true;
    test::tensor<float, 2> d(m, n), alone(m, n);
    auto const             all = epilogue::scale(0.5f) | epilogue::bias(bias.view()) | epilogue::swiglu();
    ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view(), {}, all).ok());
    for (index_t i = 0; i < m; ++i)
      ASSERT_TRUE(tenon::gemm(where, alone.view().slice(i, 1), a.view().slice(i, 1), b.view(), {}, all).ok());
    EXPECT_TRUE(test::same_bits(d.values(), alone.values()));
  });
}

}  // namespace
