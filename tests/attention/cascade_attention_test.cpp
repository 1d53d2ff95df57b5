#include <tenon/attention/cascade_attention.hpp>
#include <tenon/attention/paged_attention_ref.hpp>
#include <tenon/op/mask_table.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::attention_variant, tenon::bf16, tenon::errc;

struct own {
  int queries, keys;
};
struct group {
  int              prefix;
  std::vector<own> requests;
};
struct dims {
  int heads = 4, kv_heads = 2, head_dim = 16, value_dim = 24, page_size = 4;
};

/// Groups of requests over one pool of pages in a scattered order, twice: in the pages of prefixes and requests, and as a flat
/// batch whose "pages" are single keys of the same pool. What no key owns is NaN.
template <class T>
struct shared_batch {
  dims               d;
  std::vector<group> groups;
  int                requests = 0, tokens = 0, pages = 1;

  std::vector<T>                      q_values, k_values, v_values;
  std::vector<std::int32_t>           flat_table, flat_length;
  std::vector<std::int32_t>           start{0};
  int                                 longest = 1;
  std::unique_ptr<test::tensor<T, 3>> q;
  std::unique_ptr<test::tensor<T, 4>> k, v;
  using ints_1 = std::unique_ptr<test::tensor<std::int32_t, 1>>;
  using ints_2 = std::unique_ptr<test::tensor<std::int32_t, 2>>;
  ints_1 group_start, group_length, query_start, own_length, all_length;
  ints_2 group_table, own_table, slots;

