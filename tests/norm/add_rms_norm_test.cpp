#include <tenon/norm/add_rms_norm.hpp>
#include <tenon/norm/add_rms_norm_ref.hpp>

#include <gtest/gtest.h>

#include "../support/npy.hpp"
#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::errc, tenon::f16, tenon::index_t;

struct shape {
  index_t tokens, hidden;
};
// Edges first; then one row that each policy holds in registers and one that it does not (1024 and 9000 with 128 and 1024
// threads).
constexpr shape shapes[] = {{1, 1}, {3, 7}, {2, 33}, {3, 192}, {2, 1032}, {1, 9000}};

template <class T>
class add_rms_norm : public testing::Test {};
using types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(add_rms_norm, types);

TYPED_TEST(add_rms_norm, agrees_with_the_reference) {
  using T = TypeParam;
  for (auto const& s : shapes) {
    index_t const tokens = s.tokens, hidden = s.hidden;
    SCOPED_TRACE(std::to_string(tokens) + " x " + std::to_string(hidden));
    test::tensor<T, 2> x(tokens, hidden), before(tokens, hidden);
    test::tensor<T, 1> weight(hidden);
    x.random(1), weight.random(2), before.random(3);
    std::vector<float> expected(x.size());
    auto const         xs = x.values(), ws = weight.values();
    auto               sum = before.values();
    tenon::ref::add_rms_norm(test::over(expected, tokens, hidden), test::over(sum, tokens, hidden),
                             test::over(xs, tokens, hidden), test::over(ws, hidden), 1e-5f, tenon::identity{});
    test::on_every_target([&](tenon::context const& where) {
      std::vector<T> first;
      for (int run = 0; run < 2; ++run) {
        test::tensor<T, 2> y(tokens, hidden), residual(tokens, hidden);
        residual.assign(before.values());
        ASSERT_TRUE(
            tenon::add_rms_norm(where, y.view(), residual.view(), x.view(), weight.view(), {.eps = 1e-5f}).ok());
        EXPECT_TRUE(test::same_bits(residual.values(), sum)) << "one addition and one rounding are exact";
        EXPECT_LE(test::relative_error(y.values(), expected), test::tolerance<T>());
        if (run == 0) first = y.values();
        EXPECT_TRUE(test::same_bits(y.values(), first)) << "two runs differ";
      }
    });
  }
}

// The residual stream may be wider than the activations.
TEST(add_rms_norm_types, residual_may_be_f32) {
  index_t const          tokens = 2, hidden = 96;
  test::tensor<f16, 2>   x(tokens, hidden), y(tokens, hidden);
  test::tensor<float, 2> residual(tokens, hidden);
  test::tensor<f16, 1>   weight(hidden);
  x.random(1), weight.random(2);
  std::vector<float> expected(x.size());
  auto const         xs = x.values(), ws = weight.values();
  test::on_every_target([&](tenon::context const& where) {
    residual.random(3);
    auto sum = residual.values();
    tenon::ref::add_rms_norm(test::over(expected, tokens, hidden), test::over(sum, tokens, hidden),
                             test::over(xs, tokens, hidden), test::over(ws, hidden), 1e-6f, tenon::identity{});
    ASSERT_TRUE(tenon::add_rms_norm(where, y.view(), residual.view(), x.view(), weight.view()).ok());
    EXPECT_TRUE(test::same_bits(residual.values(), sum));
    EXPECT_LE(test::relative_error(y.values(), expected), test::tolerance<f16>());
  });
}

// y over x, rows of the residual apart with NaN in between.
TEST(add_rms_norm_layout, y_may_alias_x_and_rows_may_lie_apart) {
  index_t const tokens = 3, hidden = 24;
  for (index_t const stride : {32, 29}) {
    test::tensor<float, 2> x(tokens, hidden), before(tokens, hidden);
    test::tensor<float, 1> weight(hidden);
    x.random(1), weight.random(2), before.random(3);
    std::vector<float> expected(x.size());
    auto const         xs = x.values(), ws = weight.values();
    auto               sum = before.values();
    std::vector<float> wide(static_cast<std::size_t>(tokens * stride), std::numeric_limits<float>::quiet_NaN());
    for (index_t t = 0; t < tokens; ++t)
      for (index_t h = 0; h < hidden; ++h)
        wide[static_cast<std::size_t>(t * stride + h)] = sum[static_cast<std::size_t>(t * hidden + h)];
    tenon::ref::add_rms_norm(test::over(expected, tokens, hidden), test::over(sum, tokens, hidden),
                             test::over(xs, tokens, hidden), test::over(ws, hidden), 1e-6f, tenon::identity{});
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<float, 2> y(tokens, hidden), residual(tokens, stride);
      y.assign(xs), residual.assign(wide);
      auto r      = residual.view();
      r.extent[1] = hidden;
      ASSERT_TRUE(tenon::add_rms_norm(where, y.view(), r, y.view(), weight.view()).ok());
      EXPECT_LE(test::relative_error(y.values(), expected), test::tolerance<float>());
      auto const after = residual.values();
      for (index_t t = 0; t < tokens; ++t)
        for (index_t h = 0; h < stride; ++h) {
          float const v = after[static_cast<std::size_t>(t * stride + h)];
          if (h < hidden) {
            EXPECT_EQ(v, sum[static_cast<std::size_t>(t * hidden + h)]);
          } else {
            EXPECT_TRUE(std::isnan(v)) << "padding of row " << t << " was written";
          }
        }
    });
  }
}

