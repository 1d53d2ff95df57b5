// Keys shared out over blocks: every number of blocks, the kernels for few rows and for many, chunks, sinks.
#include <tenon/attention/paged_attention.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "coded_cache.hpp"

namespace {

using tenon::attention_variant, tenon::bf16, tenon::f16, tenon::index_t;
using test::batch_shape, test::coded_batch, test::ragged_batch, test::request;

/// Memory for splits, with canaries behind it, full of NaN; counters of zero.
struct scratch {
  index_t                       bytes, words;
  test::tensor<float, 1>        memory;
  test::tensor<std::int32_t, 1> counters;

  explicit scratch(index_t bytes_ = 1 << 22, index_t words_ = 4096)
      : bytes(bytes_), words(words_), memory(bytes_ / 4 + 16), counters(words_ + 4) {
    memory.fill(std::numeric_limits<float>::quiet_NaN());
    counters.fill(0);
  }
  tenon::context with(tenon::context where, int multiprocessors) {
    where.workspace       = {reinterpret_cast<std::byte*>(memory.view().data), static_cast<std::size_t>(bytes)};
    where.counters        = {reinterpret_cast<unsigned*>(counters.view().data), static_cast<int>(words)};
    where.multiprocessors = multiprocessors;
    where.batch_invariant = false;
    return where;
  }
  void expect_untouched() {
    auto const all = memory.values();
    for (std::size_t i = all.size() - 16; i < all.size(); ++i)
      ASSERT_TRUE(std::isnan(all[i])) << "behind the workspace";
    for (std::int32_t const c : counters.values()) ASSERT_EQ(c, 0) << "a counter that is not zero after the call";
  }
};

struct batch {
  batch_shape          shape;
  std::vector<request> requests;
  index_t              max_query_length = 0;
};
batch const batches[] = {
    {{.heads = 4, .kv_heads = 2, .head_dim = 64, .value_dim = 64},
     {{1, 500}, {1, 3}, {0, 7}, {1, 64}, {1, 0}, {1, 130}},
     1},
    {{.heads = 7, .kv_heads = 1, .head_dim = 128, .value_dim = 96, .page_size = 3}, {{2, 200}, {2, 1}}, 2},
    {{.heads = 5, .kv_heads = 1, .head_dim = 256, .value_dim = 256, .page_size = 64}, {{1, 150}, {3, 70}}, 3},
    {{.heads = 16, .kv_heads = 2, .head_dim = 64, .value_dim = 64}, {{8, 300}, {20, 40}, {1, 90}}, 0},  // rows for many
    {{.heads = 16, .kv_heads = 2, .head_dim = 64, .value_dim = 64},
     {{4, 400}, {8, 30}, {1, 2}},
     8},  // one tile of them
};

TEST(paged_attention_split, agrees_with_the_reference_for_every_number_of_blocks) {
  for (auto const& b : batches) {
    SCOPED_TRACE("head_dim " + std::to_string(b.shape.head_dim) + ", group " +
                 std::to_string(b.shape.heads / b.shape.kv_heads));
    ragged_batch<bf16> batch(b.shape, b.requests);
    auto const         expected = batch.expect();
    scratch            memory;
    test::on_every_target([&](tenon::context const& where) {
      for (int const multiprocessors : {1, 3, 40}) {
        test::tensor<bf16, 3>  o(batch.tokens, b.shape.heads, b.shape.value_dim);
        test::tensor<float, 2> lse(batch.tokens, b.shape.heads);
        auto const s = batch.run(memory.with(where, multiprocessors), o, {.max_query_length = b.max_query_length},
                                 attention_variant<>{}, &lse);
        ASSERT_TRUE(s.ok()) << s.subject;
        EXPECT_LE(test::relative_error(o.values(), expected.o), test::tolerance<bf16>());
        auto const logs = lse.values();
        for (std::size_t i = 0; i < logs.size(); ++i) {
          if (std::isinf(expected.lse[i])) ASSERT_EQ(double(logs[i]), expected.lse[i]) << "row " << i;
          else ASSERT_NEAR(double(logs[i]), expected.lse[i], 2e-5) << "row " << i;
        }
        memory.expect_untouched();
      }
    });
  }
}

TEST(paged_attention_split, repeats_its_bits) {
  ragged_batch<bf16> batch(batches[0].shape, batches[0].requests);
  scratch            memory;
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<bf16, 3> first(batch.tokens, 4, 64), again(batch.tokens, 4, 64);
    ASSERT_TRUE(batch.run(memory.with(where, 2), first, {.max_query_length = 1}).ok());
    ASSERT_TRUE(batch.run(memory.with(where, 2), again, {.max_query_length = 1}).ok());
    EXPECT_TRUE(test::same_bits(first.values(), again.values()));
  });
}

