#include <tenon/attention/merge_attention.hpp>
#include <tenon/attention/merge_attention_ref.hpp>
#include <tenon/attention/paged_attention.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "ragged_batch.hpp"

namespace {

using tenon::bf16, tenon::errc, tenon::f16, tenon::index_t;

constexpr float nothing = -std::numeric_limits<float>::infinity();
constexpr float nan     = std::numeric_limits<float>::quiet_NaN();

struct shape {
  int parts, tokens, heads, value_dim;
  int rows() const { return tokens * heads; }
};

/// Parts whose logs differ by up to about 20; those that have seen nothing hold NaN.
template <class P>
struct partial_states {
  shape              s;
  std::vector<P>     part;
  std::vector<float> lse;

  partial_states(shape const& of, std::uint64_t seed, double empty = 0.25) : s(of) {
    std::mt19937_64          engine(seed);
    std::normal_distribution normal;
    for (int r = 0; r < s.parts * s.rows(); ++r) {
      bool const seen = std::uniform_real_distribution(0.0, 1.0)(engine) >= empty;
      lse.push_back(seen ? static_cast<float>(5 * normal(engine)) : nothing);
      for (int d = 0; d < s.value_dim; ++d) part.push_back(P(seen ? static_cast<float>(normal(engine)) : nan));
    }
  }

  struct expectation {
    std::vector<float>  o;
    std::vector<double> lse;
  };
  expectation expect() {
    expectation e{std::vector<float>(std::size_t(s.rows() * s.value_dim)), std::vector<double>(std::size_t(s.rows()))};
    tenon::ref::merge_attention(test::over(e.o, s.tokens, s.heads, s.value_dim), test::over(e.lse, s.tokens, s.heads),
                                test::over(part, s.parts, s.tokens, s.heads, s.value_dim),
                                test::over(lse, s.parts, s.tokens, s.heads));
    return e;
  }
};

template <class O>
struct merged {
  std::vector<O>     o;
  std::vector<float> lse;
};
template <class O, class P>
merged<O> merge(tenon::context const& where, shape const& s, std::vector<P> const& part,
                std::vector<float> const& part_lse) {
  test::tensor<P, 4>     parts(s.parts, s.tokens, s.heads, s.value_dim);
  test::tensor<float, 3> logs(s.parts, s.tokens, s.heads);
  test::tensor<O, 3>     o(s.tokens, s.heads, s.value_dim);
  test::tensor<float, 2> lse(s.tokens, s.heads);
  parts.assign(part), logs.assign(part_lse), o.fill(O(9.f)), lse.fill(9.f);
  EXPECT_TRUE(tenon::merge_attention(where, o.view(), parts.view(), logs.view(), lse.view()).ok());
  return {o.values(), lse.values()};
}

void expect_logs(std::vector<float> const& got, std::vector<double> const& want) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (std::isinf(want[i])) EXPECT_EQ(double(got[i]), want[i]) << "row " << i;
    else EXPECT_NEAR(double(got[i]), want[i], 2e-6 * std::max(1.0, std::abs(want[i]))) << "row " << i;
  }
}

template <class O, class P>
void expect_agreement() {
  constexpr shape shapes[] = {{1, 1, 1, 8},   {2, 3, 2, 64}, {3, 2, 5, 24},
                              {4, 1, 1, 128}, {9, 5, 3, 80}, {70, 1, 2, 16}};
  for (auto const& s : shapes) {
    SCOPED_TRACE(std::to_string(s.parts) + " parts of " + std::to_string(s.value_dim));
    partial_states<P> states(s, 1 + std::uint64_t(s.parts));
    auto const        expected = states.expect();
    test::on_every_target([&](tenon::context const& where) {
      auto const got = merge<O>(where, s, states.part, states.lse);
      EXPECT_LE(test::relative_error(got.o, expected.o), test::tolerance<O>());
      expect_logs(got.lse, expected.lse);
    });
  }
}

TEST(merge_attention, agrees_in_every_type) {
  expect_agreement<float, float>();
  expect_agreement<bf16, bf16>();
  expect_agreement<f16, f16>();
  expect_agreement<bf16, float>();
  expect_agreement<float, f16>();
}

TEST(merge_attention, takes_any_width) {
  for (int const width : {1, 7, 33, 130}) {
    shape const           s{3, 2, 3, width};
    partial_states<float> states(s, 5);
    auto const            expected = states.expect();
    test::on_every_target([&](tenon::context const& where) {
      EXPECT_LE(test::relative_error(merge<float>(where, s, states.part, states.lse).o, expected.o), 2e-6);
    });
  }
}

