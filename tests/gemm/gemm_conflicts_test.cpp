// Bank conflicts of the dense kernels: no access to shared memory takes more passes than its bytes want.
#include <tenon/gemm/gemm.hpp>
#include <tenon/op/epilogue_rows.hpp>

#include <gtest/gtest.h>

#include <cstdint>

#include "../support/tensor.hpp"

#if TENON_CHECKED

namespace {

using tenon::bf16, tenon::index_t;

/// One block of every policy, over a whole tile and two stages more than its ring has.
template <class T, class Epilogue>
void check_policies(Epilogue const& stages, test::tensor<float, 2>& d, bool tf32) {
  using pipeline = tenon::epilogue::pipeline_of<Epilogue>;
  for (auto const& policy : tenon::gemm_menu) {
    if (policy.on_host() || !policy.runs(sizeof(T), tenon::needs_of<pipeline>())) continue;
    if (sizeof(T) == 4 && (policy.kind == tenon::gemm_kind::mma) != tf32) continue;
    SCOPED_TRACE(to_string(policy));
    index_t const      m = policy.rows, n = policy.d_columns(tenon::needs_of<pipeline>());
    index_t const      depth = policy.depth > 0 ? policy.depth_of<T>() : 64;
    index_t const      k     = depth * (policy.wide ? 2 : 1);
    test::tensor<T, 2> a(m, k), b(pipeline::paired ? tenon::paired_rows(n) : n, k);
    a.random(1), b.random(2);
    tenon::simt::session session({.count_wavefronts = true});
    tenon::context       where;
    where.arch    = 80;
    where.session = &session;
    tenon::tensor_view<float, 2> const mine{d.view().data, {m, n}, {n, 1}};
    auto const status = tenon::gemm(where, mine, a.view(), b.view(), {.policy = policy, .allow_tf32 = tf32}, stages);
    ASSERT_TRUE(status.ok()) << status.subject;
    EXPECT_TRUE(session.found().clean()) << session.found();
    EXPECT_GT(session.found().ideal, 0u);
    EXPECT_EQ(session.found().bank_conflicts(), 0u);
  }
}

TEST(gemm_conflicts, none_in_any_policy) {
  test::tensor<float, 2> d(256, 256), sums(256, 8);
  test::tensor<float, 1> bias(256);
  bias.random(3);
  check_policies<bf16>(tenon::epilogue::bias(bias.view()) | tenon::epilogue::row_square_sums(sums.view()), d, false);
  check_policies<float>(tenon::epilogue::bias(bias.view()) | tenon::epilogue::row_square_sums(sums.view()), d, false);
}
TEST(gemm_conflicts, none_with_tf32) {
  test::tensor<float, 2> d(256, 256);
  check_policies<float>(tenon::identity{}, d, true);
}

}  // namespace

#endif