TEST(paged_attention_split, agrees_over_codes_and_under_a_window) {
  batch_shape const shape{.heads = 8, .kv_heads = 2, .head_dim = 128, .value_dim = 128};
  auto const        check = [&]<class K, class V>(K, V, auto variant) {
    coded_batch<bf16, K, V> batch(shape, {{1, 300}, {1, 77}, {2, 190}});
    auto const              expected = batch.expect(variant);
    scratch                 memory;
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<bf16, 3> o(batch.tokens, 8, 128);
      ASSERT_TRUE(batch.run(memory.with(where, 2), o, {.max_query_length = 2}, variant).ok());
      EXPECT_LE(test::relative_error(o.values(), expected.o), test::tolerance<bf16>());
    });
  };
  check(tenon::kv_int8{}, tenon::kv_int4{}, attention_variant{});
  check(bf16{}, bf16{}, attention_variant{tenon::causal{} & tenon::sliding_window{100}, tenon::soft_cap{3.f}});
}

TEST(paged_attention_split, does_without_memory) {
  ragged_batch<bf16> batch(batches[0].shape, batches[0].requests);
  auto const         expected = batch.expect();
  scratch            small(1 << 12, 4);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<bf16, 3> o(batch.tokens, 4, 64);
    ASSERT_TRUE(batch.run(small.with(where, 40), o, {.max_query_length = 1}).ok());
    EXPECT_LE(test::relative_error(o.values(), expected.o), test::tolerance<bf16>());
    small.expect_untouched();
  });
}

// ---- chunks

TEST(paged_attention_chunks, follow_neither_blocks_nor_neighbours_nor_the_call) {
  batch_shape const  shape{.heads = 6, .kv_heads = 2, .head_dim = 64, .value_dim = 64};
  ragged_batch<bf16> alone(shape, {{3, 330, 42}}), among(shape, {{1, 9}, {3, 330, 42}, {20, 81}, {0, 3}});
  ragged_batch<bf16> last(shape, {{1, 330, 42}});
  auto const         expected = alone.expect();
  scratch            memory(1 << 24, 1 << 12);
  tenon::paged_attention_options const options{.chunk = 128};
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<bf16, 3> want(3, 6, 64);
    ASSERT_TRUE(alone.run(memory.with(where, 1), want, options).ok());
    EXPECT_LE(test::relative_error(want.values(), expected.o), test::tolerance<bf16>());
    for (int const multiprocessors : {2, 40}) {
      test::tensor<bf16, 3> o(among.tokens, 6, 64);
      auto const            s = among.run(memory.with(where, multiprocessors), o, options);
      ASSERT_TRUE(s.ok()) << s.subject;
      EXPECT_TRUE(test::same_bits(test::token_rows(o.values(), 6 * 64, 1, 3), want.values()));
    }
    test::tensor<bf16, 3> one(1, 6, 64);
    ASSERT_TRUE(last.run(memory.with(where, 3), one, {.chunk = 128, .max_query_length = 1}).ok());
    EXPECT_TRUE(test::same_bits(one.values(), test::token_rows(want.values(), 6 * 64, 2, 1)));
    memory.expect_untouched();
  });
}

TEST(paged_attention_chunks, want_their_memory) {
  ragged_batch<bf16>    batch({.heads = 2, .kv_heads = 1}, {{1, 300}});
  test::tensor<bf16, 3> o(1, 2, 64);
  scratch               small(1 << 10, 64);
#if TENON_CUDA
  GTEST_SKIP() << "host contexts only";
#else
  tenon::context where;
  where.arch   = 80;
  auto const s = batch.run(small.with(where, 4), o, {.chunk = 64});
  EXPECT_EQ(s.code, tenon::errc::workspace_too_small);
  EXPECT_STREQ(s.subject, "workspace");
  auto const odd = batch.run(small.with(where, 4), o, {.chunk = 65});
  EXPECT_EQ(odd.code, tenon::errc::out_of_range);
  EXPECT_STREQ(odd.subject, "chunk");
#endif
}

// ---- sinks

