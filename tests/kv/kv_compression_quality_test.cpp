// What each way of choosing tokens costs, without a model: a made-up prompt whose structure is known.
// docs/operators/kv_scores.md has the tables that this prints.
//
//   sinks    the first four tokens, which every query likes and whose values are small
//   topics   eight directions; a token has that of the one before it, or, one in six, another. Queries follow two that
//            change along the prompt
//   needle   one token in the middle with a direction of its own. Those who seek it give it half of their attention
//
// The queries that count come after the prompt: 24 that follow the last topics and seek the needle. Aware: the last
// queries of the prompt seek it, too (a question stands at its end). Agnostic: they do not. Everything goes the way
// that it goes in an engine: scores, selection, compact_kv in place, attention over what is left.
#include <tenon/kv/attention_scores.hpp>
#include <tenon/kv/compact_kv.hpp>
#include <tenon/kv/expected_queries.hpp>
#include <tenon/kv/key_scores.hpp>
#include <tenon/kv/position_scores.hpp>
#include <tenon/kv/select_tokens.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "../support/expect_status.hpp"
#include "../support/tensor.hpp"
#include "index_table.hpp"

namespace {

using tenon::index_t, tenon::kept_tokens, tenon::tensor_view;

constexpr index_t tokens = 512, dim = 32, kv_heads = 2, group = 2, heads = kv_heads * group, page_size = 16;
constexpr index_t window = 32, later = 24, pages = tokens / page_size, topics = 8;

struct prompt {
  test::tensor<float, 4> k{kv_heads * pages, page_size, 1, dim}, v{kv_heads * pages, page_size, 1, dim};
  test::index_table<3>   table;
  test::index_table<2>   length{std::vector<std::int32_t>(kv_heads, tokens), 1, kv_heads};
  std::vector<float>     keys, values, q, q_later;  // (kv_heads, tokens, dim), (tokens or later, heads, dim)
  std::vector<float>     k_pages, v_pages;          // as they were before anything was dropped
  index_t                needle;

  prompt(std::uint64_t seed, bool aware) : table(test::shuffled(kv_heads * pages, seed), 1, kv_heads, pages) {
    std::mt19937_64            random(seed);
    std::normal_distribution<> normal;
    using direction = std::vector<double>;
    auto const unit = [&] {
      direction d(dim);
      double    norm = 0;
      for (double& x : d) x = normal(random), norm += x * x;
      for (double& x : d) x /= std::sqrt(norm);
      return d;
    };
    needle = 60 + index_t(random() % std::uint64_t(tokens - 160));
    keys.resize(std::size_t(kv_heads * tokens * dim)), values = keys;
    q.resize(std::size_t(tokens * heads * dim)), q_later.resize(std::size_t(later * heads * dim));
    for (index_t h = 0; h < kv_heads; ++h) {
      // The second head is less sure of what it wants.
      double const           sharp = h == 0 ? 1 : 0.5;
      direction const        sink = unit(), sought = unit(), common = unit();
      std::vector<direction> topic;
      for (index_t i = 0; i < topics; ++i) topic.push_back(unit());
      std::size_t now = 0;
      for (index_t t = 0; t < tokens; ++t) {
        if (random() % 6 == 0) now = std::size_t(random() % topics);
        auto const& mine = topic[now];
        for (index_t d = 0; d < dim; ++d) {
          auto const  i   = std::size_t(d);
          std::size_t at  = std::size_t((h * tokens + t) * dim + d);
          double      key = 2 * common[i] + 4 * mine[i] + 0.6 * normal(random);
          if (t < 4) key = 2 * common[i] + 6 * sink[i] + 0.1 * normal(random);
          if (t == needle) key = 2 * common[i] + 7 * sought[i] + 0.1 * normal(random);
          keys[at]   = float(key);
          values[at] = float((t < 4 ? 0.05 : t == needle ? 2 : 1) * normal(random));
        }
      }
      // What a query is after: the sinks always, two topics of its time, the needle perhaps. Logits are q . k /
      // sqrt(dim).
      auto const ask = [&](float* to, index_t time, bool seeks) {
        auto const&  a     = topic[std::size_t(time / 128 % topics)];
        auto const&  b     = topic[std::size_t((time / 128 + 3) % topics)];
        double const scale = std::sqrt(double(dim));
        for (index_t d = 0; d < dim; ++d) {
          auto const i = std::size_t(d);
          to[d] = float(scale * (0.7 * sink[i] + sharp * (0.7 * a[i] + 0.5 * b[i]) + (seeks ? 1.0 * sought[i] : 0.) +
                                 0.12 * normal(random)));
        }
      };
      for (index_t g = 0; g < group; ++g) {
        for (index_t t = 0; t < tokens; ++t)
          ask(&q[std::size_t((t * heads + h * group + g) * dim)], t, aware && t >= tokens - window / 2);
        for (index_t t = 0; t < later; ++t)
          ask(&q_later[std::size_t((t * heads + h * group + g) * dim)], tokens - 1, true);
      }
    }
    k_pages.resize(k.size()), v_pages.resize(v.size());
    for (index_t h = 0; h < kv_heads; ++h)
      for (index_t t = 0; t < tokens; ++t)
        for (index_t d = 0; d < dim; ++d) {
          auto const to = std::size_t((table.at(0, h, t / page_size) * page_size + t % page_size) * dim + d);
          k_pages[to]   = keys[std::size_t((h * tokens + t) * dim + d)];
          v_pages[to]   = values[std::size_t((h * tokens + t) * dim + d)];
        }
    restore();
  }
  void restore() { k.assign(k_pages), v.assign(v_pages); }

