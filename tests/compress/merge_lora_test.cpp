#include <compress/naive_layers.hpp>
#include <tenon/compress/merge_lora.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace {

using tenon::bf16, tenon::dense, tenon::errc, tenon::f16, tenon::index_t, tenon::merge_lora;
using test::as, test::linear, test::normal, test::worst;

constexpr std::size_t out = 29, in = 53, tokens = 4;

/// x w' + scale (x a') b', in double: what the adapter computes when it is not merged.
template <class T>
std::vector<double> unmerged(std::vector<T> const& x, std::vector<T> const& w, std::vector<T> const& a,
                             std::vector<T> const& b, std::size_t rank, double scale) {
  auto       y   = linear(as<double>(x), as<double>(w), {}, in);
  auto const low = linear(as<double>(x), as<double>(a), {}, in);
  auto const add = linear(low, as<double>(b), {}, rank);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] += scale * add[i];
  return y;
}

template <class T>
class merge_lora_of : public testing::Test {};
using both = testing::Types<float, double>;
TYPED_TEST_SUITE(merge_lora_of, both);

TYPED_TEST(merge_lora_of, equals_the_adapter_beside_the_weight) {
  using T = TypeParam;
  for (std::size_t const rank : {1, 4, 7, 64})
    for (bool const rank_stabilised : {false, true})
      for (double const alpha : {16., 1., -0.3, 0.}) {
        auto const w = normal<T>(out * in, 1, 0.2), a = normal<T>(rank * in, 2, 0.1), b = normal<T>(out * rank, 3, 0.1),
                   x     = normal<T>(tokens * in, 4);
        double const   r = static_cast<double>(rank), scale = rank_stabilised ? alpha / std::sqrt(r) : alpha / r;
        std::vector<T> merged(w.size());
        ASSERT_TRUE(merge_lora(dense(merged.data(), out, in), dense(w.data(), out, in), dense(a.data(), rank, in),
                               dense(b.data(), out, rank), {.alpha = alpha, .rank_stabilised = rank_stabilised})
                        .ok());
        // The merged weight in a forward pass in double: what is left is the rounding of the weight.
        EXPECT_LE(worst(linear(as<double>(x), as<double>(merged), {}, in), unmerged(x, w, a, b, rank, scale)),
                  sizeof(T) == 4 ? 1e-6 : 1e-14)
            << "rank " << rank << ", alpha " << alpha;
        if (alpha == 0) {
          EXPECT_EQ(merged, w);
        }
        // In place, and stored the other way round.
        auto place = w;
        ASSERT_TRUE(merge_lora(dense(place.data(), out, in), dense(place.data(), out, in), dense(a.data(), rank, in),
                               dense(b.data(), out, rank), {.alpha = alpha, .rank_stabilised = rank_stabilised})
                        .ok());
        EXPECT_EQ(place, merged);
        std::vector<T> turned(w.size());
        for (std::size_t i = 0; i < out; ++i)
          for (std::size_t j = 0; j < in; ++j) turned[j * out + i] = w[i * in + j];
        ASSERT_TRUE(merge_lora(dense(turned.data(), in, out), dense(turned.data(), in, out), dense(a.data(), rank, in),
                               dense(b.data(), out, rank),
                               {.alpha = alpha, .rank_stabilised = rank_stabilised, .fan_in_fan_out = true})
                        .ok());
        for (std::size_t i = 0; i < out; ++i)
          for (std::size_t j = 0; j < in; ++j) ASSERT_EQ(turned[j * out + i], merged[i * in + j]);
      }
}

