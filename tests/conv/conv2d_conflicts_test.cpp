// Bank conflicts of the convolution's kernels: no access to shared memory takes more passes than its bytes want.
#include <tenon/conv/conv2d.hpp>

#include <gtest/gtest.h>

#include <cstdint>

#include "conv2d_problem.hpp"

#if TENON_CHECKED

namespace {

using tenon::bf16, tenon::index_t;

/// One block of every policy, over a whole tile and two stages at least.
template <class T>
void check_policies() {
  for (auto const& policy : tenon::conv2d_menu) {
    if (policy.on_host() || !tenon::conv2d_runs(policy, sizeof(T), {})) continue;
    SCOPED_TRACE(to_string(policy));
    index_t const           channels = policy.depth_of<T>() / (policy.wide ? 2 : 4);
    test::convolution const c{
        1, policy.rows / 8, 8, channels, policy.d_columns({}), 3, 3, {.padding = {1, 1}, .policy = policy}};
    test::convolution_operands<T> o(c);
    test::tensor<float, 4>        y(1, c.height, c.width, c.out_channels);
    tenon::simt::session          session({.count_wavefronts = true});
    tenon::context                where;
    where.arch        = 80;
    where.session     = &session;
    auto const status = tenon::conv2d(where, y.view(), o.x.view(), o.w.view(), c.options);
    ASSERT_TRUE(status.ok()) << status.subject;
    EXPECT_TRUE(session.found().clean()) << session.found();
    EXPECT_GT(session.found().ideal, 0u);
    EXPECT_EQ(session.found().bank_conflicts(), 0u);
  }
}

TEST(conv2d_conflicts, none_in_any_policy) {
  check_policies<bf16>();
  check_policies<float>();
  check_policies<std::int8_t>();
}

}  // namespace

#endif