// ((a, b), c) = (a, (b, c)) = (a, b, c) but for rounding.
TEST(merge_attention, is_associative) {
  shape const           s{3, 4, 3, 40}, two{2, 4, 3, 40};
  partial_states<float> states(s, 7);
  auto const            part = [&](int p) {
    std::size_t const row = std::size_t(s.rows()), all = row * std::size_t(s.value_dim), i = std::size_t(p);
    return merged<float>{
        {states.part.begin() + std::ptrdiff_t(i * all), states.part.begin() + std::ptrdiff_t((i + 1) * all)},
        {states.lse.begin() + std::ptrdiff_t(i * row), states.lse.begin() + std::ptrdiff_t((i + 1) * row)}};
  };
  auto const join = [](merged<float> a, merged<float> const& b) {
    a.o.insert(a.o.end(), b.o.begin(), b.o.end()), a.lse.insert(a.lse.end(), b.lse.begin(), b.lse.end());
    return a;
  };
  test::on_every_target([&](tenon::context const& where) {
    auto const of    = [&](merged<float> const& ab) { return merge<float>(where, two, ab.o, ab.lse); };
    auto const all   = merge<float>(where, s, states.part, states.lse);
    auto const left  = of(join(of(join(part(0), part(1))), part(2)));
    auto const right = of(join(part(0), of(join(part(1), part(2)))));
    EXPECT_LE(test::relative_error(left.o, all.o), 1e-6);
    EXPECT_LE(test::relative_error(right.o, all.o), 1e-6);
    expect_logs(left.lse, {all.lse.begin(), all.lse.end()});
    expect_logs(right.lse, {all.lse.begin(), all.lse.end()});
  });
}

TEST(merge_attention, does_not_care_for_the_order_of_parts) {
  shape const           s{5, 3, 2, 24};
  partial_states<float> states(s, 11);
  auto                  turned = states;
  std::size_t const     row = std::size_t(s.rows()), all = row * std::size_t(s.value_dim);
  for (std::size_t p = 0; p < 5; ++p) {
    std::copy_n(&states.part[p * all], all, &turned.part[(4 - p) * all]);
    std::copy_n(&states.lse[p * row], row, &turned.lse[(4 - p) * row]);
  }
  test::on_every_target([&](tenon::context const& where) {
    auto const there = merge<float>(where, s, states.part, states.lse);
    auto const back  = merge<float>(where, s, turned.part, turned.lse);
    EXPECT_LE(test::relative_error(back.o, there.o), 1e-6);
    expect_logs(back.lse, {there.lse.begin(), there.lse.end()});
  });
}

// The operator's use: keys before 40 seen whole, the others causally, are what causal attention over all of them is.
TEST(merge_attention, of_a_prefix_and_a_suffix_is_the_attention_over_both) {
  test::batch_shape const   shape{.heads = 4, .kv_heads = 2, .head_dim = 16, .value_dim = 24, .page_size = 8};
  int const                 prefix = 40;
  test::ragged_batch<float> batch(shape, {{3, 61}, {1, 41}, {20, 60}});
  auto const                expected = batch.expect();
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 4>        part(2, batch.tokens, shape.heads, shape.value_dim);
    test::tensor<float, 3>        part_lse(2, batch.tokens, shape.heads);
    test::tensor<std::int32_t, 1> before(3), behind(3);
    test::tensor<float, 3>        o(batch.tokens, shape.heads, shape.value_dim);
    test::tensor<float, 2>        lse(batch.tokens, shape.heads);
    part.fill(nan), before.fill(prefix), behind.assign({61 - prefix, 41 - prefix, 60 - prefix});
    auto const half = [&](int p) {
      auto const whole = part.view();
      return tenon::tensor_view<float, 3>{whole.data + p * whole.stride[0],
                                          {whole.extent[1], whole.extent[2], whole.extent[3]},
                                          {whole.stride[1], whole.stride[2], whole.stride[3]}};
    };
    auto const half_lse = [&](int p) {
      auto const whole = part_lse.view();
      return tenon::tensor_view<float, 2>{
          whole.data + p * whole.stride[0], {whole.extent[1], whole.extent[2]}, {whole.stride[1], whole.stride[2]}};
    };
    auto own = tenon::as_const(batch.block_table->view());
    own.data += prefix / shape.page_size, own.extent[1] -= prefix / shape.page_size;
    auto const q     = batch.q->view();
    auto const start = tenon::as_const(batch.query_start->view());
    ASSERT_TRUE(tenon::paged_attention(where, half(0), q, batch.cache(), batch.block_table->view(), start,
                                       before.view(), {}, tenon::attention_variant{tenon::no_mask{}}, half_lse(0))
                    .ok());
    ASSERT_TRUE(tenon::paged_attention(where, half(1), q, batch.cache(), own, start, behind.view(), {},
                                       tenon::attention_variant{tenon::causal{}}, half_lse(1))
                    .ok());
    ASSERT_TRUE(tenon::merge_attention(where, o.view(), part.view(), part_lse.view(), lse.view()).ok());
    EXPECT_LE(test::relative_error(o.values(), expected.o), 2e-6);
    expect_logs(lse.values(), expected.lse);
  });
}