  shared_batch(dims const& of, std::vector<group> const& g) : d(of), groups(g) {
    auto const                pages_of = [&](int keys) { return tenon::ceil_div(keys, d.page_size); };
    int                       widest   = 1;
    std::vector<std::int32_t> group_starts{0}, group_lengths, own_lengths;
    for (auto const& one : groups) {
      pages += pages_of(one.prefix), widest = std::max(widest, pages_of(one.prefix) + 1);
      group_lengths.push_back(one.prefix);
      for (auto const& r : one.requests) {
        pages += pages_of(r.keys), widest = std::max(widest, pages_of(r.keys) + 1);
        longest = std::max(longest, one.prefix + r.keys);
        own_lengths.push_back(r.keys), flat_length.push_back(one.prefix + r.keys);
        start.push_back(tokens += r.queries), ++requests;
      }
      group_starts.push_back(tokens);
    }

    std::mt19937_64                 engine(1);
    std::normal_distribution<float> normal;
    std::vector<std::int32_t>       order(static_cast<std::size_t>(pages));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), engine);
    T const nan(std::numeric_limits<float>::quiet_NaN());
    k_values.assign(static_cast<std::size_t>(pages * d.page_size * d.kv_heads * d.head_dim), nan);
    v_values.assign(static_cast<std::size_t>(pages * d.page_size * d.kv_heads * d.value_dim), nan);
    for (int i = 0; i < tokens * d.heads * d.head_dim; ++i) q_values.push_back(T(normal(engine)));

    // A run of keys in new pages: its row of a table, and its slots.
    std::int32_t given = 0;
    auto const   lay   = [&](int keys, std::vector<std::int32_t>& table) {
      std::vector<std::int32_t> at;
      std::size_t const         row = table.size();
      table.insert(table.end(), std::size_t(widest), -1);
      for (int key = 0; key < keys; ++key) {
        std::int32_t& page = table[row + std::size_t(key / d.page_size)];
        if (key % d.page_size == 0) page = order[std::size_t(given++)];
        at.push_back(page * d.page_size + key % d.page_size);
        for (int i = 0; i < d.kv_heads * d.head_dim; ++i)
          k_values[std::size_t(at.back() * d.kv_heads * d.head_dim + i)] = T(normal(engine));
        for (int i = 0; i < d.kv_heads * d.value_dim; ++i)
          v_values[std::size_t(at.back() * d.kv_heads * d.value_dim + i)] = T(normal(engine));
      }
      return at;
    };
    std::vector<std::int32_t> group_tables, own_tables;
    for (auto const& one : groups) {
      auto const before = lay(one.prefix, group_tables);
      for (auto const& r : one.requests) {
        auto       row    = before;
        auto const behind = lay(r.keys, own_tables);
        row.insert(row.end(), behind.begin(), behind.end());
        row.resize(std::size_t(longest), -1);
        flat_table.insert(flat_table.end(), row.begin(), row.end());
      }
    }

    auto const ints = [](ints_1& to, std::vector<std::int32_t> const& from) {
      to = std::make_unique<test::tensor<std::int32_t, 1>>(static_cast<int>(from.size()));
      to->assign(from);
    };
    auto const rows = [](ints_2& to, std::vector<std::int32_t> const& from, int count, int width) {
      to = std::make_unique<test::tensor<std::int32_t, 2>>(count, width);
      to->assign(from);
    };
    ints(group_start, group_starts), ints(group_length, group_lengths), ints(query_start, start);
    ints(own_length, own_lengths), ints(all_length, flat_length);
    rows(group_table, group_tables, static_cast<int>(groups.size()), widest);
    rows(own_table, own_tables, requests, widest), rows(slots, flat_table, requests, longest);
    q = std::make_unique<test::tensor<T, 3>>(tokens, d.heads, d.head_dim);
    k = std::make_unique<test::tensor<T, 4>>(pages, d.page_size, d.kv_heads, d.head_dim);
    v = std::make_unique<test::tensor<T, 4>>(pages, d.page_size, d.kv_heads, d.value_dim);
    q->assign(q_values), k->assign(k_values), v->assign(v_values);
  }

  tenon::shared_prefixes prefix() { return {group_table->view(), group_start->view(), group_length->view()}; }

  template <class O, class Mask = tenon::causal, class Logits = tenon::scaled_logits>
  tenon::status cascade(tenon::context where, test::tensor<O, 3>& o, tenon::paged_attention_options options = {},
                        attention_variant<Mask, Logits> variant = {}, test::tensor<float, 2>* lse = nullptr) {
    auto const                 bytes = tenon::cascade_attention_workspace_bytes(tokens, d.heads, d.value_dim);
    test::tensor<std::byte, 1> scratch(bytes);
    scratch.fill(std::byte{0xff});  // NaN
    where.workspace = {scratch.view().data, bytes};
    return tenon::cascade_attention(where, o.view(), q->view(), tenon::paged_kv{k->view(), v->view()}, prefix(),
                                    own_table->view(), query_start->view(), own_length->view(), options, variant,
                                    lse ? lse->view() : tenon::tensor_view<float, 2>{});
  }

  /// The same batch without sharing, every key a page of its own.
  template <class O, class Mask = tenon::causal, class Logits = tenon::scaled_logits>
  tenon::status flat(tenon::context const& where, test::tensor<O, 3>& o, tenon::paged_attention_options options = {},
                     attention_variant<Mask, Logits> variant = {}, test::tensor<float, 2>* lse = nullptr) {
    auto const single = [](auto view, int kv_heads, int width) {
      return tenon::dense(view.data, view.extent[0] * view.extent[1], 1, kv_heads, width);
    };
    return tenon::paged_attention(
        where, o.view(), q->view(),
        tenon::paged_kv{single(k->view(), d.kv_heads, d.head_dim), single(v->view(), d.kv_heads, d.value_dim)},
        slots->view(), query_start->view(), all_length->view(), options, variant,
        lse ? lse->view() : tenon::tensor_view<float, 2>{});
  }

  struct expectation {
    std::vector<float>  o;
    std::vector<double> lse;
  };
  template <class Mask = tenon::causal, class Logits = tenon::scaled_logits>
  expectation expect(attention_variant<Mask, Logits> variant = {}) {
    expectation e{std::vector<float>(std::size_t(tokens * d.heads * d.value_dim)),
                  std::vector<double>(std::size_t(tokens * d.heads))};
    tenon::ref::paged_attention(test::over(e.o, tokens, d.heads, d.value_dim), test::over(e.lse, tokens, d.heads),
                                test::over(q_values, tokens, d.heads, d.head_dim),
                                tenon::paged_kv{test::over(k_values, pages * d.page_size, 1, d.kv_heads, d.head_dim),
                                                test::over(v_values, pages * d.page_size, 1, d.kv_heads, d.value_dim)},
                                test::over(flat_table, requests, longest), test::over(start, requests + 1),
                                test::over(flat_length, requests), 1 / std::sqrt(double(d.head_dim)), variant);
    return e;
  }
};

