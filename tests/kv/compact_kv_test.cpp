#include <tenon/kv/compact_kv.hpp>
#include <tenon/kv/compact_kv_ref.hpp>
#include <tenon/kv/freed_pages.hpp>
#include <tenon/kv/kv_sequences.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "index_table.hpp"
#include "kv_memory.hpp"

namespace {

using tenon::bf16, tenon::errc, tenon::f16, tenon::index_t, tenon::kv_fp8, tenon::kv_int4, tenon::kv_int8;
using tenon::paged_kv;
using test::random_memory;

/// What two requests keep of `tokens` tokens: about `share`, each head another set, one head nothing, one everything.
struct lists {
  index_t                   requests, heads, max_kept;
  std::vector<std::int32_t> kept, length;

  lists(index_t of_requests, index_t of_heads, index_t tokens, double share, std::uint64_t seed)
      : requests(of_requests), heads(of_heads), max_kept(tokens) {
    std::mt19937_64 random(seed);
    for (index_t row = 0; row < requests * heads; ++row) {
      std::vector<std::int32_t> mine;
      double const              chance = row == 1 ? 0 : row == 2 ? 1 : share;
      for (std::int32_t t = 0; t < tokens; ++t)
        if (t < 2 * (row % 2) || double(random() % 1000) < 1000 * chance) mine.push_back(t);
      length.push_back(std::int32_t(mine.size()));
      mine.resize(std::size_t(tokens), -7);
      kept.insert(kept.end(), mine.begin(), mine.end());
    }
  }
};

struct shape {
  index_t page_size, kv_heads, head_dim, value_dim, tokens;
};
// A pair; odd widths; pages of one token and of 33; more pieces than a block holds in a round; real ones.
constexpr shape shapes[] = {{1, 1, 2, 2, 5}, {3, 3, 18, 6, 40}, {33, 2, 10, 34, 50}, {16, 2, 64, 128, 130}};

// In place: heads share pages (lists differ, so each head moves on its own), or have pages of their own.
template <class K, class V>
void expect_in_place(bool own_pages) {
  for (auto const& s : shapes) {
    SCOPED_TRACE(std::to_string(s.tokens) + " tokens of " + std::to_string(s.head_dim) +
                 (own_pages ? ", own pages" : ""));
    index_t const        requests = 2, pages = (s.tokens + s.page_size - 1) / s.page_size + 1;
    index_t const        rows = own_pages ? requests * s.kv_heads : requests, in_pages = own_pages ? 1 : s.kv_heads;
    test::kv_shape const k_shape{rows * pages, s.page_size, in_pages, s.head_dim};
    test::kv_shape const v_shape{rows * pages, s.page_size, in_pages, s.value_dim};
    auto const           ids = test::shuffled(rows * pages, 3);
    test::index_table<3> const own(ids, requests, own_pages ? s.kv_heads : 1, pages);
    auto const                 for_heads = [&](auto const& table) {
      return own_pages ? table : test::shared_by_heads(table, s.kv_heads);
    };
    auto const pages_for_heads = [&](auto const& view) {
      return own_pages ? tenon::pages_of_one_head(view, s.kv_heads) : view;
    };
    lists const                keep(requests, s.kv_heads, s.tokens, 0.6, 5);
    test::index_table<3> const kept(keep.kept, requests, s.kv_heads, s.tokens);
    test::index_table<2> const length(keep.length, requests, s.kv_heads);
    test::on_every_target([&](tenon::context const& where) {
      random_memory<K> k(k_shape, 1);
      random_memory<V> v(v_shape, 2);
      // The reference reads what was there before, so it knows nothing of an order.
      auto k_before = k.host, v_before = v.host;
      tenon::ref::compact_kv(paged_kv<K, V>{pages_for_heads(k.reference()), pages_for_heads(v.reference())},
                             for_heads(own.at),
                             paged_kv<K, V>{pages_for_heads(test::kv_over<K>(k_before.data(), k_shape)),
                                            pages_for_heads(test::kv_over<V>(v_before.data(), v_shape))},
                             for_heads(own.at), kept.at, length.at);
      auto const status = tenon::compact_kv(where, paged_kv<K, V>{pages_for_heads(k.view()), pages_for_heads(v.view())},
                                            for_heads(own.view()), kept.view(), length.view());
      ASSERT_TRUE(status.ok()) << status.subject;
      EXPECT_TRUE(k.agrees());  // every byte: what moved, and what nobody may touch
      EXPECT_TRUE(v.agrees());
    });
  }
}

TEST(compact_kv, in_place_numbers) {
  expect_in_place<float, bf16>(false);
  expect_in_place<f16, float>(true);
}
TEST(compact_kv, in_place_codes) {
  expect_in_place<kv_int8, kv_fp8>(true);
  expect_in_place<kv_int4, kv_int8>(false);
  expect_in_place<kv_fp8, bf16>(true);
}

// From pages that heads share to pages of one head each, of another size, in another cache.
template <class K, class V>
void expect_out_of_place() {
  for (auto const& s : shapes) {
    SCOPED_TRACE(std::to_string(s.tokens) + " tokens of " + std::to_string(s.head_dim));
    index_t const requests = 2, size = 4, pages = (s.tokens + s.page_size - 1) / s.page_size,
                  to_pages = (s.tokens + 3) / 4;
    test::kv_shape const       k_from{requests * pages, s.page_size, s.kv_heads, s.head_dim};
    test::kv_shape const       v_from{requests * pages, s.page_size, s.kv_heads, s.value_dim};
    index_t const              rows = requests * s.kv_heads;
    test::kv_shape const       k_to{rows * to_pages, size, 1, s.head_dim}, v_to{rows * to_pages, size, 1, s.value_dim};
    test::index_table<3> const from_table(test::shuffled(requests * pages, 1), requests, 1, pages);
    test::index_table<3> const to_table(test::shuffled(rows * to_pages, 2), requests, s.kv_heads, to_pages);
    lists const                keep(requests, s.kv_heads, s.tokens, 0.3, 9);
    test::index_table<3> const kept(keep.kept, requests, s.kv_heads, s.tokens);
    test::index_table<2> const length(keep.length, requests, s.kv_heads);
    test::on_every_target([&](tenon::context const& where) {
      random_memory<K> k(k_from, 1), new_k(k_to, 2);
      random_memory<V> v(v_from, 3), new_v(v_to, 4);
      auto const       one = [&](auto const& view) { return tenon::pages_of_one_head(view, s.kv_heads); };
      tenon::ref::compact_kv(paged_kv<K, V>{one(new_k.reference()), one(new_v.reference())}, to_table.at,
                             paged_kv<K, V>{k.reference(), v.reference()},
                             test::shared_by_heads(from_table.at, s.kv_heads), kept.at, length.at);
      auto const status =
          tenon::compact_kv(where, paged_kv<K, V>{one(new_k.view()), one(new_v.view())}, to_table.view(),
                            as_const(paged_kv<K, V>{k.view(), v.view()}),
                            test::shared_by_heads(from_table.view(), s.kv_heads), kept.view(), length.view());
      ASSERT_TRUE(status.ok()) << status.subject;
      EXPECT_TRUE(new_k.agrees());
      EXPECT_TRUE(new_v.agrees());
      EXPECT_TRUE(k.agrees());
      EXPECT_TRUE(v.agrees());
    });
  }
}

TEST(compact_kv, out_of_place_into_pages_of_one_head) {
  expect_out_of_place<bf16, float>();
  expect_out_of_place<kv_int8, kv_int4>();
}

// Without the reference: by hand, tokens that carry their index.
TEST(compact_kv, keeps_the_order_and_leaves_the_tail) {
  index_t const              tokens = 10, width = 4;
  test::index_table<3> const own({2, 0, 1}, 1, 1, 3);  // pages of four tokens
  test::index_table<3> const kept({0, 3, 4, 8, -1}, 1, 1, 5);
  test::index_table<2> const length({4}, 1, 1);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 4> k(3, 4, 1, width), v(3, 4, 1, width);
    std::vector<float>     values(3 * 4 * width, -1);
    auto const place = [&](index_t t) { return std::size_t((own.host[std::size_t(t / 4)] * 4 + t % 4) * width); };
    for (index_t t = 0; t < tokens; ++t)
      for (index_t d = 0; d < width; ++d) values[place(t) + std::size_t(d)] = float(100 * t + d);
    k.assign(values), v.assign(values);
    ASSERT_TRUE(tenon::compact_kv(where, paged_kv{k.view(), v.view()}, own.view(), kept.view(), length.view()).ok());
    auto      want  = values;
    int const now[] = {0, 3, 4, 8};
    for (index_t j = 0; j < 4; ++j)
      for (index_t d = 0; d < width; ++d) want[place(j) + std::size_t(d)] = float(100 * now[j] + int(d));
    EXPECT_EQ(k.values(), want);
    EXPECT_EQ(v.values(), want);
  });
}

