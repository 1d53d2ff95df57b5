#include <tenon/kv/attention_scores.hpp>
#include <tenon/kv/attention_scores_ref.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "key_cache.hpp"

namespace {

using tenon::bf16, tenon::errc, tenon::index_t, tenon::kv_int4, tenon::kv_int8;
using tenon::tensor_view;

constexpr float untouched = -77;

/// Queries of several requests behind the keys of a cache.
template <class Q>
struct window {
  std::vector<Q>                q;  // (tokens, heads, head_dim)
  std::vector<std::int32_t>     start;
  index_t                       heads, head_dim;
  test::tensor<Q, 3>            device;
  test::tensor<std::int32_t, 1> device_start;

  window(std::vector<std::int32_t> const& queries, index_t of_heads, index_t dim, std::uint64_t seed)
      : start{0},
        heads(of_heads),
        head_dim(dim),
        device(total(queries), heads, dim),
        device_start(std::ssize(queries) + 1) {
    for (auto const n : queries) start.push_back(start.back() + n);
    device.random(seed, 1.f);
    q = device.values();
    device_start.assign(start);
  }
  static index_t total(std::vector<std::int32_t> const& queries) {
    index_t sum = 0;
    for (auto const n : queries) sum += n;
    return sum;
  }
  index_t tokens() const { return start.back(); }
  auto    host() const { return test::over(q, tokens(), heads, head_dim); }
  auto    host_start() const { return tensor_view<std::int32_t const, 1>{start.data(), {std::ssize(start)}, {1}}; }
};

void expect_near(std::vector<float> const& got, std::vector<float> const& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isinf(want[i]) || want[i] == untouched) ASSERT_EQ(got[i], want[i]) << "score " << i;
    else ASSERT_NEAR(got[i], want[i], 1e-7f + 2e-5f * std::fabs(want[i])) << "score " << i;
  }
}

struct memory {
  test::tensor<float, 1> lse;
  explicit memory(index_t tokens, index_t heads) : lse(std::max(tokens * heads, index_t{1})) {}
  tenon::context with(tenon::context where) {
    where.workspace = {reinterpret_cast<std::byte*>(lse.view().data), lse.size() * sizeof(float)};
    return where;
  }
};

/// The operator against its definition, twice: the same bits.
template <class Q, class K, class Reduction>
void expect_agreement(test::cache_shape const& s, index_t group, std::vector<std::int32_t> const& lengths,
                      std::vector<std::int32_t> const& queries, Reduction const& reduction) {
  SCOPED_TRACE("head_dim " + std::to_string(s.head_dim) + ", page_size " + std::to_string(s.page_size) +
               (s.own_pages ? ", own pages" : ""));
  test::key_cache<K> cache(s, lengths, 11);
  window<Q>          w(queries, s.kv_heads * group, s.head_dim, 12);
  auto const         size = std::size_t(cache.requests * s.kv_heads * cache.max_tokens());
  std::vector<float> want(size, untouched);
  tenon::ref::attention_scores(test::over(want, cache.requests, s.kv_heads, cache.max_tokens()), w.host(),
                               cache.reference(), cache.reference_sequences(), w.host_start(), reduction);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 3> scores(cache.requests, s.kv_heads, cache.max_tokens());
    memory                 lse(w.tokens(), w.heads);
    std::vector<float>     first;
    for (int run = 0; run < 2; ++run) {
      scores.fill(untouched);
      auto const status = tenon::attention_scores(lse.with(where), scores.view(), w.device.view(), cache.view(),
                                                  cache.sequences(), w.device_start.view(), reduction);
      ASSERT_TRUE(status.ok()) << status.subject << " " << status.got;
      if (run == 0) first = scores.values();
    }
    expect_near(first, want);
    EXPECT_TRUE(test::same_bits(scores.values(), first));
  });
}

