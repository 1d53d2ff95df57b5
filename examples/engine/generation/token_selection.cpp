#include "engine/generation/token_selection.hpp"

#include <tenon/core/integer.hpp>
#include <tenon/core/throw_if.hpp>
#include <tenon/kv/attention_scores.hpp>
#include <tenon/kv/expected_queries.hpp>
#include <tenon/kv/key_scores.hpp>
#include <tenon/kv/kv_budgets.hpp>
#include <tenon/kv/position_scores.hpp>

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/error.hpp"

namespace tenon::engine {

namespace {

class layer_scores {
 public:
  layer_scores(layer_tokens const& of, std::vector<float>& scores) : of_(of), pages_(of), scores_(scores) {
    scores.assign(static_cast<std::size_t>(of.kv_heads * of.tokens), 0.f);
  }

  template <class Measure>
  void by_keys(std::span<float const> keys, Measure const& measure) {
    throw_if(key_scores(context{}, out(), pages_.of(keys), pages_.sequences(), measure));
  }

  template <class Reduction>
  void by_attention(tensor_view<float const, 3> q, Reduction const& reduction, attention_scores_options options = {}) {
    std::int32_t const starts[] = {0, static_cast<std::int32_t>(q.extent[0])};
    std::vector<float> space(attention_scores_workspace_bytes(q.extent[0], of_.heads) / sizeof(float));
    context            where;
    where.workspace = {reinterpret_cast<std::byte*>(space.data()), space.size() * sizeof(float)};
    options.scale   = of_.scale;
    throw_if(attention_scores(where, out(), q, pages_.of(of_.k), pages_.sequences(), dense(starts, index_t{2}),
                              reduction, options));
  }
  template <class Reduction>
  void by_attention(Reduction const& reduction) {
    by_attention(dense(of_.q.data(), of_.queries(), of_.heads, of_.head_dim), reduction);
  }

  /// Of the queries that are still to come, times the norms of values.
  void by_expected_attention() {
    std::vector<float> const q = unrotated();
    expected_queries         expected;
    throw_if(expect_queries(expected, dense(q.data(), of_.queries(), of_.heads, of_.head_dim), of_.cos_sin,
                            std::min(of_.tokens, of_.cos_sin.extent[0] - 1)));
    by_keys(of_.v, row_norm{});
    std::vector<float> const norms = scores_;
    by_attention(
        expected.mean_view(), expected_attention{},
        {.spread = expected.spread_view(), .weight = dense(norms.data(), index_t{1}, of_.kv_heads, of_.tokens)});
  }

  template <class Score>
  void by_position(Score const& score) {
    throw_if(position_scores(dense(scores_.data(), of_.kv_heads, of_.tokens), score));
  }

 private:
  tensor_view<float, 3> out() { return dense(scores_.data(), index_t{1}, of_.kv_heads, of_.tokens); }

  /// The queries as they were in front of the rotation by their positions.
  std::vector<float> unrotated() const {
    std::vector<float> q(of_.q.begin(), of_.q.end());
    index_t const      half = of_.cos_sin.extent[1] / 2, first = of_.tokens - of_.queries();
    for (index_t t = 0; t < of_.queries(); ++t)
      for (index_t h = 0; h < of_.heads; ++h)
        for (index_t i = 0; i < half; ++i) {
          float* const x = q.data() + (t * of_.heads + h) * of_.head_dim;
          float const  c = of_.cos_sin(first + t, i), s = of_.cos_sin(first + t, half + i), a = x[i], b = x[half + i];
          float const  length = c * c + s * s;  // 1, but where the rotation stretches
          x[i] = (a * c + b * s) / length, x[half + i] = (b * c - a * s) / length;
        }
    return q;
  }