// DoRA: the layer's rows have the lengths that were trained, and the directions of the sum.
TYPED_TEST(merge_lora_of, magnitudes_are_the_lengths_of_rows) {
  using T                = TypeParam;
  std::size_t const rank = 4;
  auto const w = normal<T>(out * in, 21, 0.2), a = normal<T>(rank * in, 22, 0.1), b = normal<T>(out * rank, 23, 0.1),
             x    = normal<T>(tokens * in, 24);
  auto       m    = normal<float>(out, 25);
  auto const sum  = unmerged(x, w, a, b, rank, 2);
  auto       want = sum;
  for (std::size_t i = 0; i < out; ++i) {
    double squares = 0;
    for (std::size_t j = 0; j < in; ++j) {
      double v = 0;
      for (std::size_t k = 0; k < rank; ++k)
        v += static_cast<double>(b[i * rank + k]) * static_cast<double>(a[k * in + j]);
      v = static_cast<double>(w[i * in + j]) + 2 * v;
      squares += v * v;
    }
    for (std::size_t t = 0; t < tokens; ++t) want[t * out + i] *= static_cast<double>(m[i]) / std::sqrt(squares);
  }
  auto const     magnitude = dense<float const>(m.data(), out);
  std::vector<T> merged(w.size()), turned(w.size());
  ASSERT_TRUE(merge_lora(dense(merged.data(), out, in), dense(w.data(), out, in), dense(a.data(), rank, in),
                         dense(b.data(), out, rank), {.alpha = 8, .magnitude = magnitude})
                  .ok());
  EXPECT_LE(worst(linear(as<double>(x), as<double>(merged), {}, in), want), sizeof(T) == 4 ? 1e-6 : 1e-14);
  // Lengths are those of outputs, in whatever order the weight is stored.
  for (std::size_t i = 0; i < out; ++i)
    for (std::size_t j = 0; j < in; ++j) turned[j * out + i] = w[i * in + j];
  ASSERT_TRUE(merge_lora(dense(turned.data(), in, out), dense(turned.data(), in, out), dense(a.data(), rank, in),
                         dense(b.data(), out, rank), {.alpha = 8, .fan_in_fan_out = true, .magnitude = magnitude})
                  .ok());
  for (std::size_t i = 0; i < out; ++i)
    for (std::size_t j = 0; j < in; ++j) ASSERT_EQ(turned[j * out + i], merged[i * in + j]);
}

TEST(merge_lora, a_row_without_length_has_no_direction) {
  float const w[] = {3, 4, 0, 0}, a[] = {0, 0}, b[] = {1, 1}, m[] = {10, 2, 1};
  float       to[] = {42, 42, 42, 42};
  auto        s    = merge_lora(dense(to, 2, 2), dense(w, 2, 2), dense(a, 1, 2), dense(b, 2, 1),
                                {.alpha = 1, .magnitude = dense(m, 2)});
  EXPECT_STREQ(s.subject, "magnitude");
  EXPECT_EQ(s.got, 1);
  EXPECT_EQ(to[0], 42.f);
  s = merge_lora(dense(to, 2, 2), dense(w, 2, 2), dense(a, 1, 2), dense(b, 2, 1),
                 {.alpha = 1, .magnitude = dense(m, 3)});
  EXPECT_EQ(s.code, errc::shape_mismatch);
  ASSERT_TRUE(merge_lora(dense(to, 1, 2), dense(w, 1, 2), dense(a, 1, 2), dense(b, 1, 1),
                         {.alpha = 1, .magnitude = dense(m, 1)})
                  .ok());
  EXPECT_EQ(to[0], 6.f);
  EXPECT_EQ(to[1], 8.f);
  double const large[] = {1e200, 1e200};  // whose squares are not finite
  double       far[2];
  s = merge_lora(dense(far, 1, 2), dense(large, 1, 2), dense(a, 1, 2), dense(b, 1, 1),
                 {.alpha = 1, .magnitude = dense(m, 1)});
  EXPECT_STREQ(s.subject, "magnitude");
}

// Where the sum rounds to the nearest number of the storage, no other is nearer.
TEST(merge_lora, sixteen_bits_are_rounded_once) {
  auto const        w = normal<bf16>(64 * 32, 11, 0.2);
  auto const        a = normal<float>(8 * 32, 12, 0.1), b = normal<float>(64 * 8, 13, 0.1);
  std::vector<bf16> merged(w.size());
  ASSERT_TRUE(merge_lora(dense(merged.data(), 64, 32), dense(w.data(), 64, 32), dense(a.data(), 8, 32),
                         dense(b.data(), 64, 8), {.alpha = 16})
                  .ok());
  for (std::size_t i = 0; i < 64; ++i)
    for (std::size_t j = 0; j < 32; ++j) {
      double want = 0;
      for (std::size_t k = 0; k < 8; ++k)
        want += static_cast<double>(b[i * 8 + k]) * static_cast<double>(a[k * 32 + j]);
      want            = static_cast<double>(static_cast<float>(w[i * 32 + j])) + 2 * want;
      auto const bits = merged[i * 32 + j].bits;
      auto const off  = [&](std::uint16_t of) {
        return std::abs(static_cast<double>(static_cast<float>(bf16::from_bits(of))) - want);
      };
      EXPECT_LE(off(bits), off(static_cast<std::uint16_t>(bits + 1)));
      EXPECT_LE(off(bits), off(static_cast<std::uint16_t>(bits - 1)));
    }
}

