#include <tenon/kv/span_mass.hpp>
#include <tenon/kv/span_mass_ref.hpp>
#include <tenon/kv/span_summary.hpp>
#include <tenon/kv/span_summary_ref.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "key_cache.hpp"

namespace {

using tenon::bf16, tenon::errc, tenon::index_t, tenon::kv_int4, tenon::kv_int8, tenon::kv_span_summary;
using tenon::tensor_view;

/// A summary on the host, or in the operator's memory.
struct host_summary {
  index_t            spans, heads, dim;
  std::vector<float> least, most, mean, count;

  host_summary(index_t of_spans, index_t of_heads, index_t of_dim)
      : spans(of_spans),
        heads(of_heads),
        dim(of_dim),
        least(std::size_t(spans * heads * dim), -77.f),
        most(least),
        mean(least),
        count(std::size_t(spans * heads), -77.f) {}
  kv_span_summary view() {
    return {test::over(least, spans, heads, dim), test::over(most, spans, heads, dim),
            test::over(mean, spans, heads, dim), test::over(count, spans, heads)};
  }
};
struct device_summary {
  test::tensor<float, 3> least, most, mean;
  test::tensor<float, 2> count;

  explicit device_summary(host_summary const& s)
      : least(s.spans, s.heads, s.dim),
        most(s.spans, s.heads, s.dim),
        mean(s.spans, s.heads, s.dim),
        count(s.spans, s.heads) {
    least.assign(s.least), most.assign(s.most), mean.assign(s.mean), count.assign(s.count);
  }
  kv_span_summary view() { return {least.view(), most.view(), mean.view(), count.view()}; }
};

/// Whole and cut spans, one of one token, an empty one, one behind the end.
std::vector<std::int32_t> const spans{0, 0, 16, 1, 5, 7, 0, 30, 1, 1, 9, 0, 0, 25, 100, 0, 500, 4};
constexpr index_t               all_spans = 6;

template <class K>
void expect_summaries(test::cache_shape const& s, bool some_are_kept) {
  SCOPED_TRACE("head_dim " + std::to_string(s.head_dim) + (some_are_kept ? ", some are kept" : ""));
  test::key_cache<K>        cache(s, {40, 21}, 3);
  std::vector<std::int32_t> lists(std::size_t(2 * s.kv_heads * 10), -1), lengths;
  std::mt19937_64           random(4);
  for (index_t row = 0; row < 2 * s.kv_heads; ++row) {
    auto const n = std::int32_t(random() % 11);
    for (std::int32_t j = 0; j < n; ++j)
      lists[std::size_t(row * 10 + j)] =
          (j > 0 ? lists[std::size_t(row * 10 + j - 1)] : -1) + 1 + std::int32_t(random() % 4);
    lengths.push_back(n);
  }
  test::index_table<2> const at(spans, all_spans, 3), kept_length(lengths, 2, s.kv_heads);
  test::index_table<3> const kept(lists, 2, s.kv_heads, 10);
  host_summary               want(all_spans, s.kv_heads, s.head_dim), empty = want;
  using list_view   = tensor_view<std::int32_t const, 3>;
  using length_view = tensor_view<std::int32_t const, 2>;
  tenon::ref::span_summary(want.view(), cache.reference(), cache.reference_sequences(), at.at,
                           some_are_kept ? kept.at : list_view{}, some_are_kept ? kept_length.at : length_view{});
  test::on_every_target([&](tenon::context const& where) {
    device_summary got(empty);
    auto const     status = some_are_kept
                                ? tenon::span_summary(where, got.view(), cache.view(), cache.sequences(), at.view(),
                                                      kept.view(), kept_length.view())
                                : tenon::span_summary(where, got.view(), cache.view(), cache.sequences(), at.view());
    ASSERT_TRUE(status.ok()) << status.subject;
    EXPECT_TRUE(test::same_bits(got.least.values(), want.least));
    EXPECT_TRUE(test::same_bits(got.most.values(), want.most));
    EXPECT_EQ(got.count.values(), want.count);
    auto const mean = got.mean.values();
    for (std::size_t i = 0; i < mean.size(); ++i) ASSERT_NEAR(mean[i], want.mean[i], 1e-6) << i;
  });
}

TEST(span_summary, of_numbers) {
  expect_summaries<float>({5, 2, 18}, true);
  expect_summaries<bf16>({16, 2, 130, true}, false);
}
TEST(span_summary, of_codes) {
  expect_summaries<kv_int8>({8, 3, 40, true}, true);
  expect_summaries<kv_int4>({8, 1, 64}, false);
}

/// Keys of one request, spans of `size` tokens of which the first of four stays with the kept ones, and queries.
struct scene {
  index_t                   tokens, size, dim, group, queries;
  float                     scale;
  test::key_cache<float>    cache;
  std::vector<std::int32_t> list, kept;  // of spans; of tokens: all that are in none

