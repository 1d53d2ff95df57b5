#include <tenon/sampling/logprobs_ref.hpp>
#include <tenon/sampling/sample.hpp>
#include <tenon/sampling/sample_ref.hpp>

#include <gtest/gtest.h>

#include <set>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::errc, tenon::index_t, tenon::sampling_params;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan      = std::numeric_limits<float>::quiet_NaN();

/// Ways to restrict a draw, alone and together.
std::vector<sampling_params> ways() {
  return {{.temperature = 0},
          {.temperature = 1},
          {.temperature = 0.7f, .top_k = 3},
          {.temperature = 1.5f, .top_k = 1000000},
          {.temperature = 1, .top_p = 0.6f},
          {.temperature = 2, .top_p = 0.95f, .top_k = 20},
          {.temperature = 1, .min_p = 0.1f},
          {.temperature = 1.2f, .top_p = 0.9f, .min_p = 0.02f, .top_k = 50},
          {.temperature = 1, .top_p = 0},
          {.temperature = 1e-30f},
          {.temperature = -1},
          {.temperature = nan}};
}

/// Rows for every way, from the first-th on, with seeds and positions of their own.
std::vector<sampling_params> requests(std::size_t rows, std::size_t first = 0) {
  std::vector<sampling_params> p;
  for (std::size_t r = 0; r < rows; ++r) {
    p.push_back(ways()[(first + r) % ways().size()]);
    p.back().seed = 1000 + r, p.back().position = r * r;
  }
  return p;
}

// Bit for bit the answer of sorting, on every target: ids, whatever the way, the alignment of the row, equal logits, and
// values that are no numbers. What lies between rows is NaN.
TEST(sample, agrees_with_the_reference) {
  struct {
    index_t vocabulary, apart;
    float   grain;  // logits are multiples of it: equals
  } const shapes[] = {{1, 1, 0}, {2, 3, 0}, {7, 8, 1}, {33, 33, 0.5f}, {300, 301, 0}, {1031, 1040, 2}, {8200, 8203, 0}};
  for (auto const& s : shapes) {
    SCOPED_TRACE("vocabulary " + std::to_string(s.vocabulary));
    index_t const                    rows = s.vocabulary > 1000 ? 2 : 12;
    test::tensor<float, 2>           logits(rows, s.apart);
    test::tensor<sampling_params, 1> params(rows);
    auto const                       how = requests(static_cast<std::size_t>(rows), rows == 2 ? 4 : 0);
    logits.random(static_cast<std::uint64_t>(s.vocabulary), 3.0f), params.assign(how);
    auto values = logits.values();
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (s.grain > 0) values[i] = std::round(values[i] / s.grain) * s.grain;
      if (static_cast<index_t>(i) % s.apart >= s.vocabulary) values[i] = nan;
    }
    if (s.vocabulary == 7) values[8 + 2] = nan, values[16 + 1] = infinity, values[24 + 3] = -infinity;
    logits.assign(values);
    auto view      = logits.view();
    view.extent[1] = s.vocabulary;
    std::vector<std::int32_t> expected;
    for (index_t r = 0; r < rows; ++r)
      expected.push_back(tenon::ref::sample(tenon::dense(values.data() + r * s.apart, s.vocabulary),
                                            how[static_cast<std::size_t>(r)]));
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<std::int32_t, 1> ids(rows);
      test::tensor<float, 1>        logprobs(rows);
      ASSERT_TRUE(tenon::sample(where, ids.view(), view, params.view(), {}, logprobs.view()).ok());
      EXPECT_EQ(ids.values(), expected);
      auto const got = logprobs.values();
      for (index_t r = 0; r < rows; ++r) {
        auto const   n = static_cast<std::size_t>(r);
        double const want =
            tenon::ref::log_probability(tenon::dense(values.data() + r * s.apart, s.vocabulary), expected[n]);
        if (std::isinf(values[static_cast<std::size_t>(r * s.apart + expected[n])])) continue;
        EXPECT_NEAR(double(got[n]), want, 1e-6 * (1 + std::abs(want))) << "row " << r;
      }
    });
  }
}