// Integers and powers of two: no rounding anywhere, so every bit is known.
TEST(merge_lora, small_case_by_hand) {
  float const w[] = {1, 2, 3, 4, 5, 6}, a[] = {1, 0, -1, 2, 1, 0}, b[] = {1, 2, -1, 4};
  float       merged[6];
  ASSERT_TRUE(merge_lora(dense(merged, 2, 3), dense(w, 2, 3), dense(a, 2, 3), dense(b, 2, 2), {.alpha = 4}).ok());
  float const want[] = {1 + 2 * 5, 2 + 2 * 2, 3 - 2 * 1, 4 + 2 * 7, 5 + 2 * 4, 6 + 2 * 1};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(merged[i], want[i]) << i;
}

TEST(merge_lora, names_what_does_not_fit) {
  std::vector<float> w(12, 1.f), to(12, 42.f), a(100), b(100);
  auto const         run = [&](index_t rank_a, index_t ins, index_t outs, index_t rank_b, tenon::merge_lora_options o) {
    auto const s = merge_lora(dense(to.data(), 3, 4), dense(w.data(), 3, 4), dense(a.data(), rank_a, ins),
                                      dense(b.data(), outs, rank_b), o);
    EXPECT_EQ(std::count(to.begin(), to.end(), 42.f), 12);
    return std::string(s.subject) + " " + std::to_string(s.got) + " " + std::to_string(s.want);
  };
  EXPECT_EQ(run(2, 5, 3, 2, {.alpha = 1}), "in 5 4");
  EXPECT_EQ(run(2, 4, 4, 2, {.alpha = 1}), "out 4 3");
  EXPECT_EQ(run(2, 4, 3, 3, {.alpha = 1}), "rank 3 2");
  EXPECT_EQ(run(0, 4, 3, 0, {.alpha = 1}), "rank 0 1");
  EXPECT_EQ(run(2, 4, 3, 2, {}), "alpha 0 0");
  EXPECT_EQ(run(2, 4, 3, 2, {.alpha = 1, .fan_in_fan_out = true}), "in 4 3");  // w is (3, 4): 4 outputs of 3 inputs
  EXPECT_EQ(merge_lora(dense(to.data(), 4, 3), dense(w.data(), 3, 4), dense(a.data(), 2, 4), dense(b.data(), 3, 2),
                       {.alpha = 1})
                .code,
            errc::shape_mismatch);
  w[6] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(run(2, 4, 3, 2, {.alpha = 1}), "w 1 2");
}

TEST(merge_lora, refuses_an_overflow) {
  f16 const   w[] = {f16(1.f), f16(65000.f)};
  float const a[] = {0.f, 1.f}, b[] = {1000.f};
  f16         to[] = {f16(2.f), f16(2.f)};
  auto const  s    = merge_lora(dense(to, 1, 2), dense(w, 1, 2), dense(a, 1, 2), dense(b, 1, 1), {.alpha = 1});
  EXPECT_EQ(s.code, errc::out_of_range);
  EXPECT_EQ(s.want, 1);
  EXPECT_EQ(static_cast<float>(to[0]), 2.f);
}

TEST(merge_lora, takes_empty_weights) {
  float none[1] = {};
  EXPECT_TRUE(
      merge_lora(dense(none, 0, 4), dense(none, 0, 4), dense(none, 0, 4), dense(none, 0, 0), {.alpha = 1}).code ==
      errc::out_of_range);
  float const a[8] = {};
  EXPECT_TRUE(merge_lora(dense(none, 0, 4), dense(none, 0, 4), dense(a, 2, 4), dense(none, 0, 2), {.alpha = 1}).ok());
  EXPECT_TRUE(merge_lora(dense(none, 4, 0), dense(none, 4, 0), dense(none, 2, 0), dense(a, 4, 2), {.alpha = 1}).ok());
}

}  // namespace