// Lengths around the blocks of keys (64 and 128, less the pool); more queries than a tile has (8 and 32), none, and
// more than there are keys.
TEST(attention_scores, of_numbers) {
  expect_agreement<float, float>({5, 2, 18}, 2, {1, 64, 131, 7}, {1, 2, 9, 0}, tenon::snap_kv{});
  expect_agreement<bf16, bf16>({16, 1, 64, true}, 2, {40}, {33}, tenon::snap_kv{7});
}
TEST(attention_scores, of_codes) {
  expect_agreement<bf16, kv_int8>({16, 2, 40, true}, 1, {66, 20}, {3, 9}, tenon::snap_kv{});
  expect_agreement<float, kv_int4>({8, 1, 64}, 2, {50, 5}, {4, 7}, tenon::snap_kv{1});
}
TEST(attention_scores, of_a_long_sequence) {
  expect_agreement<float, float>({32, 1, 8}, 1, {300}, {2}, tenon::snap_kv{33});
}

/// share[i][g][t] of one request, in double: the plain formula.
struct shares {
  int                 queries, group, length;
  std::vector<double> of;

  double& at(int i, int g, int t) { return of[std::size_t((i * group + g) * length + t)]; }

  shares(test::key_cache<float>& cache, window<float> const& w, index_t kv_head, int of_group, double scale)
      : queries(int(w.tokens())), group(of_group), length(cache.lengths[0]), of(std::size_t(queries * group * length)) {
    auto const k = cache.reference();
    auto const q = w.host();
    for (int i = 0; i < queries; ++i)
      for (int g = 0; g < group; ++g) {
        double total = 0;
        for (int t = 0; t <= length - queries + i; ++t) {
          double     dot  = 0;
          auto const page = cache.table.at(0, 0, t / cache.shape.page_size);
          for (index_t d = 0; d < w.head_dim; ++d)
            dot += double(q(i, kv_head * group + g, d)) * double(k(page, t % cache.shape.page_size, kv_head, d));
          total += at(i, g, t) = std::exp(scale * dot);
        }
        for (int t = 0; t < length; ++t) at(i, g, t) /= total;
      }
  }
  /// The sum over group and queries, from the first query on that is asked for.
  double mass(int t, int first = 0) {
    double sum = 0;
    for (int i = first; i < queries; ++i)
      for (int g = 0; g < group; ++g) sum += at(i, g, t);
    return sum;
  }
};

struct largest_share : tenon::attention_mass {
  TENON_HD constexpr float join(float so_far, float share, int, tenon::scored_key const&) const {
    return tenon::max(so_far, share);
  }
};

// What each method is, written down apart from its functor.
TEST(attention_scores, methods_are_what_they_say) {
  int const              length = 70, n = 9, group = 2;
  test::key_cache<float> cache({8, 2, 16}, {length}, 5);
  window<float>          w({n}, 4, 16, 6);
  auto const             formula = [&](auto const& of_share) {
    std::vector<float> want(std::size_t(2 * cache.max_tokens()), untouched);
    for (index_t h = 0; h < 2; ++h) {
      shares s(cache, w, h, group, 0.3);
      for (int t = 0; t < length; ++t) want[std::size_t(h * cache.max_tokens() + t)] = float(of_share(s, t));
    }
    return want;
  };
  auto const check = [&](char const* name, auto const& reduction, std::vector<float> const& want) {
    SCOPED_TRACE(name);
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<float, 3> scores(1, 2, cache.max_tokens());
      memory                 lse(n, 4);
      scores.fill(untouched);
      ASSERT_TRUE(tenon::attention_scores(lse.with(where), scores.view(), w.device.view(), cache.view(),
                                          cache.sequences(), w.device_start.view(), reduction, {.scale = 0.3f})
                      .ok());
      expect_near(scores.values(), want);
    });
  };
  check("snap_kv", tenon::snap_kv{}, formula([&](shares& s, int t) {
          if (t >= length - n) return double(INFINITY);
          double sum = 0;
          for (int near = t - 2; near <= t + 2; ++near)
            if (near >= 0 && near < length - n) sum += s.mass(near) / (n * group);
          return sum / 5;
        }));
  check("h2o", tenon::h2o{}, formula([&](shares& s, int t) { return s.mass(t) / group; }));
  check("mean_attention", tenon::mean_attention{},
        formula([&](shares& s, int t) { return s.mass(t) / (group * std::min(n, length - t)); }));
  check("tova", tenon::tova{}, formula([&](shares& s, int t) { return s.mass(t, n - 1) / group; }));
  check("own", largest_share{}, formula([&](shares& s, int t) {
          double most = 0;
          for (int i = 0; i < n; ++i)
            for (int g = 0; g < group; ++g) most = std::max(most, s.at(i, g, t));
          return most;
        }));
}