// A cache of one place needs no strides.
TEST(compact_kv, into_the_only_place) {
  test::index_table<3> const table({0}, 1, 1, 1), kept({2}, 1, 1, 1);
  test::index_table<2> const length({1}, 1, 1);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 4> from(1, 4, 1, 2), to(1, 1, 1, 2), no_from(1, 4, 1, 0), no_to(1, 1, 1, 0);
    from.assign({1, 2, 3, 4, 5, 6, 7, 8}), to.fill(-1);
    auto flat      = to.view();
    flat.stride[0] = flat.stride[1] = 0;
    ASSERT_TRUE(tenon::compact_kv(where, paged_kv{flat, no_to.view()}, table.view(),
                                  paged_kv{from.view(), no_from.view()}, table.view(), kept.view(), length.view())
                    .ok());
    EXPECT_EQ(to.values(), (std::vector<float>{5, 6}));
  });
}

// A list that names what is not there moves nothing that it should not: tokens beyond the table, pages beyond the
// cache.
TEST(compact_kv, moves_nothing_that_is_not_there) {
  test::index_table<3> const own({0, 9, -1}, 1, 1, 3);
  test::index_table<3> const kept({0, 5, 8, 100, std::numeric_limits<std::int32_t>::max()}, 1, 1,
                                  5);             // pages 9, -1, none, none
  test::index_table<2> const length({77}, 1, 1);  // more than the list has
  test::on_every_target([&](tenon::context const& where) {
    random_memory<bf16> k({2, 4, 1, 8}, 1), v({2, 4, 1, 8}, 2);
    ASSERT_TRUE(
        tenon::compact_kv(where, paged_kv<bf16>{k.view(), v.view()}, own.view(), kept.view(), length.view()).ok());
    EXPECT_TRUE(k.agrees());
    EXPECT_TRUE(v.agrees());
  });
}

