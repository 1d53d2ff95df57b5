#include <tenon/sampling/penalties.hpp>
#include <tenon/sampling/penalties_ref.hpp>

#include <gtest/gtest.h>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::errc, tenon::index_t, tenon::sampling_params;

/// A batch: histories with repeats inside the prompt, inside the completion and across, tokens outside the vocabulary, an
/// empty history, a prompt alone, a completion alone.
struct batch {
  std::vector<std::int32_t>    history{5, 5, 2, 7, 5, 2, 2, 9, -1, 300000, 3, 3, 3, 1, 1, 4};
  std::vector<std::int32_t>    start{0, 10, 10, 13, 16};
  std::vector<std::int32_t>    prompt{4, 0, 3, 0};
  std::vector<sampling_params> params{
      {.repetition_penalty = 1.3f, .presence_penalty = 0.5f, .frequency_penalty = 0.25f},
      {.repetition_penalty = 2.0f, .presence_penalty = 1.0f},
      {.repetition_penalty = 0.8f, .frequency_penalty = 3.0f},
      {.presence_penalty = -0.5f, .frequency_penalty = -0.125f}};
};

// 10: less than a warp; 8200 and 40000: more than one piece of the GPU's policy and of the host's.
TEST(apply_penalties, agrees_with_the_reference) {
  batch const b;
  for (index_t const vocabulary : {10, 8200, 40000}) {
    SCOPED_TRACE("vocabulary " + std::to_string(vocabulary));
    auto history = b.history;
    if (vocabulary > 100) history[0] = history[4] = 8195, history[6] = static_cast<std::int32_t>(vocabulary) - 1;
    index_t const                    rows = vocabulary > 10000 ? 1 : 4;
    test::tensor<float, 2>           before(rows, vocabulary);
    test::tensor<sampling_params, 1> params(rows);
    test::tensor<std::int32_t, 1>    tokens(16), start(rows + 1), prompt(rows);
    auto const                       first = [](auto const& v, index_t n) {
      return std::decay_t<decltype(v)>(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(n));
    };
    before.random(3, 2.0f), params.assign(first(b.params, rows)), tokens.assign(history);
    start.assign(first(b.start, rows + 1)), prompt.assign(first(b.prompt, rows));
    auto expected = before.values();
    tenon::ref::apply_penalties(test::over(expected, rows, vocabulary), test::over(b.params, rows),
                                test::over(history, 16), test::over(b.start, rows + 1), test::over(b.prompt, rows));
    test::on_every_target([&](tenon::context const& where) {
      if (rows == 1 && !TENON_CUDA && where.arch != 0) return;  // the GPU's pieces are many at 8,200 already
      std::vector<float> first_run;
      for (int run = 0; run < 2; ++run) {
        test::tensor<float, 2> logits(rows, vocabulary);
        logits.assign(before.values());
        ASSERT_TRUE(
            tenon::apply_penalties(where, logits.view(), params.view(), tokens.view(), start.view(), prompt.view())
                .ok());
        auto const got = logits.values();
        for (std::size_t i = 0; i < got.size(); ++i)
          ASSERT_NEAR(got[i], expected[i], 2e-6f * (1 + std::abs(expected[i]))) << i;
        if (run == 0) first_run = got;
        EXPECT_TRUE(test::same_bits(got, first_run)) << "two runs differ";
      }
    });
  }
}

// Rows without penalties keep their bits, even NaN and -0; so do tokens that were never seen.
TEST(apply_penalties, leaves_alone_what_is_not_penalised) {
  float const                      nan = std::numeric_limits<float>::quiet_NaN();
  test::tensor<float, 2>           logits(2, 6);
  test::tensor<sampling_params, 1> params(2);
  test::tensor<std::int32_t, 1>    tokens(4), start(3), prompt(2);
  std::vector<float> const         before{nan, -0.0f, 1, 2, 3, 4, nan, -0.0f, 1, 2, 3, 4};
  params.assign({{}, {.repetition_penalty = 2}}), tokens.assign({0, 1, 2, 2}), start.assign({0, 2, 4});
  prompt.assign({1, 1});
  test::on_every_target([&](tenon::context const& where) {
    logits.assign(before);
    ASSERT_TRUE(
        tenon::apply_penalties(where, logits.view(), params.view(), tokens.view(), start.view(), prompt.view()).ok());
    auto expected = before;
    expected[8]   = 0.5f;
    EXPECT_TRUE(test::same_bits(logits.values(), expected));
  });
}