template <class T, class K, class V>
void expect_sinks(tenon::paged_attention_options options, int multiprocessors) {
  batch_shape const      shape{.heads = 4, .kv_heads = 2, .head_dim = 64, .value_dim = 64};
  coded_batch<T, K, V>   batch(shape, {{1, 200}, {1, 1}, {1, 0}});
  std::vector<float>     logits{0.5f, 3.f, -std::numeric_limits<float>::infinity(), -40.f};
  test::tensor<float, 1> sinks(4);
  sinks.assign(logits);
  auto const expected = batch.expect(attention_variant<>{}, test::over(logits, 4));
  scratch    memory(1 << 24);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<T, 3>     o(3, 4, 64), none(3, 4, 64);
    test::tensor<float, 2> lse(3, 4);
    options.sinks = tenon::as_const(sinks.view());
    ASSERT_TRUE(batch.run(memory.with(where, multiprocessors), o, options, attention_variant<>{}, &lse).ok());
    EXPECT_LE(test::relative_error(o.values(), expected.o), test::tolerance<T>());
    auto const logs = lse.values();
    for (std::size_t i = 0; i < logs.size(); ++i) {
      if (std::isinf(expected.lse[i])) ASSERT_EQ(double(logs[i]), expected.lse[i]) << "row " << i;
      else ASSERT_NEAR(double(logs[i]), expected.lse[i], 2e-5) << "row " << i;
    }
    options.sinks = {};
    ASSERT_TRUE(batch.run(memory.with(where, multiprocessors), none, options).ok());
    auto const with = o.values(), without = none.values();
    EXPECT_TRUE(test::same_bits(test::token_rows(with, 64, 2, 1), test::token_rows(without, 64, 2, 1)))
        << "-inf is none";
    EXPECT_FALSE(test::same_bits(test::token_rows(with, 64, 1, 1), test::token_rows(without, 64, 1, 1)));
  });
}

TEST(paged_attention_sinks, join_once_in_every_kernel) {
  expect_sinks<float, float, float>({}, 0);
  expect_sinks<bf16, bf16, bf16>({}, 0);
  expect_sinks<bf16, bf16, bf16>({.max_query_length = 1}, 3);
  expect_sinks<bf16, tenon::kv_int8, tenon::kv_int4>({.chunk = 64}, 3);
}

// ---- plans

TEST(paged_attention_plan, spreads_what_few_blocks_would_leave_idle) {
  tenon::paged_attention_shape const decode{
      .tokens   = 1,
      .requests = 1,
      .kv_heads = 4,
      .capacity = 32768,
      .problem  = {
           .head_dim = 128, .value_dim = 128, .group = 8, .max_query_length = 1, .vectorised = true, .narrow = true}};
  tenon::paged_attention_resources const h100{{90}, 132, std::size_t{1} << 30, 1 << 16};
  auto const                             plan = tenon::plan_paged_attention(decode, h100);
  EXPECT_GE(plan.blocks, 132);
  EXPECT_EQ(plan.workspace, tenon::paged_attention_workspace_bytes(decode, {90}, 132));
  EXPECT_EQ(to_string(plan), "matrix dim 128, 16 rows x 16 keys, 4 warps; " + std::to_string(plan.blocks) +
                                 " blocks, units of 64 keys, " + std::to_string(plan.workspace) + " bytes, " +
                                 std::to_string(plan.counters) + " counters");
  auto none      = h100;
  none.workspace = 0;
  EXPECT_EQ(tenon::plan_paged_attention(decode, none).unit, 0);
  auto alone              = decode;
  alone.problem.invariant = true;
  EXPECT_EQ(tenon::plan_paged_attention(alone, h100).unit, 0);
  auto prefill                     = decode;
  prefill.tokens                   = 8192;
  prefill.problem.max_query_length = 8192;
  EXPECT_EQ(tenon::plan_paged_attention(prefill, h100).unit, 0) << "enough blocks as it is";
  auto guesses                     = decode;  // a few tokens of each of many requests, which may differ much in length
  guesses.tokens                   = 512;
  guesses.requests                 = 64;
  guesses.problem.max_query_length = 8;
  EXPECT_GT(tenon::plan_paged_attention(guesses, h100).unit, 0);
  for (int const arch : {80, 86, 89, 90, 100, 120}) {
    for (auto const& policy : tenon::paged_attention_menu) {
      if (policy.unit != tenon::attention_unit::matrix || !policy.suits(16, 16)) continue;
      EXPECT_LE(static_cast<std::size_t>(policy.ring_bytes(16, 16)) + 2048, tenon::architecture{arch}.shared_bytes());
    }
  }
}

}  // namespace