TEST(merge_attention, of_nothing_seen_is_nothing) {
  shape const              s{3, 2, 2, 16};
  std::vector<bf16> const  part(std::size_t(3 * 4 * 16), bf16(nan));
  std::vector<float> const logs(12, nothing);
  test::on_every_target([&](tenon::context const& where) {
    auto const got = merge<bf16>(where, s, part, logs);
    for (bf16 const v : got.o) ASSERT_EQ(float(v), 0.f);
    for (float const v : got.lse) ASSERT_EQ(v, nothing);
  });
}

TEST(merge_attention, of_no_parts_is_nothing) {
  test::on_every_target([&](tenon::context const& where) {
    auto const got = merge<float>(where, {0, 2, 2, 16}, std::vector<float>{}, {});
    for (float const v : got.o) ASSERT_EQ(v, 0.f);
    for (float const v : got.lse) ASSERT_EQ(v, nothing);
  });
}

// One part alone has its own bits, however many beside it have seen nothing.
TEST(merge_attention, of_one_part_keeps_its_bits) {
  shape const           s{6, 2, 2, 24};
  partial_states<float> states({1, 2, 2, 24}, 13, 0);
  std::vector<float>    part(std::size_t(6 * 4 * 24), nan), logs(24, nothing);
  std::copy(states.part.begin(), states.part.end(), part.begin() + 2 * 4 * 24);
  std::copy(states.lse.begin(), states.lse.end(), logs.begin() + 2 * 4);
  test::on_every_target([&](tenon::context const& where) {
    auto const got = merge<float>(where, s, part, logs);
    EXPECT_TRUE(test::same_bits(got.o, states.part));
    EXPECT_TRUE(test::same_bits(got.lse, states.lse));
  });
}

TEST(merge_attention, survives_huge_logs) {
  shape const s{2, 1, 3, 8};
  // rows: both far below zero; both far above; one so far below the other that its NaN has no weight
  std::vector<float> part(48), logs{-3e38f, 80000.f, -1000.f, -3e38f, 80000.f, 1000.f};
  for (int i = 0; i < 48; ++i) part[std::size_t(i)] = i / 24 == 0 ? (i / 8 == 2 ? nan : 1.f) : 3.f;
  test::on_every_target([&](tenon::context const& where) {
    auto const got = merge<float>(where, s, part, logs);
    for (int i = 0; i < 24; ++i) ASSERT_EQ(got.o[std::size_t(i)], i / 8 == 2 ? 3.f : 2.f) << i;
    EXPECT_EQ(got.lse[0], -3e38f);
    EXPECT_NEAR(got.lse[1], 80000.f + 0.6931472f, 0.01f);
    EXPECT_EQ(got.lse[2], 1000.f);
  });
}

TEST(merge_attention, of_nan_is_nan) {
  shape const              s{2, 1, 1, 8};
  std::vector<float> const part(16, 1.f);
  test::on_every_target([&](tenon::context const& where) {
    for (auto const& logs : {std::vector<float>{nan, 1.f}, {1.f, nan}}) {
      auto const got = merge<float>(where, s, part, logs);
      for (float const v : got.o) EXPECT_TRUE(std::isnan(v));
      EXPECT_TRUE(std::isnan(got.lse[0]));
    }
  });
}

