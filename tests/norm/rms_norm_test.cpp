#include <tenon/norm/rms_norm.hpp>
#include <tenon/norm/rms_norm_ref.hpp>

#include <gtest/gtest.h>

#include "../support/npy.hpp"
#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::errc, tenon::f16, tenon::index_t;

struct shape {
  index_t tokens, hidden;
};
// Edges first: one element, one below and above a vector and a warp, a prime, then real models.
constexpr shape shapes[] = {{1, 1}, {3, 7}, {2, 31}, {2, 33}, {2, 997}, {3, 192}, {1, 4096}};

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
      test::tensor<T, 2> y(tokens, hidden), again(tokens, hidden);
      ASSERT_TRUE(tenon::rms_norm(where, y.view(), x.view(), weight.view(), {.eps = 1e-5f}).ok());
      EXPECT_LE(test::relative_error(y.values(), expected), test::tolerance<T>());
      ASSERT_TRUE(tenon::rms_norm(where, again.view(), x.view(), weight.view(), {.eps = 1e-5f}).ok());
      EXPECT_TRUE(test::same_bits(y.values(), again.values())) << "two runs differ";
    });
  }
}

/// The first `hidden` columns of a wider tensor.
template <class T>
tenon::tensor_view<T, 2> columns(test::tensor<T, 2>& wide, index_t hidden) {
  auto v      = wide.view();
  v.extent[1] = hidden;
  return v;
}

// Rows lie apart, with NaN in between: it must be neither read nor overwritten. 40 keeps rows vectorised, 37 does not.
TEST(rms_norm_layout, rows_may_lie_apart) {
  float const nan = std::numeric_limits<float>::quiet_NaN();
  for (index_t const stride : {40, 37}) {
    index_t const          tokens = 3, hidden = 33;
    test::tensor<float, 2> wide(tokens, stride), dense(tokens, hidden);
    test::tensor<float, 1> weight(hidden);
    dense.random(1), weight.random(2);
    auto               values = std::vector<float>(wide.size(), nan);
    auto const         xs     = dense.values();
    std::vector<float> expected(dense.size());
    for (index_t t = 0; t < tokens; ++t)
      for (index_t h = 0; h < hidden; ++h)
        values[static_cast<std::size_t>(t * stride + h)] = xs[static_cast<std::size_t>(t * hidden + h)];
    wide.assign(values);
    auto const ws = weight.values();
    tenon::ref::rms_norm(test::over(expected, tokens, hidden), test::over(xs, tokens, hidden), test::over(ws, hidden),
                         1e-6f, tenon::identity{});
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<float, 2> y(tokens, stride);
      y.fill(7.0f);
      ASSERT_TRUE(tenon::rms_norm(where, columns(y, hidden), columns(wide, hidden), weight.view()).ok());
      auto const         all = y.values();
      std::vector<float> got;
      for (index_t t = 0; t < tokens; ++t)
        for (index_t h = 0; h < stride; ++h) {
          float const v = all[static_cast<std::size_t>(t * stride + h)];
          if (h < hidden) {
            got.push_back(v);
          } else {
            EXPECT_EQ(v, 7.0f) << "padding of row " << t << " was written";
          }
        }
      EXPECT_LE(test::relative_error(got, expected), test::tolerance<float>());
    });
  }
}

TEST(rms_norm_layout, y_may_alias_x) {
  index_t const         tokens = 2, hidden = 200;
  test::tensor<bf16, 2> x(tokens, hidden), y(tokens, hidden);
  test::tensor<bf16, 1> weight(hidden);
  x.random(1), weight.random(2);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<bf16, 2> z(tokens, hidden);
    z.assign(x.values());
    ASSERT_TRUE(tenon::rms_norm(where, y.view(), x.view(), weight.view()).ok());
    ASSERT_TRUE(tenon::rms_norm(where, z.view(), z.view(), weight.view()).ok());
    EXPECT_TRUE(test::same_bits(y.values(), z.values()));
  });
}

// A token's result does not depend on its neighbours: one row alone has the bits it has in a batch.
TEST(rms_norm_batch, rows_are_independent) {
  index_t const          tokens = 5, hidden = 192;
  test::tensor<float, 2> x(tokens, hidden), y(tokens, hidden), one(1, hidden);
  test::tensor<float, 1> weight(hidden);
  x.random(1), weight.random(2);
  test::on_every_target([&](tenon::context const& where) {
    ASSERT_TRUE(tenon::rms_norm(where, y.view(), x.view(), weight.view()).ok());
    ASSERT_TRUE(tenon::rms_norm(where, one.view(), x.view().slice(3, 1), weight.view()).ok());
    auto const all = y.values();
    EXPECT_TRUE(test::same_bits(one.values(), std::vector<float>(all.begin() + 3 * hidden, all.begin() + 4 * hidden)));
  });
}

// A NaN stays in its row.
TEST(rms_norm_batch, a_nan_stays_in_its_row) {
  index_t const          tokens = 3, hidden = 64;
  test::tensor<float, 2> x(tokens, hidden), y(tokens, hidden);
  test::tensor<float, 1> weight(hidden);
  std::vector<float>     values(x.size(), 1.0f);
  values[static_cast<std::size_t>(hidden + 5)] = std::numeric_limits<float>::quiet_NaN();
  x.assign(values), weight.fill(1.0f);
  test::on_every_target([&](tenon::context const& where) {
    ASSERT_TRUE(tenon::rms_norm(where, y.view(), x.view(), weight.view()).ok());
    auto const got = y.values();
    for (std::size_t i = 0; i < got.size(); ++i)
      EXPECT_EQ(std::isnan(got[i]), i / static_cast<std::size_t>(hidden) == 1) << i;
  });
}