  std::vector<float> q, lse;
  host_summary       summary;

  scene(index_t of_tokens, index_t of_size, index_t of_dim, std::uint64_t seed, float deviation)
      : tokens(of_tokens),
        size(of_size),
        dim(of_dim),
        group(2),
        queries(3),
        scale(1 / std::sqrt(float(dim))),
        cache({16, 1, dim}, {std::int32_t(tokens)}, seed),
        q(std::size_t(queries * group * dim)),
        lse(std::size_t(queries * group)),
        summary(tokens / size - 1, 1, dim) {
    for (index_t s = 1; s < tokens / size; ++s)
      list.insert(list.end(), {0, std::int32_t(s * size), std::int32_t(size)});
    for (std::int32_t t = 0; t < size; ++t) kept.push_back(t);
    std::mt19937_64            random(seed + 9);
    std::normal_distribution<> normal;
    for (float& v : q) v = deviation * float(normal(random));
    tenon::ref::span_summary(summary.view(), cache.reference(), cache.reference_sequences(),
                             tenon::as_const(test::over(list, summary.spans, 3)), {}, {});
    for (index_t row = 0; row < queries * group; ++row) lse[std::size_t(row)] = float(std::log(mass(row, 0)));
  }
  /// Sum of e^logit that a query gives to the tokens of a run of `size`.
  double mass(index_t row, index_t run) {
    double sum = 0;
    for (index_t t = run * size; t < (run + 1) * size; ++t) {
      double dot = 0;
      for (index_t d = 0; d < dim; ++d)
        dot += double(q[std::size_t(row * dim + d)]) *
               double(cache.reference()(cache.table.at(0, 0, t / 16), t % 16, 0, d));
      sum += std::exp(double(scale) * dot);
    }
    return sum;
  }
  /// The share that the span would have, the largest over the rows.
  double share(index_t span) {
    double most = 0;
    for (index_t row = 0; row < queries * group; ++row) {
      double const m = mass(row, span + 1);
      most           = std::max(most, m / (m + std::exp(double(lse[std::size_t(row)]))));
    }
    return most;
  }
};

struct answer {
  std::vector<float> upper, guess;
};
answer ask(tenon::context const& where, scene& x) {
  device_summary                summary(x.summary);
  test::tensor<float, 3>        q(x.queries, x.group, x.dim);
  test::tensor<float, 2>        lse(x.queries, x.group), upper(x.summary.spans, 1), guess(x.summary.spans, 1);
  test::index_table<2> const    list(x.list, x.summary.spans, 3);
  test::tensor<std::int32_t, 1> start(2);
  q.assign(x.q), lse.assign(x.lse), start.assign({0, std::int32_t(x.queries)});
  auto const status = tenon::span_mass(where, upper.view(), guess.view(), summary.view(), list.view(), q.view(),
                                       lse.view(), start.view());
  EXPECT_TRUE(status.ok()) << status.subject;
  return {upper.values(), guess.values()};
}

TEST(span_mass, agrees_with_its_definition_and_bounds_the_share) {
  struct one {
    index_t size, dim;
    float   deviation;
  };
  for (auto const& c : {one{1, 8, 1}, one{16, 18, 1}, one{7, 64, 4}, one{16, 33, 0}}) {
    SCOPED_TRACE(std::to_string(c.size) + " tokens of " + std::to_string(c.dim));
    scene                     x(6 * c.size, c.size, c.dim, 21, c.deviation);
    std::vector<float>        upper(std::size_t(x.summary.spans)), guess(upper);
    std::vector<std::int32_t> start{0, std::int32_t(x.queries)};
    tenon::ref::span_mass(
        test::over(upper, x.summary.spans, 1), test::over(guess, x.summary.spans, 1), x.summary.view(),
        tenon::as_const(test::over(x.list, x.summary.spans, 3)), test::over(x.q, x.queries, x.group, x.dim),
        tenon::as_const(test::over(x.lse, x.queries, x.group)), tenon::as_const(test::over(start, 2)), double(x.scale));
    test::on_every_target([&](tenon::context const& where) {
      auto const got = ask(where, x);
      for (std::size_t s = 0; s < upper.size(); ++s) {
        double const share = x.share(index_t(s));
        EXPECT_GE(double(got.upper[s]) * (1 + 1e-6), share) << "span " << s;
        EXPECT_NEAR(got.upper[s], upper[s], 2e-3f * upper[s]) << "span " << s;  // raised by 2^-16 of its terms
        EXPECT_NEAR(got.guess[s], guess[s], 1e-4f * guess[s]) << "span " << s;
        EXPECT_LE(got.guess[s], got.upper[s]);
        bool const certain = c.size == 1 || c.deviation == 0;  // nothing to guess
        EXPECT_TRUE(!certain || std::fabs(double(got.guess[s]) - share) < 1e-5 * share) << got.guess[s] << " " << share;
      }
    });
  }
}

// How good the guess is on normal keys, beside many others, so that shares are small; docs/operators/kv_spans.md has
// the table.
TEST(span_mass, guesses_the_share_of_normal_keys) {
  for (index_t const size : {4, 16, 64}) {
    double bias = 0, square = 0, above = 0, mean_alone = 0;
    int    count = 0;
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      scene x(9 * size, size, 64, 100 + seed, 1);
      for (float& v : x.lse) v += 6;
      auto const got     = ask({}, x);
      auto const summary = x.summary;
      x.summary.least = x.summary.most = x.summary.mean;  // no range: the mean key alone
      auto const of_mean               = ask({}, x);
      x.summary                        = summary;
      for (std::size_t s = 0; s < got.guess.size(); ++s, ++count) {
        double const share = x.share(index_t(s)), off = std::log(double(got.guess[s]) / share);
        bias += off, square += off * off, above += std::log(double(got.upper[s]) / share);
        mean_alone += std::log(double(of_mean.guess[s]) / share);
      }
    }
    bias /= count, square /= count, above /= count, mean_alone /= count;
    std::printf(
        "%lld tokens: log(guess / share) mean %.2f, root mean square %.2f; of the mean key alone %.2f; of the bound "
        "%.2f\n",
        static_cast<long long>(size), bias, std::sqrt(square), mean_alone, above);
    EXPECT_LT(std::fabs(bias), 0.3);
    EXPECT_LT(std::sqrt(square), 0.5);
    EXPECT_LT(std::fabs(bias), std::fabs(mean_alone));
    EXPECT_GT(above, 0);
  }
}