// The whole prompt in one call, or in two that accumulate: the same mass.
TEST(attention_scores, accumulate_over_calls) {
  int const                     length = 50;
  test::key_cache<float>        cache({16, 1, 8}, {length}, 5);
  window<float>                 w({length}, 1, 8, 6);
  std::vector<float>            want(std::size_t(cache.max_tokens()), 0);
  test::tensor<std::int32_t, 1> first_start(2), second_start(2);
  test::tensor<std::int32_t, 2> thirty(1, 1);
  first_start.assign({0, 30}), second_start.assign({0, 20}), thirty.assign({30});
  tenon::ref::attention_scores(test::over(want, 1, 1, cache.max_tokens()), w.host(), cache.reference(),
                               cache.reference_sequences(), w.host_start(), tenon::h2o{});
  EXPECT_NEAR(std::accumulate(want.begin(), want.end(), 0.), length, 1e-4);  // each query gives 1
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 3> scores(1, 1, cache.max_tokens());
    memory                 lse(length, 1);
    scores.fill(0);
    auto const all   = w.device.view();
    auto       early = cache.sequences();
    early.length     = thirty.view();
    ASSERT_TRUE(tenon::attention_scores(lse.with(where), scores.view(), all.slice(0, 30), cache.view(), early,
                                        first_start.view(), tenon::h2o{}, {.accumulate = true})
                    .ok());
    ASSERT_TRUE(tenon::attention_scores(lse.with(where), scores.view(), all.slice(30, 20), cache.view(),
                                        cache.sequences(), second_start.view(), tenon::h2o{},
                                        {.accumulate = true, .max_query_length = 20})
                    .ok());
    expect_near(scores.values(), want);
  });
}

// A given log-sum-exp, strided; scores are multiplied by weights, and Gaussian queries add their spread.
TEST(attention_scores, take_lse_weights_and_spread) {
  int const              length = 70, n = 3, heads = 4;
  index_t const          dim = 12, rank = 9;
  test::key_cache<float> cache({16, 2, dim}, {length}, 5);
  window<float>          w({n}, heads, dim, 6);
  test::tensor<float, 2> lse(heads, n);
  test::tensor<float, 3> weight(1, 2, cache.max_tokens()), spread(heads, rank, dim);
  lse.random(1), weight.random(2), spread.random(3, 0.5f);
  auto const values = lse.values(), weights = weight.values(), spreads = spread.values();
  auto const across = [&](float const* data) { return tensor_view<float const, 2>{data, {n, heads}, {1, n}}; };
  for (bool const given : {false, true}) {
    SCOPED_TRACE(given ? "given" : "computed");
    tenon::attention_scores_options of_host{.scale  = 0.4f,
                                            .lse    = given ? across(values.data()) : tensor_view<float const, 2>{},
                                            .spread = test::over(spreads, heads, rank, dim),
                                            .weight = test::over(weights, 1, 2, cache.max_tokens())};
    std::vector<float>              want(std::size_t(2 * cache.max_tokens()), untouched);
    // Shares above 1, which a wrong log-sum-exp would give, are cut: lift it.
    std::vector<float> lifted(values);
    for (float& v : lifted) v += 60;
    if (given) of_host.lse = across(lifted.data());
    tenon::ref::attention_scores(test::over(want, 1, 2, cache.max_tokens()), w.host(), cache.reference(),
                                 cache.reference_sequences(), w.host_start(), tenon::expected_attention{0.01f},
                                 of_host);
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<float, 3> scores(1, 2, cache.max_tokens());
      memory                 space(n, heads);
      lse.assign(lifted);
      scores.fill(untouched);
      tenon::attention_scores_options options{
          .scale = 0.4f, .spread = spread.view(), .weight = tenon::as_const(weight.view())};
      if (given) options.lse = across(lse.view().data);
      ASSERT_TRUE(tenon::attention_scores(given ? where : space.with(where), scores.view(), w.device.view(),
                                          cache.view(), cache.sequences(), w.device_start.view(),
                                          tenon::expected_attention{0.01f}, options)
                      .ok());
      expect_near(scores.values(), want);
    });
  }
}