/// Draws for positions 0, 1, ... from one row of logits (the rows' stride is 0).
std::vector<std::int32_t> draws(tenon::context const& where, std::vector<float> const& row, sampling_params how,
                                index_t count) {
  test::tensor<float, 2>           logits(1, static_cast<index_t>(row.size()));
  test::tensor<sampling_params, 1> params(count);
  test::tensor<std::int32_t, 1>    ids(count);
  std::vector<sampling_params>     all;
  for (index_t i = 0; i < count; ++i) all.push_back(how), all.back().position = static_cast<std::uint64_t>(i);
  logits.assign(row), params.assign(all);
  auto view      = logits.view();
  view.extent[0] = count, view.stride[0] = 0;
  EXPECT_TRUE(tenon::sample(where, ids.view(), view, params.view()).ok());
  return ids.values();
}

// Frequencies against the distribution in double precision. Draws are a function of seed and position, so this passes or
// fails for ever; other targets and policies draw the same ids (above), so one suffices.
TEST(sample, draws_from_the_distribution) {
  std::vector<float> const row{0.1f, 2.3f, -1.0f, 1.7f, 0.9f, 2.3f, -1.2f, 1.2f, 0.0f, -0.5f, 1.9f, -infinity, 0.4f};
  for (sampling_params how : ways()) {
    if (!(how.temperature > 0.1f)) continue;
    how.seed = 42;
    SCOPED_TRACE("top_k " + std::to_string(how.top_k) + " top_p " + std::to_string(how.top_p) + " min_p " +
                 std::to_string(how.min_p));
    auto const probability = tenon::ref::sampling_distribution(tenon::dense(row.data(), 13), how);
    test::on_every_target([&](tenon::context const& where) {
      if (!TENON_CUDA && where.arch != 0) return;
      index_t const       count = 1500;
      std::vector<double> seen(row.size());
      for (auto id : draws(where, row, how, count)) ++seen[static_cast<std::size_t>(id)];
      double squares = 0, freedom = -1;
      for (std::size_t id = 0; id < row.size(); ++id) {
        double const expected = probability[id] * double(count);
        if (expected == 0) {
          EXPECT_EQ(seen[id], 0) << "id " << id << " is restricted";
          continue;
        }
        EXPECT_GT(seen[id], 0) << "id " << id << " is allowed";
        squares += (seen[id] - expected) * (seen[id] - expected) / expected, ++freedom;
      }
      EXPECT_LE(squares, freedom + 4 * std::sqrt(2 * freedom) + 1e-9) << "chi-squared, " << freedom << " degrees";
    });
  }
}

// The same request alone, in a batch, in another slot, among other neighbours.
TEST(sample, does_not_depend_on_the_batch) {
  index_t const                    rows = 9, vocabulary = 65;
  test::tensor<float, 2>           logits(rows, vocabulary);
  test::tensor<sampling_params, 1> params(rows);
  logits.random(5, 2.0f), params.assign(requests(9));
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<std::int32_t, 1> ids(rows), some(2);
    ASSERT_TRUE(tenon::sample(where, ids.view(), logits.view(), params.view()).ok());
    auto const all = ids.values();
    for (index_t r = 0; r + 2 <= rows; r += 3) {
      ASSERT_TRUE(tenon::sample(where, some.view(), logits.view().slice(r, 2), params.view().slice(r, 2)).ok());
      EXPECT_EQ(some.values(), std::vector<std::int32_t>(all.begin() + r, all.begin() + r + 2));
    }
  });
}

TEST(sample, seed_and_position_move_the_draw) {
  std::vector<float> const row(50, 0.0f);
  test::on_every_target([&](tenon::context const& where) {
    if (!TENON_CUDA && where.arch != 0) return;
    auto const a = draws(where, row, {.temperature = 1, .seed = 1}, 20);
    auto const b = draws(where, row, {.temperature = 1, .seed = 2}, 20);
    EXPECT_EQ(a, draws(where, row, {.temperature = 1, .seed = 1}, 20));
    EXPECT_NE(a, b);
    EXPECT_GT(std::set<std::int32_t>(a.begin(), a.end()).size(), 10u);
  });
}

/// The greedy id of one row.
void expect_greedy(std::vector<float> const& row, std::int32_t id) {
  test::tensor<float, 2> logits(1, static_cast<index_t>(row.size()));
  logits.assign(row);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<std::int32_t, 1>    ids(1);
    test::tensor<sampling_params, 1> none(0);
    ASSERT_TRUE(tenon::sample(where, ids.view(), logits.view(), none.view(), {.greedy = true}).ok());
    EXPECT_EQ(ids.values()[0], id);
  });
}

