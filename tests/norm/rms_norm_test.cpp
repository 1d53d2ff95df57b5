#include <tenon/norm/rms_norm.hpp>
#include <tenon/norm/rms_norm_ref.hpp>

#include <gtest/gtest.h>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::f16, tenon::index_t;

struct shape {
  index_t tokens, hidden;
};
// Edges first: one element, one below and above a vector and a warp, a prime, then real models.
constexpr shape shapes[] = {{1, 1}, {3, 7}, {2, 31}, {2, 33}, {5, 997}, {3, 192}, {2, 4096}};

template <class T>
class rms_norm : public testing::Test {};
using types = testing::Types<float, f16, bf16>;
TYPED_TEST_SUITE(rms_norm, types);

TYPED_TEST(rms_norm, agrees_with_the_reference) {
  using T = TypeParam;
  for (auto const& s : shapes) {
    index_t const tokens = s.tokens, hidden = s.hidden;
    SCOPED_TRACE(std::to_string(tokens) + " x " + std::to_string(hidden));
    test::tensor<T, 2> x(tokens, hidden);
    test::tensor<T, 1> weight(hidden);
    x.random(1), weight.random(2);
    std::vector<float> expected(x.size());
    auto const         xs = x.values(), ws = weight.values();
    tenon::ref::rms_norm(test::over(expected, tokens, hidden), test::over(xs, tokens, hidden), test::over(ws, hidden),
                         1e-5f, tenon::identity{});
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<T, 2> y(tokens, hidden);
      ASSERT_TRUE(tenon::rms_norm(where, y.view(), x.view(), weight.view(), {.eps = 1e-5f}).ok());
      EXPECT_LE(test::relative_error(y.values(), expected), test::tolerance<T>());
    });
  }
}

TEST(rms_norm_contract, names_the_extent_at_fault) {
  test::tensor<float, 2> x(2, 8), y(2, 8);
  test::tensor<float, 1> weight(7);
  auto const             s = tenon::rms_norm(tenon::context{}, y.view(), x.view(), weight.view());
  EXPECT_EQ(s.code, tenon::errc::shape_mismatch);
  EXPECT_STREQ(s.subject, "hidden");
  EXPECT_EQ(s.got, 7);
  EXPECT_EQ(s.want, 8);
}

}  // namespace