// Starts that leave the history are cut to it; logits may have any strides.
TEST(apply_penalties, is_safe_with_wrong_starts_and_takes_strides) {
  test::tensor<float, 2>           logits(5, 2);  // (vocabulary, rows)
  test::tensor<sampling_params, 1> params(2);
  test::tensor<std::int32_t, 1>    tokens(2), start(3), prompt(2);
  params.fill({.presence_penalty = 1}), tokens.assign({1, 4}), start.assign({-5, 1, 99}), prompt.fill(0);
  tenon::tensor_view<float, 2> const flipped{logits.view().data, {2, 5}, {1, 2}};
  test::on_every_target([&](tenon::context const& where) {
    logits.fill(3.0f);
    ASSERT_TRUE(tenon::apply_penalties(where, flipped, params.view(), tokens.view(), start.view(), prompt.view()).ok());
    EXPECT_EQ(logits.values(), (std::vector<float>{3, 3, 2, 3, 3, 3, 3, 3, 3, 2}));
  });
}

TEST(add_logit_bias, agrees_with_the_reference) {
  float const                     infinity = std::numeric_limits<float>::infinity();
  std::vector<std::int32_t> const ids{3, 3, 299, 3, -1, 300, 0, 7, 7};
  std::vector<float> const        values{1, 1e-8f, -infinity, -2, 50, 50, 0.5f, 2, 3};
  std::vector<std::int32_t> const start{0, 6, 6, 9};
  test::tensor<float, 2>          before(3, 300);
  test::tensor<std::int32_t, 1>   some(9), from(4);
  test::tensor<float, 1>          bias(9);
  before.random(1), some.assign(ids), from.assign(start), bias.assign(values);
  auto expected = before.values();
  tenon::ref::add_logit_bias(test::over(expected, 3, 300), test::over(ids, 9), test::over(values, 9),
                             test::over(start, 4));
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 2> logits(3, 300);
    logits.assign(before.values());
    ASSERT_TRUE(tenon::add_logit_bias(where, logits.view(), some.view(), bias.view(), from.view()).ok());
    EXPECT_TRUE(test::same_bits(logits.values(), expected)) << "in the order of the list";
  });
}

TEST(penalties_contract, names_what_is_wrong) {
  test::tensor<float, 2>           logits(2, 8);
  test::tensor<sampling_params, 1> params(2), one(1);
  test::tensor<std::int32_t, 1>    tokens(4), start(3), prompt(2), short_start(2), none(0);
  test::tensor<float, 1>           values(4), fewer(3);
  auto const is = [](tenon::status const& s, char const* primitive, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << s.subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, primitive);
  };
  tenon::context const where;
  auto const           penalise = [&](auto&&... a) { return tenon::apply_penalties(where, a.view()...); };
  is(penalise(logits, one, tokens, start, prompt), "apply_penalties", errc::shape_mismatch, "rows");
  is(penalise(logits, params, tokens, start, tokens), "apply_penalties", errc::shape_mismatch, "rows");
  is(penalise(logits, params, tokens, short_start, prompt), "apply_penalties", errc::shape_mismatch, "history_start");
  auto crooked = tokens.view();
  crooked.data = reinterpret_cast<std::int32_t*>(reinterpret_cast<char*>(crooked.data) + 1);
  is(tenon::apply_penalties(where, logits.view(), params.view(), crooked, start.view(), prompt.view()),
     "apply_penalties", errc::misaligned, "history");
  auto many = logits.view();
  auto much = params.view();
  auto lots = prompt.view(), all = start.view();
  many.extent[0] = much.extent[0] = lots.extent[0] = 65536, all.extent[0] = 65537;
  is(tenon::apply_penalties(where, many, much, tokens.view(), all, lots), "apply_penalties", errc::out_of_range,
     "rows");
  EXPECT_TRUE(penalise(logits, params, none, start, prompt).ok());

  auto const bias = [&](auto&&... a) { return tenon::add_logit_bias(where, a.view()...); };
  is(bias(logits, tokens, fewer, start), "add_logit_bias", errc::shape_mismatch, "entries");
  is(bias(logits, tokens, values, short_start), "add_logit_bias", errc::shape_mismatch, "start");
  is(tenon::add_logit_bias(where, logits.view(), crooked, values.view(), start.view()), "add_logit_bias",
     errc::misaligned, "ids");
}

TEST(penalties_policy, is_in_the_menu_and_fits) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120}) {
    auto const chosen = tenon::choose_penalties_policy({arch});
    EXPECT_EQ(std::count(std::begin(tenon::penalties_menu), std::end(tenon::penalties_menu), chosen), 1);
    EXPECT_EQ(chosen.on_host(), arch == 0);
    EXPECT_LE(static_cast<std::size_t>(chosen.piece) * 4, tenon::architecture{arch}.shared_bytes());
  }
}

}  // namespace