void expect_logs(std::vector<float> const& got, std::vector<double> const& want) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (std::isinf(want[i])) EXPECT_EQ(double(got[i]), want[i]) << "row " << i;
    else EXPECT_NEAR(double(got[i]), want[i], 1e-5 * std::max(1.0, std::abs(want[i]))) << "row " << i;
  }
}

template <class T, class Logits = tenon::scaled_logits>
void expect_agreement(dims const& d, std::vector<group> const& groups, Logits logits = {}) {
  shared_batch<T>         batch(d, groups);
  attention_variant const variant{tenon::causal{}, logits};
  auto const              expected = batch.expect(variant);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<T, 3>     o(batch.tokens, d.heads, d.value_dim), flat(batch.tokens, d.heads, d.value_dim);
    test::tensor<float, 2> lse(batch.tokens, d.heads);
    ASSERT_TRUE(batch.cascade(where, o, {}, variant, &lse).ok());
    EXPECT_LE(test::relative_error(o.values(), expected.o), test::tolerance<T>());
    expect_logs(lse.values(), expected.lse);
    ASSERT_TRUE(batch.flat(where, flat, {}, variant).ok());
    EXPECT_LE(test::relative_error(o.values(), flat.values()), 2 * test::tolerance<T>());
  });
}

std::vector<group> const mixed{{37, {{1, 9}, {1, 1}, {3, 20}}}, {70, {{6, 6}}}, {5, {{1, 3}, {2, 40}}}};

TEST(cascade_attention, is_the_flat_attention) {
  expect_agreement<float>({}, mixed);
  expect_agreement<bf16>({}, mixed);
  expect_agreement<bf16>({.heads = 3, .kv_heads = 1, .head_dim = 64, .value_dim = 64}, mixed);
}

TEST(cascade_attention, takes_any_page_size) {
  for (int const page_size : {1, 3, 64}) expect_agreement<bf16>({.page_size = page_size}, mixed);
}

TEST(cascade_attention, takes_groups_of_any_size) {
  for (int const size : {1, 2, 12}) {
    std::vector<own> requests;
    for (int i = 0; i < size; ++i) requests.push_back({1 + i % 2, 2 + 5 * i});
    expect_agreement<bf16>({}, {{33, requests}, {8, {{1, 1}}}});
  }
}

TEST(cascade_attention, takes_groups_without_a_prefix_and_requests_without_own_keys) {
  expect_agreement<float>({}, {{0, {{1, 7}, {4, 4}}}, {19, {{1, 2}}}, {0, {{2, 2}}}});
  // Own keys end at once: the queries see the prefix alone. No keys at all: 0 and -inf.
  shared_batch<float> batch({}, {{21, {{2, 0}, {1, 5}}}, {0, {{1, 0}}}});
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 3> o(4, 4, 24);
    test::tensor<float, 2> lse(4, 4);
    ASSERT_TRUE(batch.cascade(where, o, {}, attention_variant{}, &lse).ok());
    // Flat, the first request's queries stand behind the prefix: none of its keys is later than they.
    auto const expected = batch.expect(attention_variant{tenon::no_mask{}});
    auto const got = o.values(), logs = lse.values();
    auto const rows = [](std::vector<float> const& all, int count) {
      return std::vector<float>(all.begin(), all.begin() + count * 96);
    };
    EXPECT_LE(test::relative_error(rows(got, 3), rows(expected.o, 3)), 2e-6);
    for (int i = 3 * 96; i < 4 * 96; ++i) ASSERT_EQ(got[std::size_t(i)], 0.f);
    for (int i = 12; i < 16; ++i) ASSERT_EQ(logs[std::size_t(i)], -std::numeric_limits<float>::infinity());
  });
}

