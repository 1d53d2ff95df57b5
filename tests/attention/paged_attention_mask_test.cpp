#include <tenon/attention/paged_attention.hpp>

#include <gtest/gtest.h>

#include "variant_agreement.hpp"

namespace {

using tenon::attention_variant, tenon::bf16, tenon::causal, tenon::coverage;
using test::expect_agreement, test::batch_shape;

batch_shape const small{.heads = 3, .kv_heads = 1, .head_dim = 16, .value_dim = 24, .page_size = 4};

TEST(paged_attention_mask, windows_narrower_and_wider_than_a_tile_agree) {
  for (int const window : {1, 5, 33, 64, 100})
    expect_agreement<float, bf16>(small, {{20, 90}, {1, 70}},
                                  attention_variant{causal{} & tenon::sliding_window{window}});
}

TEST(paged_attention_mask, none_sees_every_key) {
  expect_agreement<float, bf16>(small, {{5, 40}, {3, 2}}, attention_variant{tenon::no_mask{}});
}

/// Even heads see even keys, odd heads those before key 50; queries at multiples of 3 see nothing.
struct striped {
  TENON_HD coverage classify(int, int head, int, int, int k_first, int) const {
    return head % 2 == 1 && k_first >= 50 ? coverage::empty : coverage::partial;
  }
  TENON_HD bool keep(int, int head, int q, int k) const { return q % 3 != 0 && (head % 2 ? k < 50 : k % 2 == 0); }
};

TEST(paged_attention_mask, of_the_user_may_differ_by_head_and_leave_rows_empty) {
  expect_agreement<float, bf16>({.heads = 4, .kv_heads = 2, .head_dim = 16, .value_dim = 16},
                                {{9, 75}, {1, 34}, {2, 2}}, attention_variant{causal{} & striped{}});
}

// classify must never contradict keep: every tile of a small square, every built-in mask.
template <class Mask>
void expect_consistent(Mask mask) {
  for (int q0 = 0; q0 < 12; ++q0)
    for (int q1 = q0; q1 < 12; ++q1)
      for (int k0 = 0; k0 < 12; ++k0)
        for (int k1 = k0; k1 < 12; ++k1) {
          int kept = 0, all = 0;
          for (int q = q0; q <= q1; ++q)
            for (int k = k0; k <= k1; ++k) kept += mask.keep(0, 0, q, k), ++all;
          auto const c = mask.classify(0, 0, q0, q1, k0, k1);
          if (c != coverage::partial) {
            ASSERT_EQ(kept, c == coverage::full ? all : 0);
          }
        }
}

TEST(attention_mask, classifies_what_it_keeps) {
  expect_consistent(tenon::no_mask{});
  expect_consistent(causal{});
  for (int const window : {1, 3, 20}) {
    expect_consistent(tenon::sliding_window{window});
    expect_consistent(causal{} & tenon::sliding_window{window});
  }
  static_assert(tenon::same_for_all_heads<tenon::both<causal, tenon::sliding_window>>);
  static_assert(!tenon::same_for_all_heads<tenon::both<causal, striped>>);
}

TEST(attention_mask, classifies_whole_tiles_as_such) {
  EXPECT_EQ(causal{}.classify(0, 0, 4, 7, 0, 4), coverage::full);
  EXPECT_EQ(causal{}.classify(0, 0, 4, 7, 0, 5), coverage::partial);
  EXPECT_EQ(causal{}.classify(0, 0, 4, 7, 8, 9), coverage::empty);
  EXPECT_EQ(tenon::sliding_window{4}.classify(0, 0, 4, 7, 0, 0), coverage::empty);
  EXPECT_EQ(tenon::sliding_window{4}.classify(0, 0, 4, 7, 0, 1), coverage::partial);
  EXPECT_EQ(tenon::sliding_window{4}.classify(0, 0, 4, 7, 4, 9), coverage::full);
}

}  // namespace