  tenon::paged_kv<float> cache() {
    return {tenon::pages_of_one_head(k.view(), kv_heads), tenon::pages_of_one_head(v.view(), kv_heads)};
  }
  tenon::kv_sequences sequences() const { return {table.view(), length.view()}; }

  /// Attention of the later queries over the first length[h] tokens of the pages as they are: (later, heads, dim).
  std::vector<double> attend(std::vector<std::int32_t> const& lengths) const {
    auto const          k_now = k.values(), v_now = v.values();
    std::vector<double> out(std::size_t(later * heads * dim), 0);
    for (index_t i = 0; i < later; ++i)
      for (index_t head = 0; head < heads; ++head) {
        index_t const       h = head / group, n = lengths[std::size_t(h)];
        std::vector<double> weight(static_cast<std::size_t>(n));
        double              total = 0;
        auto const          row   = [&](index_t t) {
          return std::size_t((table.at(0, h, t / page_size) * page_size + t % page_size) * dim);
        };
        for (index_t t = 0; t < n; ++t) {
          double dot = 0;
          for (index_t d = 0; d < dim; ++d)
            dot += double(q_later[std::size_t((i * heads + head) * dim + d)]) * double(k_now[row(t) + std::size_t(d)]);
          total += weight[std::size_t(t)] = std::exp(dot / std::sqrt(double(dim)));
        }
        for (index_t t = 0; t < n; ++t)
          for (index_t d = 0; d < dim; ++d)
            out[std::size_t((i * heads + head) * dim + d)] +=
                weight[std::size_t(t)] / total * double(v_now[row(t) + std::size_t(d)]);
      }
    return out;
  }
};

/// Scores (kv_heads, tokens) of a prompt, by name.
std::vector<float> scores_of(std::string const& method, prompt& x) {
  std::vector<float>            scores(std::size_t(kv_heads * tokens)), memory(std::size_t(tokens * heads));
  test::tensor<float, 3>        to(1, kv_heads, tokens), norms(1, kv_heads, tokens);
  test::tensor<std::int32_t, 1> start(2);
  tenon::context                where;
  where.workspace  = {reinterpret_cast<std::byte*>(memory.data()), memory.size() * sizeof(float)};
  auto const all   = tenon::as_const(test::over(x.q, tokens, heads, dim));
  auto const query = [&](index_t last, auto const& reduction) {
    start.assign({0, std::int32_t(last)});
    test::expect_ok(tenon::attention_scores(where, to.view(), all.slice(tokens - last, last), x.cache().k,
                                            x.sequences(), start.view(), reduction));
    scores = to.values();
  };
  auto const measure = [&](auto const& measure_of) {
    test::expect_ok(tenon::key_scores(where, to.view(), x.cache().k, x.sequences(), measure_of));
    scores = to.values();
  };
  if (method.starts_with("snap_kv")) query(window, tenon::snap_kv{});
  if (method == "h2o") query(tokens, tenon::h2o{});
  if (method == "mean_attention") query(tokens, tenon::mean_attention{});
  if (method == "tova") query(1, tenon::tova{});
  if (method == "knorm") measure(tenon::knorm{});
  if (method == "key_diff") measure(tenon::key_diff{});
  if (method == "recency")
    test::expect_ok(tenon::position_scores(test::over(scores, kv_heads, tokens), tenon::recency{}));
  if (method == "coin_toss")
    test::expect_ok(
        tenon::position_scores(test::over(scores, kv_heads, tokens), tenon::coin_toss{std::uint64_t(x.needle)}));
  if (method == "expected_attention") {
    std::vector<float> turn(std::size_t(tokens * dim), 0.f);  // no rotation: the prompt has none
    for (index_t p = 0; p < tokens; ++p)
      for (index_t i = 0; i < dim / 2; ++i) turn[std::size_t(p * dim + i)] = 1;
    tenon::expected_queries expected;
    test::expect_ok(
        tenon::expect_queries(expected, all.slice(tokens - 64, 64), tenon::as_const(test::over(turn, tokens, dim)), 0));
    test::expect_ok(tenon::key_scores(where, norms.view(), x.cache().v, x.sequences(), tenon::row_norm{}));
    start.assign({0, 1});
    test::expect_ok(tenon::attention_scores(
        where, to.view(), expected.mean_view(), x.cache().k, x.sequences(), start.view(), tenon::expected_attention{},
        {.spread = expected.spread_view(), .weight = tenon::as_const(norms.view())}));
    scores = to.values();
  }
  return scores;
}

struct outcome {
  double error = 0, recall = 0;  // relative error of attention's output, share of heads that keep the needle
};

/// Drops all but `budget` tokens of each head and compares with `whole`. The prompt is as before afterwards.
outcome compress(std::string const& method, prompt& x, std::vector<float> const& scores,
                 std::vector<double> const& whole, index_t budget) {
  auto const  view = test::over(scores, kv_heads, tokens);
  kept_tokens kept;
  if (method.ends_with("jointly")) test::expect_ok(tenon::select_jointly(kept, view, budget * kv_heads));
  else test::expect_ok(tenon::select_per_head(kept, view, budget));

  std::vector<std::int32_t> lists, lengths;
  for (auto const& head : kept) {
    lengths.push_back(std::int32_t(head.size()));
    lists.insert(lists.end(), head.begin(), head.end());
    lists.resize(lengths.size() * std::size_t(tokens), -1);
  }
  EXPECT_EQ(std::accumulate(lengths.begin(), lengths.end(), 0), budget * kv_heads);
  test::index_table<3> const list(lists, 1, kv_heads, tokens);
  test::index_table<2> const length(lengths, 1, kv_heads);
  test::expect_ok(tenon::compact_kv({}, x.cache(), x.table.view(), list.view(), length.view()));

  outcome    out;
  auto const left       = x.attend(lengths);
  double     difference = 0, norm = 0;
  for (std::size_t i = 0; i < whole.size(); ++i)
    difference += (left[i] - whole[i]) * (left[i] - whole[i]), norm += whole[i] * whole[i];
  for (auto const& head : kept)
    out.recall += double(std::binary_search(head.begin(), head.end(), std::int32_t(x.needle))) / kv_heads;
  out.error = std::sqrt(difference / norm);
  x.restore();
  return out;
}

constexpr char const* methods[] = {"snap_kv", "snap_kv jointly",    "h2o",      "mean_attention",
                                   "tova",    "expected_attention", "key_diff", "knorm",
                                   "recency", "coin_toss"};
constexpr index_t     budgets[] = {tokens, tokens / 2, tokens / 4, tokens / 8};
constexpr int         seeds     = 8;

/// results[method][budget], means over the seeds.
std::map<std::string, std::vector<outcome>> measure(bool aware) {
  std::map<std::string, std::vector<outcome>> results;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    prompt     x(seed, aware);
    auto const whole = x.attend(x.length.host);
    for (char const* const method : methods) {
      auto const scores = scores_of(method, x);
      auto&      of     = results[method];
      of.resize(std::size(budgets));
      for (std::size_t b = 0; b < of.size(); ++b) {
        auto const one = compress(method, x, scores, whole, budgets[b]);
        of[b].error += one.error / seeds, of[b].recall += one.recall / seeds;
      }
    }
  }
  std::printf("%s: error and recall with 100, 50, 25 and 12.5 %% kept\n", aware ? "aware" : "agnostic");
  for (char const* const method : methods) {
    std::printf("| %s", method);
    for (auto const& one : results[method]) std::printf(" | %.3f, %.2f", one.error, one.recall);
    std::printf(" |\n");
  }
  for (auto const& [method, of] : results) {
    SCOPED_TRACE(method);
    EXPECT_LT(of[0].error, 1e-12);  // everything is kept
    EXPECT_EQ(of[0].recall, 1);
    EXPECT_LE(of[3].recall, of[1].recall);
  }
  return results;
}