TEST(cascade_attention, takes_groups_without_requests_and_requests_without_queries) {
  expect_agreement<float>({}, {{9, {}}, {17, {{0, 4}, {2, 5}, {0, 0}}}, {3, {{0, 2}}}});
}

TEST(cascade_attention, caps_its_logits) { expect_agreement<float>({}, mixed, tenon::soft_cap{1.5f}); }

// The mask counts from the end of the prefix: two guesses that follow the same text do not see each other.
TEST(cascade_attention, verifies_trees_behind_a_prefix) {
  shared_batch<float>        batch({}, {{30, {{3, 8}, {2, 2}}}});
  std::int32_t const         parent[] = {-1, 0, 0}, chain[] = {-1, 0};
  std::vector<std::uint64_t> words(5);
  tenon::tree_words(parent, 3, &words[0]), tenon::tree_words(chain, 2, &words[3]);
  // For the reference, which has every key in one request.
  auto const expected = batch.expect(attention_variant{
      tenon::tree_mask{tenon::dense(std::as_const(words).data(), 5), test::over(std::as_const(batch.start), 3),
                       test::over(std::as_const(batch.flat_length), 2)}});
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<std::uint64_t, 1> sees(5);
    test::tensor<float, 3>         o(5, 4, 24);
    sees.assign(words);
    tenon::tree_mask const mask{sees.view(), batch.query_start->view(), batch.own_length->view()};
    ASSERT_TRUE(batch.cascade(where, o, {}, attention_variant{mask}).ok());
    EXPECT_LE(test::relative_error(o.values(), expected.o), 2e-6);
  });
}

// A sink joins the denominator once, not once per part.
TEST(cascade_attention, counts_sinks_once) {
  shared_batch<float> batch({}, mixed);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 1> sinks(4);
    test::tensor<float, 3> o(batch.tokens, 4, 24), flat(batch.tokens, 4, 24), without(batch.tokens, 4, 24);
    test::tensor<float, 2> lse(batch.tokens, 4), flat_lse(batch.tokens, 4);
    sinks.assign({1.f, 3.f, -2.f, 4.f});
    tenon::paged_attention_options options;
    ASSERT_TRUE(batch.flat(where, without).ok());
    options.sinks = sinks.view();
    ASSERT_TRUE(batch.cascade(where, o, options, attention_variant{}, &lse).ok());
    ASSERT_TRUE(batch.flat(where, flat, options, attention_variant{}, &flat_lse).ok());
    EXPECT_LE(test::relative_error(o.values(), flat.values()), 2e-6);
    EXPECT_GT(test::relative_error(o.values(), without.values()), 0.1);
    auto const want = flat_lse.values();
    expect_logs(lse.values(), {want.begin(), want.end()});
  });
}

TEST(cascade_attention, repeats_its_bits) {
  shared_batch<bf16> batch({}, mixed);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<bf16, 3> first(batch.tokens, 4, 24), again(batch.tokens, 4, 24);
    ASSERT_TRUE(batch.cascade(where, first).ok());
    ASSERT_TRUE(batch.cascade(where, again).ok());
    EXPECT_TRUE(test::same_bits(first.values(), again.values()));
  });
}

// What lies behind its own workspace serves its calls of paged_attention, whose chunks need it.
TEST(cascade_attention, hands_spare_workspace_on) {
  shared_batch<bf16> batch({.head_dim = 64, .value_dim = 64}, {{300, {{1, 150}, {1, 9}}}, {70, {{2, 40}}}});
  auto const         expected = batch.expect();
  test::on_every_target([&](tenon::context where) {
    std::size_t const          bytes = std::size_t{1} << 23;
    test::tensor<std::byte, 1> scratch(bytes);
    test::tensor<unsigned, 1>  counters(4096);
    test::tensor<bf16, 3>      o(batch.tokens, 4, 64);
    counters.fill(0);
    where.workspace = {scratch.view().data, bytes}, where.counters = {counters.view().data, 4096};
    for (int const chunk : {0, 64}) {
      tenon::paged_attention_options options;
      options.chunk = chunk;
      ASSERT_TRUE(tenon::cascade_attention(where, o.view(), batch.q->view(),
                                           tenon::paged_kv{batch.k->view(), batch.v->view()}, batch.prefix(),
                                           batch.own_table->view(), batch.query_start->view(), batch.own_length->view(),
                                           options)
                      .ok());
      EXPECT_LE(test::relative_error(o.values(), expected.o), test::tolerance<bf16>());
      for (unsigned const c : counters.values()) ASSERT_EQ(c, 0u);
    }
  });
}