/// Counts its calls per element and answers its coordinates.
struct counting {
  float*           count;  // (tokens, hidden)
  index_t          hidden;
  __device__ float operator()(float, index_t token, index_t h) const {
    count[token * hidden + h] += 1;
    return static_cast<float>(token * 1000 + h);
  }
};

TEST(rms_norm_epilogue, sees_every_element_once) {
  index_t const tokens = 2;
  for (index_t const hidden : {13, 72}) {
    test::tensor<float, 2> x(tokens, hidden), y(tokens, hidden), count(tokens, hidden);
    test::tensor<float, 1> weight(hidden);
    x.random(1), weight.random(2);
    test::on_every_target([&](tenon::context const& where) {
      count.fill(0.0f);
      ASSERT_TRUE(
          tenon::rms_norm(where, y.view(), x.view(), weight.view(), {}, counting{count.view().data, hidden}).ok());
      auto const got = y.values(), calls = count.values();
      for (std::size_t i = 0; i < got.size(); ++i) {
        auto const h = static_cast<std::size_t>(hidden);
        EXPECT_EQ(calls[i], 1.0f) << i;
        EXPECT_EQ(got[i], static_cast<float>(i / h * 1000 + i % h));
      }
    });
  }
}

TEST(rms_norm_contract, names_what_is_wrong) {
  test::tensor<float, 2> x(2, 8), y(2, 8), short_y(1, 8), transposed(8, 2);
  test::tensor<float, 1> weight(8), short_weight(7);
  auto const             is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << s.subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, "rms_norm");
  };
  tenon::context const where;
  auto const           s = tenon::rms_norm(where, y.view(), x.view(), short_weight.view());
  is(s, errc::shape_mismatch, "hidden");
  EXPECT_EQ(s.got, 7);
  EXPECT_EQ(s.want, 8);
  is(tenon::rms_norm(where, short_y.view(), x.view(), weight.view()), errc::shape_mismatch, "tokens");

  auto flipped = transposed.view();
  std::swap(flipped.extent[0], flipped.extent[1]), std::swap(flipped.stride[0], flipped.stride[1]);
  is(tenon::rms_norm(where, y.view(), flipped, weight.view()), errc::bad_stride, "x");
  is(tenon::rms_norm(where, flipped, x.view(), weight.view()), errc::bad_stride, "y");
  auto sparse      = weight.view();
  sparse.stride[0] = 2;
  is(tenon::rms_norm(where, y.view(), x.view(), sparse), errc::bad_stride, "weight");

  auto crooked = x.view();
  crooked.data = reinterpret_cast<float*>(reinterpret_cast<char*>(crooked.data) + 2);
  is(tenon::rms_norm(where, y.view(), crooked, weight.view()), errc::misaligned, "x");
  auto absent = y.view();
  absent.data = nullptr;
  is(tenon::rms_norm(where, absent, x.view(), weight.view()), errc::out_of_range, "y");

  is(tenon::rms_norm(where, y.view(), x.view(), weight.view(), {.eps = 0}), errc::out_of_range, "eps");
  is(tenon::rms_norm(where, y.view(), x.view(), weight.view(), {.eps = std::numeric_limits<float>::quiet_NaN()}),
     errc::out_of_range, "eps");
  auto many      = x.view();
  many.extent[0] = index_t{1} << 31;
  is(tenon::rms_norm(where, many, many, weight.view()), errc::out_of_range, "tokens");
}

TEST(rms_norm_contract, nothing_to_do_is_fine) {
  test::tensor<float, 2> none(0, 8), narrow(3, 0);
  test::tensor<float, 1> weight(8), empty(0);
  EXPECT_TRUE(tenon::rms_norm(tenon::context{}, none.view(), none.view(), weight.view()).ok());
  EXPECT_TRUE(tenon::rms_norm(tenon::context{}, narrow.view(), narrow.view(), empty.view()).ok());
}

TEST(rms_norm_policy, is_in_the_menu_of_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120})
    for (index_t const hidden : {1, 1024, 1025, 4096, 100000})
      for (bool const vectorised : {false, true}) {
        auto const chosen = tenon::choose_rms_norm_policy({arch}, hidden, vectorised);
        EXPECT_EQ(std::count(std::begin(tenon::rms_norm_menu), std::end(tenon::rms_norm_menu), chosen), 1);
        EXPECT_EQ(chosen.on_host(), arch == 0);
        EXPECT_TRUE(vectorised || arch == 0 || chosen.vector == 1);
      }
}

// vLLM's own results.
TEST(rms_norm_vectors, agrees_with_vllm) {
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  auto const run = [](auto type, char const* name, double tolerance) {
    using T                    = decltype(type);
    auto const         vectors = *test::kernel_vectors(name);
    test::tensor<T, 2> x(8, 128), y(8, 128);
    test::tensor<T, 1> weight(128);
    x.assign(vectors.values<T>("x")), weight.assign(vectors.values<T>("weight"));
    test::on_every_target([&](tenon::context const& where) {
      ASSERT_TRUE(tenon::rms_norm(where, y.view(), x.view(), weight.view(), {.eps = 1e-6f}).ok());
      EXPECT_LE(test::excess(y.values(), vectors.values<float>("out"), tolerance, tolerance), 0) << name;
    });
  };
  run(float{}, "rmsnorm_f32_8x128", 1e-5);
  run(bf16{}, "rmsnorm_bf16_8x128", 8e-3);
}

}  // namespace