// A scale for all tokens stays; codes move without it. One for the tokens of a page cannot go with them.
TEST(compact_kv, scales_that_tokens_share) {
  test::index_table<3> const own({1, 0}, 1, 1, 2);
  test::index_table<3> const kept({1, 2, 6}, 1, 1, 3);
  test::index_table<2> const length({3}, 1, 1);
  test::on_every_target([&](tenon::context const& where) {
    random_memory<kv_fp8>  k({2, 4, 1, 16}, 1), v({2, 4, 1, 16}, 2);
    test::tensor<float, 1> scales(2);
    scales.assign({3, 5});
    std::vector<float> want{3, 5};
    auto const         with = [&](auto view, float* at, index_t page) {
      view.scale = {at, {2, 4, 1, 1}, {page, 0, 0, 0}};
      return view;
    };
    auto       k_before = k.host, v_before = v.host;
    auto const before = [&](auto& bytes) { return with(test::kv_over<kv_fp8>(bytes.data(), k.shape), want.data(), 0); };
    tenon::ref::compact_kv(paged_kv<kv_fp8>{with(k.reference(), want.data(), 0), with(v.reference(), want.data(), 0)},
                           own.at, paged_kv<kv_fp8>{before(k_before), before(v_before)}, own.at, kept.at, length.at);
    float* const at = scales.view().data;
    ASSERT_TRUE(tenon::compact_kv(where, paged_kv<kv_fp8>{with(k.view(), at, 0), with(v.view(), at, 0)}, own.view(),
                                  kept.view(), length.view())
                    .ok());
    EXPECT_TRUE(k.agrees());
    EXPECT_TRUE(v.agrees());
    EXPECT_EQ(scales.values(), want);
    auto const status = tenon::compact_kv(where, paged_kv<kv_fp8>{with(k.view(), at, 0), with(v.view(), at, 1)},
                                          own.view(), kept.view(), length.view());
    EXPECT_EQ(status.code, errc::bad_stride);
    EXPECT_STREQ(status.subject, "to.v");
  });
}

#if TENON_CHECKED
// That the checker would see it: with a list that does not ascend a round reads what the round before it has written.
TEST(compact_kv, a_list_that_descends_is_a_race) {
  test::index_table<3> const own({0}, 1, 1, 1);
  test::index_table<3> const kept({3, 0}, 1, 1, 2);
  test::index_table<2> const length({2}, 1, 1);
  index_t const              width = 8 * 8 * (256 * 4 + 1);  // each of eight blocks has one column more than a round
  random_memory<bf16>        k({1, 4, 1, width}, 1), v({1, 4, 1, width}, 2);
  tenon::simt::session       session;
  tenon::context             where;
  where.arch    = 80;
  where.session = &session;
  ASSERT_TRUE(
      tenon::compact_kv(where, paged_kv<bf16>{k.view(), v.view()}, own.view(), kept.view(), length.view()).ok());
  EXPECT_FALSE(session.found().clean());
}
#endif