TEST(span_mass, of_spans_without_keys_or_queries_is_none) {
  scene                         x(32, 16, 8, 1, 1);
  test::tensor<float, 3>        q(1, 2, 8);
  test::tensor<float, 2>        lse(1, 2), upper(3, 1), guess(3, 1);
  test::index_table<2> const    list({0, 0, 4, 1, 0, 4, 7, 0, 4}, 3, 3);
  test::tensor<std::int32_t, 1> start(3);
  host_summary                  summary(3, 1, 8);
  summary.count = {0, 4, 4};
  q.random(1), lse.fill(0), start.assign({0, 1, 1});
  test::on_every_target([&](tenon::context const& where) {
    device_summary of(summary);
    upper.fill(-1), guess.fill(-1);
    ASSERT_TRUE(
        tenon::span_mass(where, upper.view(), guess.view(), of.view(), list.view(), q.view(), lse.view(), start.view())
            .ok());
    EXPECT_EQ(upper.values(), std::vector<float>(3, 0));
    EXPECT_EQ(guess.values(), std::vector<float>(3, 0));
  });
}

TEST(kv_spans_contract, names_what_is_wrong) {
  test::key_cache<float>        cache({4, 2, 8}, {9}, 5);
  host_summary                  host(1, 2, 8);
  device_summary                summary(host);
  test::index_table<2> const    list({0, 0, 4}, 1, 3), pairs({0, 0}, 1, 2);
  test::tensor<float, 3>        q(1, 4, 8), q3(1, 3, 8);
  test::tensor<float, 2>        lse(1, 4), upper(1, 2), wide(2, 2);
  test::tensor<std::int32_t, 1> start(2);
  tenon::context const          where{};
  auto const                    is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << subject;
    EXPECT_STREQ(s.subject, subject);
  };
  is(tenon::span_summary(where, summary.view(), cache.view(), cache.sequences(), pairs.view()), errc::shape_mismatch,
     "fields");
  auto lost      = summary.view();
  lost.mean.data = nullptr;
  is(tenon::span_summary(where, lost, cache.view(), cache.sequences(), list.view()), errc::out_of_range,
     "summary.mean");
  auto narrow           = summary.view();
  narrow.most.extent[2] = 7;
  is(tenon::span_summary(where, narrow, cache.view(), cache.sequences(), list.view()), errc::shape_mismatch,
     "head_dim");
  auto const run = [&](auto up, auto queries, float scale = 0) {
    return tenon::span_mass(where, up, upper.view(), summary.view(), list.view(), queries, lse.view(), start.view(),
                            scale);
  };
  is(run(wide.view(), q.view()), errc::shape_mismatch, "spans");
  is(run(upper.view(), q3.view()), errc::shape_mismatch, "heads");
  is(run(upper.view(), q.view(), -1), errc::out_of_range, "scale");
}

TEST(span_summary_policy, is_in_the_menu_of_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120}) {
    auto const chosen = tenon::choose_span_summary_policy({arch});
    EXPECT_EQ(std::count(std::begin(tenon::span_summary_menu), std::end(tenon::span_summary_menu), chosen), 1);
    EXPECT_EQ(chosen.on_host(), arch == 0);
  }
}

}  // namespace
