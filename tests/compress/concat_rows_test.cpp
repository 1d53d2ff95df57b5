#define TENON_ACT_AS 0  // the host's own kernels alone
#include <compress/naive_layers.hpp>
#include <quant/random_weight.hpp>
#include <tenon/compress/concat_rows.hpp>
#include <tenon/gemm/gemm.hpp>
#include <tenon/quant/quantize_weight.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace {

using tenon::bf16, tenon::concat_rows, tenon::dense, tenon::errc, tenon::index_t, tenon::quantized_weight,
    tenon::tensor_view, tenon::weight_code;
using test::normal;

template <class T>
class concat_rows_of : public testing::Test {};
using elements = testing::Types<float, bf16>;
TYPED_TEST_SUITE(concat_rows_of, elements);

// One product with all rows has the bits of three products, on the kernels of the CPU.
TYPED_TEST(concat_rows_of, products_keep_their_bits) {
  using T          = TypeParam;
  index_t const  k = 75, heads[] = {40, 8, 8};
  auto const     q = normal<T>(40 * 75, 1), key = normal<T>(8 * 75, 2), v = normal<T>(8 * 75, 3);
  std::vector<T> w(56 * 75);
  ASSERT_TRUE(
      concat_rows(dense(w.data(), 56, k), {dense(q.data(), 40, k), dense(key.data(), 8, k), dense(v.data(), 8, k)})
          .ok());
  tenon::context where;
  where.threads = 1;
  for (index_t const m : {1, 5, 33}) {
    auto const         x = normal<T>(static_cast<std::size_t>(m * k), 4);
    std::vector<float> fused(static_cast<std::size_t>(m * 56));
    ASSERT_TRUE(
        tenon::gemm(where, dense(fused.data(), m, 56), dense(x.data(), m, k), dense<T const>(w.data(), 56, k)).ok());
    index_t first = 0;
    for (auto const* part : {&q, &key, &v}) {
      index_t const      n = heads[first == 0 ? 0 : 1];
      std::vector<float> alone(static_cast<std::size_t>(m * n));
      ASSERT_TRUE(tenon::gemm(where, dense(alone.data(), m, n), dense(x.data(), m, k), dense(part->data(), n, k)).ok());
      for (index_t i = 0; i < m; ++i)
        EXPECT_EQ(std::memcmp(&fused[static_cast<std::size_t>(i * 56 + first)], &alone[static_cast<std::size_t>(i * n)],
                              static_cast<std::size_t>(n) * sizeof(float)),
                  0)
            << "m " << m << ", rows from " << first;
      first += n;
    }
  }
}

TEST(concat_rows, any_strides_and_empty_parts) {
  std::vector<float> const a{1, 2, 3, 4, 5, 6}, b{7, 8, 9, 10};
  std::vector<float>       out(20, 42.f);
  // a is stored (columns, rows), out has rows of 4 elements.
  tensor_view<float const, 2> const turned{a.data(), {3, 2}, {1, 3}}, none{nullptr, {0, 2}, {2, 1}};
  ASSERT_TRUE(
      concat_rows(tensor_view<float, 2>{out.data(), {5, 2}, {4, 1}}, {turned, none, dense(b.data(), 2, 2)}).ok());
  EXPECT_EQ(out, (std::vector<float>{1, 4, 42, 42, 2, 5, 42, 42, 3, 6, 42, 42, 7, 8, 42, 42, 9, 10, 42, 42}));
  // A vector of views, and nothing at all.
  std::vector<tensor_view<float const, 2>> const parts{dense(b.data(), 2, 2), dense(b.data(), 2, 2)};
  ASSERT_TRUE(concat_rows(dense(out.data(), 4, 2), parts).ok());
  EXPECT_EQ(out[7], 10.f);
  EXPECT_TRUE(concat_rows(dense(out.data(), 0, 2), std::span<tensor_view<float const, 2>>{}).ok());
}

// q, k and v with biases where one has none: zeros stand for it.
TEST(concat_rows, a_missing_bias_is_zeros) {
  std::vector<float> const          q{1, 2, 3}, v{4, 5};
  std::vector<float>                out(7, 42.f);
  tensor_view<float const, 1> const none{nullptr, {2}, {1}};
  ASSERT_TRUE(concat_rows(dense(out.data(), 7), {dense(q.data(), 3), none, dense(v.data(), 2)}).ok());
  EXPECT_EQ(out, (std::vector<float>{1, 2, 3, 0, 0, 4, 5}));
}

TEST(concat_rows, names_the_part_at_fault) {
  std::vector<float> a(12), out(24, 42.f);
  auto const         run = [&](index_t rows, tensor_view<float const, 2> second) {
    auto const s = concat_rows(dense(out.data(), rows, 3), {dense(a.data(), 4, 3), second});
    EXPECT_EQ(std::count(out.begin(), out.end(), 42.f), 24);
    return std::string(s.subject) + " " + std::to_string(s.got) + " " + std::to_string(s.want);
  };
  EXPECT_EQ(run(7, dense(a.data(), 4, 3)), "rows 7 8");
  EXPECT_EQ(run(8, dense(a.data(), 3, 4)), "k of a part 1 3");
  EXPECT_EQ(run(8, dense(static_cast<float*>(nullptr), 4, 3)), "parts 1 0");
  EXPECT_STREQ(concat_rows(dense(out.data(), 0, -1), std::span<tensor_view<float const, 2>>{}).subject, "k");
  index_t const                     most = std::numeric_limits<index_t>::max();
  tensor_view<float const, 2> const endless{nullptr, {most, 0}, {0, 1}};
  EXPECT_STREQ(concat_rows(dense(out.data(), 0, 0), {endless, endless}).subject, "rows of a part");
}