// A token alone has the bits it has in a batch, and the norm is rms_norm's own of the new residual where nothing differs
// in the order of the sum.
TEST(add_rms_norm_batch, rows_are_independent) {
  index_t const         tokens = 4, hidden = 1032;
  test::tensor<bf16, 2> x(tokens, hidden), before(tokens, hidden), y(tokens, hidden), one(1, hidden);
  test::tensor<bf16, 1> weight(hidden);
  x.random(1), weight.random(2), before.random(3);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<bf16, 2> residual(tokens, hidden), again(tokens, hidden);
    residual.assign(before.values()), again.assign(before.values());
    ASSERT_TRUE(tenon::add_rms_norm(where, y.view(), residual.view(), x.view(), weight.view()).ok());
    ASSERT_TRUE(
        tenon::add_rms_norm(where, one.view(), again.view().slice(2, 1), x.view().slice(2, 1), weight.view()).ok());
    auto const all = y.values();
    EXPECT_TRUE(test::same_bits(one.values(), std::vector<bf16>(all.begin() + 2 * hidden, all.begin() + 3 * hidden)));
  });
}

/// Counts its calls per element.
struct counting {
  float*           count;  // (tokens, hidden)
  index_t          hidden;
  __device__ float operator()(float v, index_t token, index_t h) const {
    count[token * hidden + h] += 1;
    return v;
  }
};

TEST(add_rms_norm_epilogue, sees_every_element_once) {
  index_t const tokens = 2;
  for (index_t const hidden : {13, 1304}) {
    test::tensor<float, 2> x(tokens, hidden), residual(tokens, hidden), y(tokens, hidden), count(tokens, hidden);
    test::tensor<float, 1> weight(hidden);
    x.random(1), weight.random(2), residual.random(3);
    test::on_every_target([&](tenon::context const& where) {
      count.fill(0.0f);
      ASSERT_TRUE(tenon::add_rms_norm(where, y.view(), residual.view(), x.view(), weight.view(), {},
                                      counting{count.view().data, hidden})
                      .ok());
      EXPECT_EQ(count.values(), std::vector<float>(count.size(), 1.0f));
    });
  }
}

TEST(add_rms_norm_contract, names_what_is_wrong) {
  test::tensor<float, 2> x(2, 8), y(2, 8), residual(2, 8), shorter(1, 8), narrow(2, 7);
  test::tensor<float, 1> weight(8);
  auto const             is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << s.subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, "add_rms_norm");
  };
  tenon::context const where;
  is(tenon::add_rms_norm(where, y.view(), shorter.view(), x.view(), weight.view()), errc::shape_mismatch, "tokens");
  is(tenon::add_rms_norm(where, narrow.view(), residual.view(), x.view(), weight.view()), errc::shape_mismatch,
     "hidden");
  auto sparse      = residual.view();
  sparse.stride[1] = 2;
  is(tenon::add_rms_norm(where, y.view(), sparse, x.view(), weight.view()), errc::bad_stride, "residual");
  auto crooked = residual.view();
  crooked.data = reinterpret_cast<float*>(reinterpret_cast<char*>(crooked.data) + 1);
  is(tenon::add_rms_norm(where, y.view(), crooked, x.view(), weight.view()), errc::misaligned, "residual");
  is(tenon::add_rms_norm(where, y.view(), residual.view(), x.view(), weight.view(), {.eps = -1}), errc::out_of_range,
     "eps");
  auto many      = x.view();
  many.extent[0] = index_t{1} << 31;
  is(tenon::add_rms_norm(where, many, many, many, weight.view()), errc::out_of_range, "tokens");
  test::tensor<float, 2> none(0, 8);
  EXPECT_TRUE(tenon::add_rms_norm(where, none.view(), none.view(), none.view(), weight.view()).ok());
}

TEST(add_rms_norm_policy, is_in_the_menu_of_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120})
    for (index_t const hidden : {1, 1024, 1025, 4096, 100000})
      for (bool const vectorised : {false, true}) {
        auto const chosen = tenon::choose_add_rms_norm_policy({arch}, hidden, vectorised);
        EXPECT_EQ(std::count(std::begin(tenon::add_rms_norm_menu), std::end(tenon::add_rms_norm_menu), chosen), 1);
        EXPECT_EQ(chosen.on_host(), arch == 0);
      }
}

// vLLM's own results.
TEST(add_rms_norm_vectors, agrees_with_vllm) {
  auto const vectors = test::kernel_vectors("rmsnorm_fused_residual_f32_8x128");
  if (!vectors) GTEST_SKIP() << test::no_shared_data;
  test::tensor<float, 2> x(8, 128), y(8, 128), residual(8, 128);
  test::tensor<float, 1> weight(128);
  x.assign(vectors->values<float>("x")), weight.assign(vectors->values<float>("weight"));
  test::on_every_target([&](tenon::context const& where) {
    residual.assign(vectors->values<float>("residual_in"));
    ASSERT_TRUE(tenon::add_rms_norm(where, y.view(), residual.view(), x.view(), weight.view(), {.eps = 1e-6f}).ok());
    EXPECT_LE(test::excess(y.values(), vectors->values<float>("out"), 1e-5, 1e-5), 0);
    EXPECT_LE(test::excess(residual.values(), vectors->values<float>("residual_out"), 1e-5, 1e-5), 0);
  });
}

}  // namespace
