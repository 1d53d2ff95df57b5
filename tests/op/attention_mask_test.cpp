// Masks against plain definitions: keep, classify and span never contradict one another.
#include <tenon/op/mask.hpp>
#include <tenon/op/mask_table.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace {

using tenon::causal, tenon::coverage, tenon::key_span, tenon::key_span_of, tenon::sliding_window;

constexpr int side = 13;  // queries from -2 on, keys from 0 on

/// For every tile of a small square: what classify calls empty or full is, and no key outside the span is kept. `want` is the
/// mask's definition.
template <class Mask, class Want>
void expect_definition(Mask const& mask, Want const& want, int request = 0, int first_query = -2) {
  int certain = 0;
  for (int q0 = first_query; q0 < side; ++q0)
    for (int q1 = q0; q1 < side; ++q1) {
      key_span const span = key_span_of(mask, request, q0, q1);
      for (int q = q0; q <= q1; ++q)
        for (int k = 0; k < side; ++k) {
          ASSERT_EQ(mask.keep(request, 0, q, k), want(q, k)) << "q " << q << " k " << k;
          if (k < span.first || k >= span.last) {
            ASSERT_FALSE(want(q, k)) << "outside the span: q " << q << " k " << k;
          }
        }
      for (int k0 = 0; k0 < side; ++k0)
        for (int k1 = k0; k1 < side; ++k1) {
          int kept = 0, all = 0;
          for (int q = q0; q <= q1; ++q)
            for (int k = k0; k <= k1; ++k) kept += want(q, k), ++all;
          auto const c = mask.classify(request, 0, q0, q1, k0, k1);
          certain += c != coverage::partial;
          if (c != coverage::partial) {
            ASSERT_EQ(kept, c == coverage::full ? all : 0) << "tile " << q0 << ".." << q1 << " x " << k0 << ".." << k1;
          }
        }
    }
  EXPECT_GT(certain, 0) << "classify never says anything";
}

/// For every tile: classify says all that the definition does.
template <class Mask>
void expect_sharp(Mask const& mask) {
  for (int q0 = 0; q0 < side; ++q0)
    for (int q1 = q0; q1 < side; ++q1)
      for (int k0 = 0; k0 < side; ++k0)
        for (int k1 = k0; k1 < side; ++k1) {
          int kept = 0, all = 0;
          for (int q = q0; q <= q1; ++q)
            for (int k = k0; k <= k1; ++k) kept += mask.keep(0, 0, q, k), ++all;
          ASSERT_EQ(mask.classify(0, 0, q0, q1, k0, k1), kept == 0     ? coverage::empty
                                                         : kept == all ? coverage::full
                                                                       : coverage::partial)
              << "tile " << q0 << ".." << q1 << " x " << k0 << ".." << k1;
        }
}

bool is(key_span a, key_span b) { return a.first == b.first && a.last == b.last; }

TEST(attention_mask, keeps_what_its_definition_says) {
  expect_definition(tenon::no_mask{}, [](int, int) { return true; });
  expect_definition(causal{}, [](int q, int k) { return k <= q; });
  for (int const w : {1, 3, 20}) {
    expect_definition(sliding_window{w}, [w](int q, int k) { return q - k < w; });
    expect_definition(causal{} & sliding_window{w}, [w](int q, int k) { return k <= q && q - k < w; });
    expect_definition(tenon::attention_chunks{w}, [w](int q, int k) { return q >= 0 && q / w == k / w; });
    expect_definition(causal{} & tenon::attention_chunks{w},
                      [w](int q, int k) { return k <= q && q >= 0 && q / w == k / w; });
    expect_definition(tenon::first_keys{w}, [w](int, int k) { return k < w; });
    expect_definition(causal{} & (sliding_window{w} | tenon::first_keys{2}),
                      [w](int q, int k) { return k <= q && (q - k < w || k < 2); });
    for (int const right : {0, 2, 20})
      expect_definition(tenon::two_sided_window{w, right}, [=](int q, int k) { return q - w <= k && k <= q + right; });
  }
}