  layer_tokens const& of_;
  layer_pages         pages_;
  std::vector<float>& scores_;
};

}  // namespace

std::size_t queries_wanted(kv_compression const& how, std::size_t tokens) {
  switch (how.score) {
    case kv_score::snapkv: return std::min(static_cast<std::size_t>(std::max<std::int64_t>(how.recent, 1)), tokens);
    case kv_score::tova: return std::min<std::size_t>(1, tokens);
    case kv_score::h2o:
    case kv_score::mean:
    case kv_score::expected: return tokens;
    default: return 0;
  }
}

bool wants_values(kv_score score) { return score == kv_score::expected; }

void score_tokens(std::vector<float>& scores, kv_compression const& how, layer_tokens const& of, int layer) {
  layer_scores make(of, scores);
  switch (how.score) {
    case kv_score::snapkv: return make.by_attention(snap_kv{});
    case kv_score::h2o: return make.by_attention(h2o{});
    case kv_score::mean: return make.by_attention(mean_attention{});
    case kv_score::tova: return make.by_attention(tova{});
    case kv_score::expected: return make.by_expected_attention();
    case kv_score::keydiff: return make.by_keys(of.k, key_diff{});
    case kv_score::knorm: return make.by_keys(of.k, knorm{});
    case kv_score::window: return make.by_position(recency{.sinks = how.sinks});
    case kv_score::random:
      return make.by_position(coin_toss{.seed = how.seed + (static_cast<std::uint64_t>(layer) << 32)});
  }
}

std::int64_t tokens_kept(kv_compression const& how, std::int64_t tokens) {
  return std::llround(how.keep * static_cast<double>(tokens));
}

std::vector<index_t> in_whole_pages(std::vector<index_t> budgets, index_t page, index_t least, index_t most) {
  index_t left = 0;
  // Down to whole pages. What is left goes to pages that are there and not full, then a page each to those that lost
  // most.
  struct entry {
    bool        full;
    index_t     lost;
    std::size_t part;
  };
  std::vector<entry> order;
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    index_t const whole = std::max(budgets[i] / page * page, std::min(round_up(least, page), budgets[i]));
    order.push_back({whole % page == 0, budgets[i] - whole, i});
    left += budgets[i] - whole, budgets[i] = whole;
  }
  std::stable_sort(order.begin(), order.end(),
                   [](entry const& x, entry const& y) { return x.full != y.full ? y.full : x.lost > y.lost; });
  for (bool gave = true; left > 0 && gave;) {
    gave = false;
    for (entry const& e : order) {
      index_t&      b    = budgets[e.part];
      index_t const more = std::min({left, round_up(b + 1, page) - b, most - b});
      b += more, left -= more, gave = gave || more > 0;
    }
  }
  return budgets;
}

std::vector<index_t> layer_budgets(kv_compression const& how, std::int64_t layers, std::int64_t tokens,
                                   std::int64_t page) {
  index_t const always = always_kept{how.sinks, how.recent}.count(tokens);
  index_t const each   = tokens_kept(how, tokens);
  if (each < always)
    throw wrong("--kv-keep", "keeps fewer tokens than --kv-sinks and --kv-recent do",
                std::to_string(each) + " of " + std::to_string(tokens), "at least " + std::to_string(always));
  std::vector<index_t> budgets;
  budget_bounds const  bounds{always, tokens};
  if (how.budget != kv_budget::pyramid) {
    throw_if(uniform_budgets(budgets, layers, each * layers, bounds));
    return budgets;
  }
  throw_if(pyramid_budgets(budgets, layers, each * layers, bounds, how.beta));
  return in_whole_pages(budgets, page, always, tokens);
}

kept_tokens select_tokens(kv_compression const& how, std::span<float const> scores, std::int64_t kv_heads,
                          std::int64_t tokens, index_t budget, std::int64_t page) {
  kept_tokens                       kept;
  tensor_view<float const, 2> const of = dense(scores.data(), kv_heads, tokens);
  always_kept const                 always{how.sinks, how.recent};
  if (how.budget != kv_budget::ada) {
    throw_if(select_per_head(kept, of, budget, always));
    return kept;
  }
  // How many each head would have, and then as many in whole pages.
  throw_if(select_jointly(kept, of, budget * kv_heads, how.floor, always));
  std::vector<index_t> of_head;
  for (auto const& list : kept) of_head.push_back(static_cast<index_t>(list.size()));
  throw_if(select_per_head(kept, of, in_whole_pages(of_head, page, always.count(tokens), tokens), always));
  return kept;
}

}  // namespace tenon::engine
