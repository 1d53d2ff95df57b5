#include <tenon/sampling/logprobs.hpp>
#include <tenon/sampling/logprobs_ref.hpp>

#include <gtest/gtest.h>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::errc, tenon::index_t;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan      = std::numeric_limits<float>::quiet_NaN();

TEST(token_logprobs, agrees_with_the_reference) {
  for (index_t const vocabulary : {1, 5, 257, 8200}) {
    SCOPED_TRACE("vocabulary " + std::to_string(vocabulary));
    index_t const                 rows = 3;
    test::tensor<float, 2>        logits(rows, vocabulary + 1);  // rows of every alignment
    test::tensor<std::int32_t, 1> ids(rows);
    logits.random(7, 4.0f);
    std::vector<std::int32_t> const chosen{0, static_cast<std::int32_t>(vocabulary / 2),
                                           static_cast<std::int32_t>(vocabulary - 1)};
    ids.assign(chosen);
    auto view                                       = logits.view();
    view.extent[1]                                  = vocabulary;
    auto const                               values = logits.values();
    std::vector<double>                      expected(3);
    tenon::tensor_view<float const, 2> const here{values.data(), {rows, vocabulary}, {vocabulary + 1, 1}};
    tenon::ref::token_logprobs(test::over(expected, rows), here, test::over(chosen, rows));
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<float, 1> logprobs(rows), again(rows);
      ASSERT_TRUE(tenon::token_logprobs(where, logprobs.view(), view, ids.view()).ok());
      ASSERT_TRUE(tenon::token_logprobs(where, again.view(), view, ids.view()).ok());
      EXPECT_TRUE(test::same_bits(logprobs.values(), again.values()));
      auto const got = logprobs.values();
      for (std::size_t r = 0; r < 3; ++r)
        EXPECT_NEAR(double(got[r]), expected[r], 1e-6 * (1 + std::abs(expected[r]))) << "row " << r;
    });
  }
}

TEST(token_logprobs, answers_for_values_that_are_no_numbers) {
  test::tensor<float, 2>        logits(6, 3);
  test::tensor<std::int32_t, 1> ids(6);
  logits.assign({0, 0, -infinity, 0, 0, nan, -infinity, -infinity, -infinity, 1, 2, 3, 1, 2, 3, infinity, 1, 2});
  ids.assign({2, 2, 0, -1, 3, 0});
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 1> logprobs(6);
    ASSERT_TRUE(tenon::token_logprobs(where, logprobs.view(), logits.view(), ids.view()).ok());
    auto const got = logprobs.values();
    EXPECT_EQ(got[0], -infinity);
    EXPECT_EQ(got[1], -infinity);
    EXPECT_TRUE(std::isnan(got[2])) << "no logit above -infinity";
    EXPECT_TRUE(std::isnan(got[3])) << "an id below the vocabulary";
    EXPECT_TRUE(std::isnan(got[4])) << "an id above the vocabulary";
    EXPECT_EQ(got[5], 0.0f);
  });
}

TEST(top_logprobs, agrees_with_sorting) {
  struct {
    index_t vocabulary, k;
    float   grain;
  } const shapes[] = {{1, 1, 0}, {5, 8, 0}, {40, 40, 1}, {300, 20, 0.5f}, {8200, 64, 1}, {8200, 5, 0}};
  for (auto const& s : shapes) {
    SCOPED_TRACE("vocabulary " + std::to_string(s.vocabulary) + " K " + std::to_string(s.k));
    index_t const          rows = 2;
    test::tensor<float, 2> logits(rows, s.vocabulary);
    logits.random(11, 3.0f);
    auto values = logits.values();
    for (auto& v : values)
      if (s.grain > 0) v = std::round(v / s.grain) * s.grain;
    if (s.vocabulary == 40) values[3] = nan, values[4] = -infinity, values[5] = -0.0f;
    logits.assign(values);
    std::vector<std::int32_t> order(static_cast<std::size_t>(rows * s.k));
    std::vector<double>       expected(order.size());
    tenon::ref::top_logprobs(test::over(order, rows, s.k), test::over(expected, rows, s.k),
                             test::over(values, rows, s.vocabulary));
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<std::int32_t, 2> ids(rows, s.k);
      test::tensor<float, 2>        logprobs(rows, s.k);
      ASSERT_TRUE(tenon::top_logprobs(where, ids.view(), logprobs.view(), logits.view()).ok());
      EXPECT_EQ(ids.values(), order);
      auto const got = logprobs.values();
      for (std::size_t i = 0; i < got.size(); ++i) {
        if (std::isinf(expected[i])) {
          EXPECT_EQ(got[i], -infinity) << i;
        } else {
          EXPECT_NEAR(double(got[i]), expected[i], 1e-6 * (1 + std::abs(expected[i]))) << i;
        }
      }
    });
  }
}

TEST(logprobs_contract, names_what_is_wrong) {
  test::tensor<float, 2>        logits(2, 8), logprobs(2, 3), four(2, 4), nothing(2, 0), many(2, 65);
  test::tensor<std::int32_t, 2> ids(2, 3), many_ids(2, 65);
  test::tensor<std::int32_t, 1> one(2), three(3);
  test::tensor<float, 1>        one_logprob(2);
  auto const                    is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << s.subject;
    EXPECT_STREQ(s.subject, subject);
  };
  tenon::context const where;
  is(tenon::top_logprobs(where, ids.view(), four.view(), logits.view()), errc::shape_mismatch, "K");
  is(tenon::top_logprobs(where, ids.view(), logprobs.view(), logits.view().slice(0, 1)), errc::shape_mismatch, "rows");
  is(tenon::top_logprobs(where, many_ids.view(), many.view(), logits.view()), errc::out_of_range, "K");
  is(tenon::top_logprobs(where, ids.view(), logprobs.view(), nothing.view()), errc::out_of_range, "vocabulary");
  is(tenon::token_logprobs(where, one_logprob.view(), logits.view(), three.view()), errc::shape_mismatch, "rows");
  is(tenon::token_logprobs(where, one_logprob.view(), nothing.view(), one.view()), errc::out_of_range, "vocabulary");
  auto sparse      = logits.view();
  sparse.stride[1] = 2;
  is(tenon::token_logprobs(where, one_logprob.view(), sparse, one.view()), errc::bad_stride, "logits");
  is(tenon::top_logprobs(where, ids.view(), logprobs.view(), sparse), errc::bad_stride, "logits");
  auto crooked = logits.view();
  crooked.data = reinterpret_cast<float*>(reinterpret_cast<char*>(crooked.data) + 1);
  is(tenon::token_logprobs(where, one_logprob.view(), crooked, one.view()), errc::misaligned, "logits");
  auto empty      = ids.view();
  auto blank      = logprobs.view();
  empty.extent[1] = blank.extent[1] = 0;
  EXPECT_TRUE(tenon::top_logprobs(where, empty, blank, logits.view()).ok());
}

}  // namespace