TEST(attention_mask, classifies_all_that_can_be_said) {
  expect_sharp(tenon::no_mask{});
  expect_sharp(causal{});
  for (int const w : {1, 3, 20}) {
    expect_sharp(sliding_window{w});
    expect_sharp(tenon::two_sided_window{w, 2});
    expect_sharp(tenon::attention_chunks{w});
    expect_sharp(tenon::first_keys{w});
  }
}

TEST(attention_mask, spans_are_tight) {
  EXPECT_TRUE(is(key_span_of(tenon::no_mask{}, 0, 3, 5), {}));
  EXPECT_TRUE(is(key_span_of(causal{}, 0, 3, 5), {0, 6}));
  EXPECT_TRUE(is(key_span_of(sliding_window{4}, 0, 3, 5), {0, key_span{}.last}));
  EXPECT_TRUE(is(key_span_of(causal{} & sliding_window{4}, 0, 7, 9), {4, 10}));
  EXPECT_TRUE(is(key_span_of(tenon::two_sided_window{3, 1}, 0, 7, 9), {4, 11}));
  EXPECT_TRUE(is(key_span_of(tenon::attention_chunks{4}, 0, 5, 9), {4, 12}));
  EXPECT_TRUE(is(key_span_of(causal{} & tenon::attention_chunks{8}, 0, 17, 18), {16, 19}));
  EXPECT_TRUE(is(key_span_of(tenon::first_keys{4} | (causal{} & sliding_window{2}), 0, 9, 9), {0, 10}));
  // A side that keeps nothing adds nothing.
  EXPECT_TRUE(is(key_span_of(tenon::first_keys{0} | (causal{} & sliding_window{2}), 0, 9, 9), {8, 10}));
}

/// A mask without the hook.
struct even_keys {
  coverage classify(int, int, int, int, int, int) const { return coverage::partial; }
  bool     keep(int, int, int, int k) const { return k % 2 == 0; }
};

TEST(attention_mask, without_a_span_may_keep_any_key) {
  EXPECT_TRUE(is(key_span_of(even_keys{}, 0, 3, 5), {}));
  EXPECT_TRUE(is(key_span_of(causal{} & even_keys{}, 0, 3, 5), {0, 6}));
  EXPECT_TRUE(is(key_span_of(sliding_window{2} | even_keys{}, 0, 9, 9), {}));
  expect_definition(causal{} & even_keys{}, [](int q, int k) { return k <= q && k % 2 == 0; });
  expect_definition(sliding_window{2} | even_keys{}, [](int q, int k) { return q - k < 2 || k % 2 == 0; });
}

TEST(attention_mask, of_huge_arguments_does_not_overflow) {
  constexpr int most = std::numeric_limits<int>::max();
  EXPECT_TRUE(is(key_span_of(sliding_window{most}, 0, -5, 9), {0, most}));
  EXPECT_TRUE(is(key_span_of(tenon::two_sided_window{most, most}, 0, -5, 9), {0, most}));
  EXPECT_TRUE(is(key_span_of(tenon::attention_chunks{most}, 0, -5, 9), {0, most}));
  EXPECT_EQ(tenon::attention_chunks{most}.classify(0, 0, 0, 9, 0, 100), coverage::full);
  EXPECT_TRUE(is(key_span_of(tenon::attention_chunks{most}, 0, -5, -1), {0, 0}));
}

TEST(attention_mask, knows_when_heads_are_alike) {
  static_assert(tenon::same_for_all_heads<tenon::both<causal, sliding_window>>);
  static_assert(tenon::same_for_all_heads<tenon::either<causal, tenon::tree_mask>>);
  static_assert(tenon::same_for_all_heads<tenon::bit_mask> && tenon::same_for_all_heads<tenon::document_mask>);
  static_assert(!tenon::same_for_all_heads<tenon::both<causal, even_keys>>);
  static_assert(!tenon::same_for_all_heads<tenon::either<even_keys, causal>>);
}

template <class T, class... Extent>
auto over(std::vector<T> const& v, Extent... extent) {
  return tenon::dense(v.data(), extent...);
}