TEST(sample, greedy_takes_the_lowest_of_the_largest) {
  expect_greedy({3}, 0);
  expect_greedy({1, 5, 5, 2, 5}, 1);
  expect_greedy({-0.0f, 0.0f}, 0);
  expect_greedy({0.0f, -0.0f, 0.0f}, 0);
  expect_greedy({nan, -3, nan, -2, nan}, 3);
  expect_greedy({1, infinity, nan, infinity}, 1);
  std::vector<float> wide(1000, -1.0f);
  wide[777] = wide[778] = 4.0f;
  expect_greedy(wide, 777);
  wide[255] = 4.0f;  // the last of the first chunk that a single thread looks at
  expect_greedy(wide, 255);
}

// Nothing to choose from: id 0, and a log-probability by which the caller knows.
TEST(sample, a_row_of_nothing_is_told_apart) {
  for (float const nothing : {-infinity, nan}) {
    test::tensor<float, 2>           logits(2, 40);
    test::tensor<sampling_params, 1> params(2);
    logits.fill(nothing), params.assign({{.temperature = 0}, {.temperature = 1, .top_p = 0.5f, .top_k = 5}});
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<std::int32_t, 1> ids(2);
      test::tensor<float, 1>        logprobs(2);
      ASSERT_TRUE(tenon::sample(where, ids.view(), logits.view(), params.view(), {}, logprobs.view()).ok());
      EXPECT_EQ(ids.values(), (std::vector<std::int32_t>{0, 0}));
      for (float const v : logprobs.values()) EXPECT_TRUE(std::isnan(v));
    });
  }
}

TEST(sample_contract, names_what_is_wrong) {
  test::tensor<float, 2>           logits(2, 8), nothing(2, 0);
  test::tensor<std::int32_t, 1>    ids(2), three(3);
  test::tensor<sampling_params, 1> params(2), one(1);
  test::tensor<float, 1>           logprobs(3);
  auto const                       is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << s.subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, "sample");
  };
  tenon::context const where;
  is(tenon::sample(where, three.view(), logits.view(), params.view()), errc::shape_mismatch, "rows");
  is(tenon::sample(where, ids.view(), logits.view(), one.view()), errc::shape_mismatch, "rows");
  is(tenon::sample(where, ids.view(), logits.view(), params.view(), {}, logprobs.view()), errc::shape_mismatch, "rows");
  is(tenon::sample(where, ids.view(), nothing.view(), params.view()), errc::out_of_range, "vocabulary");
  auto sparse      = logits.view();
  sparse.stride[1] = 2;
  is(tenon::sample(where, ids.view(), sparse, params.view()), errc::bad_stride, "logits");
  auto wide      = logits.view();
  wide.extent[1] = (index_t{1} << 22) + 1;
  is(tenon::sample(where, ids.view(), wide, params.view()), errc::out_of_range, "vocabulary");
  auto crooked = logits.view();
  crooked.data = reinterpret_cast<float*>(reinterpret_cast<char*>(crooked.data) + 1);
  is(tenon::sample(where, ids.view(), crooked, params.view()), errc::misaligned, "logits");
  auto many      = logits.view();
  auto much      = ids.view();
  auto lots      = params.view();
  many.extent[0] = much.extent[0] = lots.extent[0] = index_t{1} << 31;
  is(tenon::sample(where, much, many, lots), errc::out_of_range, "rows");
  EXPECT_TRUE(tenon::sample(where, ids.view().slice(0, 0), logits.view().slice(0, 0), params.view().slice(0, 0)).ok());
}

TEST(sample_policy, is_in_the_menu_of_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120})
    for (index_t const vocabulary : {1, 8192, 8193, 300000}) {
      auto const chosen = tenon::choose_sample_policy({arch}, vocabulary);
      EXPECT_EQ(std::count(std::begin(tenon::sample_menu), std::end(tenon::sample_menu), chosen), 1);
      EXPECT_EQ(chosen.on_host(), arch == 0);
      EXPECT_TRUE(arch == 0 || chosen.threads_per_block >= 64) << "a search needs two warps to get shorter";
    }
}

}  // namespace