// What holds firmly: methods that look at queries who seek the needle keep it at any budget, and all that look at
// queries lose much less than chance does.
TEST(kv_compression_quality, a_question_at_the_end) {
  auto r = measure(true);
  for (char const* const method : {"snap_kv", "snap_kv jointly", "tova", "expected_attention"})
    for (std::size_t b = 0; b < 4; ++b) EXPECT_EQ(r[method][b].recall, 1) << method;
  for (char const* const method : {"snap_kv", "snap_kv jointly", "h2o", "mean_attention", "tova", "expected_attention"})
    for (std::size_t b = 1; b < 4; ++b) {
      EXPECT_LT(r[method][b].error, 0.8 * r["coin_toss"][b].error) << method;
      EXPECT_GT(r[method][b].error, r[method][b - 1].error) << method;
    }
  for (std::size_t b = 1; b < 4; ++b) {
    EXPECT_LT(r["snap_kv"][b].error, r["h2o"][b].error);  // early tokens have an advantage there
    EXPECT_LT(r["snap_kv jointly"][b].error, 1.1 * r["snap_kv"][b].error);
  }
  EXPECT_NEAR(r["coin_toss"][1].recall, 0.5, 0.4);  // of 16 heads
}

// Nobody has asked: what a window of queries cannot know, it does not keep, and keys unlike the others are kept for
// what they are.
TEST(kv_compression_quality, no_question_yet) {
  auto r = measure(false);
  EXPECT_LT(r["snap_kv"][2].recall, 0.5);
  EXPECT_EQ(r["key_diff"][1].recall, 1);
  for (std::size_t b = 1; b < 4; ++b) {
    EXPECT_GT(r["key_diff"][b].recall, r["snap_kv"][b].recall + 0.3);
    EXPECT_GT(r["key_diff"][b].recall, r["coin_toss"][b].recall + 0.3);
  }
  EXPECT_LT(r["snap_kv"][1].error, r["coin_toss"][1].error);
}

}  // namespace