TEST(attention_mask_prefix_lm, opens_the_prefix) {
  std::vector<std::int32_t> const prefix{5, 0, 40};
  tenon::prefix_lm const          mask{over(prefix, 3)};
  for (int r = 0; r < 3; ++r) {
    int const before = prefix[std::size_t(r)];
    expect_definition(
        mask, [before](int q, int k) { return k < before || k <= q; }, r);
  }
  EXPECT_TRUE(is(key_span_of(mask, 0, 1, 2), {0, 5}));
  EXPECT_TRUE(is(key_span_of(mask, 0, 1, 7), {0, 8}));
  EXPECT_EQ(mask.classify(0, 0, 0, 3, 0, 4), coverage::full);
  EXPECT_EQ(mask.classify(0, 0, 0, 3, 5, 9), coverage::empty);
}

TEST(attention_mask_document, separates_documents) {
  std::vector<std::int32_t> const scattered{3, 1, 1, 3, 0, 0, 3, 1, 7, 7}, packed{0, 0, 0, 2, 2, 3, 5, 5, 5, 5};
  for (auto const* numbers : {&scattered, &packed}) {
    auto const same = [&](int q, int k) {
      return q >= 0 && q < 10 && k < 10 && (*numbers)[std::size_t(q)] == (*numbers)[std::size_t(k)];
    };
    if (numbers == &packed) {
      expect_definition(tenon::document_mask{over(*numbers, 1, 10), true}, same);
      expect_definition(causal{} & tenon::document_mask{over(*numbers, 1, 10), true},
                        [&](int q, int k) { return k <= q && same(q, k); });
    }
    expect_definition(causal{} & tenon::document_mask{over(*numbers, 1, 10)},
                      [&](int q, int k) { return k <= q && same(q, k); });
  }
  tenon::document_mask const mask{over(packed, 1, 10), true};
  EXPECT_TRUE(is(key_span_of(mask, 0, 3, 4), {3, 5}));
  EXPECT_TRUE(is(key_span_of(mask, 0, 4, 6), {3, 10}));
  EXPECT_TRUE(is(key_span_of(mask, 0, -2, -1), {0, 0}));
  EXPECT_EQ(mask.classify(0, 0, 3, 4, 3, 4), coverage::full);
  EXPECT_EQ(mask.classify(0, 0, 6, 9, 0, 4), coverage::empty);
  EXPECT_EQ(tenon::document_mask{over(scattered, 1, 10)}.classify(0, 0, 3, 4, 3, 4), coverage::partial);
}

TEST(attention_mask_bits, are_the_bits) {
  constexpr int              rows = 9, words = 2;
  std::mt19937               engine(1);
  std::vector<std::uint32_t> bits;
  for (int i = 0; i < rows * words; ++i) bits.push_back(std::uint32_t(engine()));
  // Request 1 has rows 3.. for its queries 4..; bits of the second mask start at key 6.
  std::vector<std::int32_t> const first_row{0, 3}, first_position{0, 4}, first_key{0, 6};
  auto const                      bit = [&](int row, int k) {
    return k < 64 && (bits[std::size_t(row * words + k / 32)] >> (k % 32) & 1) != 0;
  };
  auto const            seen = [&](int q, int k) { return q >= 4 && q < 10 && bit(3 + q - 4, k); };
  tenon::bit_mask const whole{over(bits, rows, words), over(first_row, 2), over(first_position, 2)};
  tenon::bit_mask       tail = whole;
  tail.first_key             = over(first_key, 2);
  expect_definition(
      causal{} & whole, [&](int q, int k) { return k <= q && seen(q, k); }, 1);
  expect_definition(
      tail, [&](int q, int k) { return q >= 4 && q < 10 && (k < 6 || bit(3 + q - 4, k - 6)); }, 1);
  EXPECT_TRUE(is(key_span_of(whole, 1, 4, 9), {0, 64}));
  EXPECT_TRUE(is(key_span_of(tail, 1, 4, 9), {0, 70}));
  EXPECT_EQ(whole.classify(1, 0, 4, 9, 64, 70), coverage::empty);  // behind the words
  EXPECT_FALSE(whole.keep(1, 0, 4, 64));
  EXPECT_EQ(tail.classify(1, 0, 4, 9, 0, 5), coverage::full);
  EXPECT_EQ(tail.classify(1, 0, 4, 10, 0, 5), coverage::partial);  // the last query has no row
  EXPECT_EQ(tail.classify(1, 0, 4, 9, 70, 80), coverage::empty);
}