// Exactly the bytes that it asks for are written: what lies around them keeps its value.
TEST(cascade_attention, keeps_to_its_workspace) {
  shared_batch<float> batch({.heads = 3, .kv_heads = 1, .head_dim = 8, .value_dim = 8}, {{5, {{1, 2}}}});
  auto const          bytes = tenon::cascade_attention_workspace_bytes(1, 3, 8);
  test::on_every_target([&](tenon::context where) {
    test::tensor<std::byte, 1> scratch(bytes + 32);
    test::tensor<float, 3>     o(1, 3, 8);
    scratch.fill(std::byte{0x5a});
    where.workspace = {scratch.view().data + 16, bytes};
    ASSERT_TRUE(tenon::cascade_attention(where, o.view(), batch.q->view(),
                                         tenon::paged_kv{batch.k->view(), batch.v->view()}, batch.prefix(),
                                         batch.own_table->view(), batch.query_start->view(), batch.own_length->view())
                    .ok());
    auto const all = scratch.values();
    for (std::size_t i = 0; i < 16; ++i) {
      ASSERT_EQ(all[i], std::byte{0x5a});
      ASSERT_EQ(all[all.size() - 1 - i], std::byte{0x5a});
    }
  });
}

TEST(cascade_attention_contract, names_what_is_wrong) {
  shared_batch<float>        batch({}, {{5, {{1, 2}}}, {3, {{1, 1}}}});
  test::tensor<float, 3>     o(2, 4, 24), narrow(2, 4, 16);
  auto const                 bytes = tenon::cascade_attention_workspace_bytes(2, 4, 24);
  test::tensor<std::byte, 1> scratch(bytes + 8);
  auto const run = [&](tenon::shared_prefixes const& prefix, auto& to, std::size_t size, int shift = 0) {
    tenon::context where;
    where.workspace = {scratch.view().data + shift, size};
    return tenon::cascade_attention(where, to.view(), batch.q->view(),
                                    tenon::paged_kv{batch.k->view(), batch.v->view()}, prefix, batch.own_table->view(),
                                    batch.query_start->view(), batch.own_length->view());
  };
  auto const expect = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << subject;
    EXPECT_STREQ(s.subject, subject);
  };
  expect(run(batch.prefix(), o, bytes - 1), errc::workspace_too_small, "workspace");
  expect(run(batch.prefix(), o, bytes, 8), errc::misaligned, "workspace");
  expect(run(batch.prefix(), narrow, bytes), errc::shape_mismatch, "value_dim");
  auto few                  = batch.prefix();
  few.query_start.extent[0] = 2;
  expect(run(few, o, bytes), errc::shape_mismatch, "groups");
  few                       = batch.prefix();
  few.block_table.extent[0] = 1;
  expect(run(few, o, bytes), errc::shape_mismatch, "groups");
}

// No groups at all: nothing is shared, and nothing has to be merged.
TEST(cascade_attention, without_groups_is_paged_attention) {
  shared_batch<float> batch({}, {{0, {{3, 9}, {1, 4}}}});
  auto const          expected = batch.expect();
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 3> o(4, 4, 24);
    ASSERT_TRUE(tenon::cascade_attention(where, o.view(), batch.q->view(),
                                         tenon::paged_kv{batch.k->view(), batch.v->view()}, {}, batch.own_table->view(),
                                         batch.query_start->view(), batch.own_length->view())
                    .ok());
    EXPECT_LE(test::relative_error(o.values(), expected.o), 2e-6);
  });
}

}  // namespace