// part is (tokens, heads, parts, value_dim) in memory, o has gaps, and nothing starts at a multiple of 16 bytes.
TEST(merge_attention, takes_any_strides) {
  shape const           s{3, 4, 2, 16};
  partial_states<float> states(s, 17);
  auto const            expected = states.expect();
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 1> memory(1 + 4 * 2 * 3 * 16), logs(24), out(1 + 4 * 2 * 19), lse(8);
    std::vector<float>     turned(memory.size()), turned_logs(24);
    for (int p = 0; p < 3; ++p)
      for (int r = 0; r < 8; ++r) {
        std::copy_n(&states.part[std::size_t((p * 8 + r) * 16)], 16, &turned[std::size_t(1 + (r * 3 + p) * 16)]);
        turned_logs[std::size_t(r * 3 + p)] = states.lse[std::size_t(p * 8 + r)];
      }
    memory.assign(turned), logs.assign(turned_logs), out.fill(9.f);
    tenon::tensor_view<float, 4> const part{memory.view().data + 1, {3, 4, 2, 16}, {16, 96, 48, 1}};
    tenon::tensor_view<float, 3> const part_lse{logs.view().data, {3, 4, 2}, {1, 6, 3}};
    tenon::tensor_view<float, 3> const o{out.view().data + 1, {4, 2, 16}, {38, 19, 1}};
    tenon::tensor_view<float, 2> const log{lse.view().data, {4, 2}, {1, 4}};
    ASSERT_TRUE(tenon::merge_attention(where, o, part, part_lse, log).ok());
    auto const         values = out.values(), sums = lse.values();
    std::vector<float> got;
    EXPECT_EQ(values[0], 9.f);
    for (int r = 0; r < 8; ++r)
      for (int d = 0; d < 19; ++d) {
        float const v = values[std::size_t(1 + r * 19 + d)];
        if (d < 16) got.push_back(v);
        else EXPECT_EQ(v, 9.f);
      }
    EXPECT_LE(test::relative_error(got, expected.o), 2e-6);
    std::vector<float> by_row;
    for (int t = 0; t < 4; ++t)
      for (int h = 0; h < 2; ++h) by_row.push_back(sums[std::size_t(h * 4 + t)]);
    expect_logs(by_row, expected.lse);
  });
}

TEST(merge_attention, repeats_its_bits) {
  shape const          s{7, 3, 2, 48};
  partial_states<bf16> states(s, 19);
  test::on_every_target([&](tenon::context const& where) {
    auto const first = merge<float>(where, s, states.part, states.lse);
    auto const again = merge<float>(where, s, states.part, states.lse);
    EXPECT_TRUE(test::same_bits(first.o, again.o));
    EXPECT_TRUE(test::same_bits(first.lse, again.lse));
  });
}

TEST(merge_attention, of_empty_tensors_is_ok) {
  test::on_every_target([&](tenon::context const& where) {
    for (shape const& s : {shape{2, 0, 2, 8}, {2, 2, 0, 8}, {2, 2, 2, 0}})
      EXPECT_TRUE(
          merge<float>(where, s, std::vector<float>{}, std::vector<float>(std::size_t(2 * s.rows()))).o.empty());
  });
}

TEST(merge_attention_contract, names_what_is_wrong) {
  test::tensor<float, 4> part(2, 3, 2, 8);
  test::tensor<float, 3> logs(2, 3, 2), few(1, 3, 2), o(3, 2, 8), narrow(3, 2, 4);
  test::tensor<float, 2> lse(3, 1);
  auto const             expect = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << subject;
    EXPECT_STREQ(s.subject, subject);
  };
  tenon::context const where{};
  expect(tenon::merge_attention(where, o.view(), part.view(), few.view()), errc::shape_mismatch, "parts");
  expect(tenon::merge_attention(where, narrow.view(), part.view(), logs.view()), errc::shape_mismatch, "value_dim");
  expect(tenon::merge_attention(where, o.view(), part.view(), logs.view(), lse.view()), errc::shape_mismatch, "heads");
  auto strided      = part.view();
  strided.stride[3] = 2;
  expect(tenon::merge_attention(where, o.view(), strided, logs.view()), errc::bad_stride, "part");
  auto odd = o.view();
  odd.data = reinterpret_cast<float*>(reinterpret_cast<char*>(odd.data) + 2);
  expect(tenon::merge_attention(where, odd, part.view(), logs.view()), errc::misaligned, "o");
  auto wide      = o.view();
  auto wide_part = part.view();
  auto wide_logs = tenon::as_const(logs.view());
  wide.extent[1] = wide_part.extent[2] = wide_logs.extent[2] = index_t{1} << 20;
  expect(tenon::merge_attention(where, wide, wide_part, wide_logs), errc::out_of_range, "heads");
}

}  // namespace