//   0      text: keys 0..5 (request 1), then nodes    -1   0   0   1   1   -1
TEST(attention_mask_tree, sees_ancestors_and_the_text) {
  std::int32_t const         parent[] = {-1, 0, 0, 1, 1, -1};
  std::vector<std::uint64_t> sees(3 + 6, 0);
  tenon::tree_words(parent, 6, &sees[3]);
  EXPECT_EQ(std::vector<std::uint64_t>(sees.begin() + 3, sees.end()),
            (std::vector<std::uint64_t>{0b1, 0b11, 0b101, 0b1011, 0b10011, 0b100000}));
  std::vector<std::int32_t> const start{0, 3, 9}, length{5, 12};
  tenon::tree_mask const          mask{over(sees, 9), over(start, 3), over(length, 2)};
  auto const                      ancestor = [&](int node, int of) {
    for (int at = of; at >= 0; at = parent[at])
      if (at == node) return true;
    return false;
  };
  auto const want = [&](int q, int k) { return k < 6 || (k < 12 && ancestor(k - 6, q - 6)); };
  for (int q = 6; q < 12; ++q)
    for (int k = 0; k < 12; ++k) EXPECT_EQ(mask.keep(1, 0, q, k), want(q, k)) << q << ' ' << k;
  EXPECT_EQ(mask.classify(1, 0, 6, 11, 0, 5), coverage::full);
  EXPECT_EQ(mask.classify(1, 0, 6, 11, 5, 6), coverage::partial);
  EXPECT_TRUE(is(key_span_of(mask, 1, 6, 11), {0, 12}));
}

// More than 64 new tokens: those before the last 64 are causal, the last 64 have words.
TEST(attention_mask_tree, is_causal_before_the_last_64_tokens) {
  std::vector<std::uint64_t> sees;
  for (int i = 0; i < 70; ++i) sees.push_back(i < 6 ? 0 : i == 6 ? 1 : (sees.back() << 1 | 1));  // a chain
  std::vector<std::int32_t> const start{0, 70}, length{73};
  tenon::tree_mask const          mask{over(sees, 70), over(start, 2), over(length, 1)};
  for (int q = 3; q < 73; ++q)
    for (int k = 0; k < 73; ++k) ASSERT_EQ(mask.keep(0, 0, q, k), k <= q) << q << ' ' << k;
  for (int q0 = 3; q0 < 73; ++q0)
    for (int k0 = 0; k0 < 73; ++k0) {
      auto const c = mask.classify(0, 0, q0, std::min(q0 + 3, 72), k0, std::min(k0 + 3, 72));
      ASSERT_TRUE(c != coverage::full || std::min(k0 + 3, 72) <= q0);
      ASSERT_TRUE(c != coverage::empty || k0 > std::min(q0 + 3, 72));
    }
  EXPECT_EQ(mask.classify(0, 0, 3, 6, 7, 9), coverage::empty);
  EXPECT_TRUE(is(key_span_of(mask, 0, 3, 6), {0, 7}));
  EXPECT_TRUE(is(key_span_of(mask, 0, 3, 9), {0, 73}));
}

TEST(attention_mask_tree, words_of_a_chain_are_causal) {
  std::vector<std::int32_t>  parent(64);
  std::vector<std::uint64_t> sees(64);
  for (int j = 0; j < 64; ++j) parent[std::size_t(j)] = j - 1;
  tenon::tree_words(parent.data(), 64, sees.data());
  EXPECT_EQ(sees[0], 1u);
  EXPECT_EQ(sees[63], ~std::uint64_t{0});
}

}  // namespace