TEST(attention_scores, of_nothing_is_ok) {
  test::key_cache<float> cache({4, 1, 8}, {3}, 5);
  window<float>          none({0}, 2, 8, 6);
  test::tensor<float, 3> scores(1, 1, cache.max_tokens());
  scores.fill(untouched);
  test::on_every_target([&](tenon::context const& where) {
    EXPECT_TRUE(tenon::attention_scores(where, scores.view(), none.device.view(), cache.view(), cache.sequences(),
                                        none.device_start.view(), tenon::h2o{})
                    .ok());
    EXPECT_EQ(scores.values(), std::vector<float>(scores.size(), untouched));
  });
}

TEST(attention_scores_contract, names_what_is_wrong) {
  test::key_cache<float> cache({4, 2, 8}, {9}, 5);
  window<float>          w({2}, 4, 8, 6);
  memory                 lse(2, 4);
  tenon::context const   bare{}, where = lse.with(bare);
  test::tensor<float, 3> scores(1, 2, cache.max_tokens()), narrow(1, 1, cache.max_tokens()), q3(2, 3, 8);
  auto const             is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, "attention_scores");
  };
  auto const run = [&](tenon::context const& with, auto to, auto q, auto const& reduction,
                       tenon::attention_scores_options const& options = {}) {
    return tenon::attention_scores(with, to, q, cache.view(), cache.sequences(), w.device_start.view(), reduction,
                                   options);
  };
  auto const q = w.device.view();
  is(run(bare, scores.view(), q, tenon::h2o{}), errc::workspace_too_small, "workspace");
  is(run(where, narrow.view(), q, tenon::h2o{}), errc::shape_mismatch, "kv_heads");
  is(run(where, scores.view(), q3.view(), tenon::h2o{}), errc::shape_mismatch, "heads");
  is(run(where, scores.view(), q, tenon::snap_kv{4}), errc::out_of_range, "pool");
  is(run(where, scores.view(), q, tenon::snap_kv{35}), errc::out_of_range, "pool");
  is(run(where, scores.view(), q, tenon::h2o{}, {.scale = -1}), errc::out_of_range, "scale");
  is(run(where, scores.view(), q, tenon::h2o{}, {.lse = test::over(w.q, 1, 4)}), errc::shape_mismatch, "tokens");
  is(run(where, scores.view(), q, tenon::h2o{}, {.spread = test::over(w.q, 3, 1, 8)}), errc::shape_mismatch, "heads");
  auto nowhere = scores.view();
  nowhere.data = nullptr;
  is(run(where, nowhere, q, tenon::h2o{}), errc::out_of_range, "scores");
  auto strided      = cache.view();
  strided.stride[3] = 2;
  is(tenon::attention_scores(where, scores.view(), q, strided, cache.sequences(), w.device_start.view(), tenon::h2o{}),
     errc::bad_stride, "k");
  auto wide      = cache.view();
  wide.extent[3] = 9;
  is(tenon::attention_scores(where, scores.view(), q, wide, cache.sequences(), w.device_start.view(), tenon::h2o{}),
     errc::shape_mismatch, "head_dim");
  for (auto const& [axis, name] : {std::pair{0, "pages"}, {1, "page_size"}}) {
    auto large         = cache.view();
    large.extent[axis] = index_t{1} << 31;
    is(tenon::attention_scores(where, scores.view(), q, large, cache.sequences(), w.device_start.view(), tenon::h2o{}),
       errc::out_of_range, name);
  }
  tensor_view<float const, 3> const ranks{w.q.data(), {4, index_t{1} << 31, 8}, {8, 0, 1}};
  is(run(where, scores.view(), q, tenon::h2o{}, {.spread = ranks}), errc::out_of_range, "rank");
}

TEST(attention_scores_policy, is_in_the_menu_of_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120})
    for (bool const vectorised : {false, true}) {
      auto const chosen = tenon::choose_attention_scores_policy({arch}, vectorised);
      EXPECT_EQ(std::count(std::begin(tenon::attention_scores_menu), std::end(tenon::attention_scores_menu), chosen),
                1);
      EXPECT_EQ(chosen.on_host(), arch == 0);
      EXPECT_GT(chosen.keys(), 2 * (tenon::most_pooled / 2));
    }
}

}  // namespace