/// Rows of any part as they were, in the order of the parts.
void expect_rows_of(quantized_weight const& all, std::vector<quantized_weight const*> const& parts) {
  std::vector<float> want;
  for (auto const* part : parts) {
    auto const w = part->dequantized();
    want.insert(want.end(), w.begin(), w.end());
  }
  EXPECT_EQ(all.dequantized(), want);
}

TEST(concat_rows, quantised_rows_keep_their_scales) {
  tenon::weight_format const formats[] = {
      {weight_code::int8, 0},       {weight_code::int8, 32}, {weight_code::int4, 32}, {weight_code::int4, 32, 1, true},
      {weight_code::fp8, 128, 128}, {weight_code::fp8, 0},   {weight_code::fp4, 32}};
  for (auto const& f : formats) {
    SCOPED_TRACE(to_string(f));
    index_t const    rows = f.block_rows == 128 ? 256 : 24;
    quantized_weight q, k, v, all;
    // k's weights are far smaller than q's: with one scale of all they would be zeros.
    auto const wq = normal<float>(static_cast<std::size_t>(rows * 160), 11, 1),
               wk = normal<float>(static_cast<std::size_t>(rows * 160), 12, 1e-3), wv = normal<float>(5 * 160, 13, 0.1);
    ASSERT_TRUE(quantize_weight(q, dense(wq.data(), rows, 160), f).ok());
    ASSERT_TRUE(quantize_weight(k, dense(wk.data(), rows, 160), f).ok());
    ASSERT_TRUE(quantize_weight(v, dense(wv.data(), 5, 160), f).ok());
    ASSERT_TRUE(concat_rows(all, {&q, &k, &v}).ok());
    EXPECT_EQ(all.rows, 2 * rows + 5);
    EXPECT_EQ(all.format, f);
    expect_rows_of(all, {&q, &k, &v});
    ASSERT_TRUE(concat_rows(q, {&q, &k}).ok());  // into one of them
    EXPECT_EQ(q.rows, 2 * rows);
    EXPECT_TRUE(std::equal(q.codes.begin(), q.codes.end(), all.codes.begin()));
  }
}

TEST(concat_rows, factors_have_to_be_powers_of_two_apart) {
  auto a = test::random_int4(4, 64, 32, false, 1), b = test::random_int4(4, 64, 32, false, 2);
  a.factor = 0.375f, b.factor = 3.f;
  quantized_weight all;
  ASSERT_TRUE(concat_rows(all, {&a, &b}).ok());
  EXPECT_EQ(all.factor, 0.375f);
  expect_rows_of(all, {&a, &b});
  b.factor = 2.f;
  auto s   = concat_rows(all, {&a, &b});
  EXPECT_EQ(s.code, errc::unsupported);
  EXPECT_STREQ(s.subject, "factor");
  EXPECT_EQ(s.got, 1);
  b.factor    = 0x1.8p100f;
  b.scales[3] = 0x1p100f;  // no room for 2^202
  EXPECT_STREQ(concat_rows(all, {&a, &b}).subject, "factor");
  EXPECT_EQ(all.rows, 8);
}

TEST(concat_rows, refuses_parts_of_different_kinds) {
  auto const       a = test::random_int4(4, 64, 32, true, 1);
  auto             b = a;
  quantized_weight all;
  auto const       run = [&] {
    auto const s = concat_rows(all, {&a, &b});
    EXPECT_EQ(s.ok() ? 1 : s.got, 1);
    EXPECT_EQ(all.rows, 0);
    b = a;
    return std::string(s.subject);
  };
  b.format.group = 16;
  EXPECT_EQ(run(), "format");
  b.columns = 32;
  EXPECT_EQ(run(), "columns");
  test::shuffle_order(b, 3);
  EXPECT_EQ(run(), "order");
  b.input_scale = 0.5f;
  EXPECT_EQ(run(), "input_scale");
  b.codes.pop_back();
  EXPECT_EQ(run(), "codes");
  b.scales.pop_back();
  EXPECT_EQ(run(), "scales");
  b.zeros.pop_back();
  EXPECT_EQ(run(), "zeros");
  auto none              = a;
  none.format.block_rows = 0;
  auto s                 = concat_rows(all, {&none, &none});
  EXPECT_EQ(s.code, errc::out_of_range);
  EXPECT_STREQ(s.subject, "block_rows");
  auto tall = test::random_weight(130, 128, {weight_code::fp8, 128, 128}, 4, 0, 127), next = tall;
  s = concat_rows(all, {&tall, &next});
  EXPECT_STREQ(s.subject, "block_rows");
  EXPECT_EQ(s.got, 0);
  EXPECT_STREQ(concat_rows(all, std::span<quantized_weight const* const>{}).subject, "parts");
  EXPECT_TRUE(concat_rows(all, {&tall}).ok());
  test::expect_equal(all, tall);
}

// Columns that were reordered by one order for all, and static inputs with one scale.
TEST(concat_rows, keeps_what_all_parts_share) {
  auto a = test::random_int4(4, 64, 32, true, 1), b = test::random_int4(7, 64, 32, true, 2);
  test::shuffle_order(a, 5);
  b.order = a.order, a.input_scale = b.input_scale = 0.25f;
  quantized_weight all;
  ASSERT_TRUE(concat_rows(all, {&a, &b}).ok());
  EXPECT_EQ(all.order, a.order);
  EXPECT_EQ(all.input_scale, 0.25f);
  expect_rows_of(all, {&a, &b});
}

}  // namespace