TEST(compact_kv, of_nothing_is_ok) {
  test::index_table<3> const own({0}, 1, 1, 1), none({}, 0, 1, 1), kept({0}, 1, 1, 1);
  test::index_table<2> const length({1}, 1, 1), no_length({}, 0, 1);
  test::on_every_target([&](tenon::context const& where) {
    random_memory<bf16> k({1, 1, 1, 8}, 1), nothing({1, 1, 1, 0}, 1), no_pages({0, 1, 1, 8}, 1);
    auto const          run = [&](auto kk, auto vv, auto const& t, auto const& l) {
      return tenon::compact_kv(where, paged_kv<bf16>{kk, vv}, t.view(), t.view(), l.view()).ok();
    };
    EXPECT_TRUE(run(k.view(), nothing.view(), own, length));
    EXPECT_TRUE(run(k.view(), nothing.view(), none, no_length));
    EXPECT_TRUE(run(no_pages.view(), no_pages.view(), own, length));
  });
}

TEST(freed_pages, are_the_tail_of_the_table) {
  std::vector<std::int32_t> const own{7, 3, 9, 1};
  auto const                      freed = [&](index_t held, index_t kept, index_t page_size) {
    auto const span = tenon::freed_pages(own, held, kept, page_size);
    return std::vector<std::int32_t>(span.begin(), span.end());
  };
  using ids = std::vector<std::int32_t>;
  EXPECT_EQ(freed(13, 5, 4), (ids{9, 1}));
  EXPECT_EQ(freed(13, 4, 4), (ids{3, 9, 1}));
  EXPECT_EQ(freed(12, 5, 4), (ids{9}));
  EXPECT_EQ(freed(13, 0, 4), own);
  EXPECT_EQ(freed(13, 13, 4), ids{});
  EXPECT_EQ(freed(5, 13, 4), ids{});
  EXPECT_EQ(freed(1000, 5, 4), (ids{9, 1}));
  EXPECT_EQ(freed(13, 5, 0), ids{});
  EXPECT_EQ(freed(std::numeric_limits<index_t>::max(), -5, 1), own);
}

TEST(compact_kv_contract, names_what_is_wrong) {
  test::tensor<float, 4>     k(2, 2, 1, 8), v(2, 2, 1, 8);
  test::index_table<3> const own({0, 1}, 1, 1, 2), kept({0}, 1, 1, 1), two({0, 1, 0, 1}, 2, 1, 2);
  test::index_table<2> const length({1}, 1, 1);
  tenon::context const       where{};
  auto const                 is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, "compact_kv");
  };
  paged_kv const kv{k.view(), v.view()};
  is(tenon::compact_kv(where, kv, two.view(), kept.view(), length.view()), errc::shape_mismatch, "requests");
  is(tenon::compact_kv(where, kv, own.view(), two.view(), length.view()), errc::shape_mismatch, "requests");
  auto nowhere = kept.view();
  nowhere.data = nullptr;
  is(tenon::compact_kv(where, kv, own.view(), nowhere, length.view()), errc::out_of_range, "kept");
  auto strided        = kv;
  strided.k.stride[3] = 2;
  is(tenon::compact_kv(where, strided, own.view(), kept.view(), length.view()), errc::bad_stride, "to.k");
  auto flat        = kv;
  flat.v.stride[1] = 0;
  is(tenon::compact_kv(where, flat, own.view(), kept.view(), length.view()), errc::bad_stride, "to.v");
  auto fewer        = kv;
  fewer.v.extent[2] = 2;
  is(tenon::compact_kv(where, fewer, own.view(), kept.view(), length.view()), errc::shape_mismatch, "kv_heads");
  auto narrow        = kv;
  narrow.v.extent[3] = 4;
  is(tenon::compact_kv(where, kv, own.view(), narrow, own.view(), kept.view(), length.view()), errc::shape_mismatch,
     "value_dim");
  auto crooked   = kv;
  crooked.k.data = reinterpret_cast<float*>(reinterpret_cast<char*>(crooked.k.data) + 2);
  is(tenon::compact_kv(where, kv, own.view(), crooked, own.view(), kept.view(), length.view()), errc::misaligned,
     "from.k");
  auto long_list      = kept.view();
  long_list.extent[2] = index_t{1} << 26;  // 2^31 bytes of rows
  is(tenon::compact_kv(where, kv, own.view(), long_list, length.view()), errc::out_of_range, "max_kept");
}

TEST(compact_kv_policy, is_in_the_menu_of_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120}) {
    auto const chosen = tenon::choose_compact_kv_policy({arch});
    EXPECT_EQ(std::count(std::begin(tenon::compact_kv_menu), std::end(tenon::compact_kv_menu), chosen), 1);
    EXPECT_EQ(chosen.on_host(), arch == 0);
  }
}

}  // namespace
