#include <tenon/attention/paged_attention.hpp>

#include <gtest/gtest.h>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "ragged_batch.hpp"

namespace {

using tenon::bf16, tenon::f16;
using test::batch_shape, test::ragged_batch, test::request;

struct batch {
  batch_shape          shape;
  std::vector<request> requests;
};

// Every head_dim of the lists once, some between them; page sizes 1, 3, 16, 64; groups 1, 3, 5, 7, 8, 16; prefill, decode
// and chunks; keys around the tiles of 32 and 64.
batch const batches[] = {
    {{.heads = 1, .kv_heads = 1, .head_dim = 8, .value_dim = 8, .page_size = 1}, {{1, 1}, {3, 5}}},
    {{.heads = 8, .kv_heads = 4, .head_dim = 8, .value_dim = 8}, {{1, 33}, {7, 7}}},
    {{.heads = 3, .kv_heads = 1, .head_dim = 16, .value_dim = 16, .page_size = 3}, {{1, 64}, {2, 65}, {1, 1}}},
    {{.heads = 5, .kv_heads = 1, .head_dim = 24, .value_dim = 40, .page_size = 64}, {{4, 63}, {1, 130}}},
    {{.heads = 7, .kv_heads = 1, .head_dim = 32, .value_dim = 32}, {{1, 31}, {5, 32}}},
    {{.heads = 8, .kv_heads = 1, .head_dim = 64, .value_dim = 64}, {{17, 70}, {1, 40}}},
    {{.heads = 16, .kv_heads = 1, .head_dim = 80, .value_dim = 80, .page_size = 3}, {{1, 20}, {3, 3}}},
    {{.heads = 4, .kv_heads = 2, .head_dim = 96, .value_dim = 64}, {{2, 35}}},
    {{.heads = 2, .kv_heads = 2, .head_dim = 128, .value_dim = 128, .page_size = 64}, {{1, 129}, {33, 66}}},
    {{.heads = 2, .kv_heads = 1, .head_dim = 192, .value_dim = 128}, {{3, 34}}},
    {{.heads = 4, .kv_heads = 1, .head_dim = 256, .value_dim = 256}, {{1, 33}, {2, 65}}},
};

template <class T>
class paged_attention : public testing::Test {};
using types = testing::Types<float, f16, bf16>;
TYPED_TEST_SUITE(paged_attention, types);

TYPED_TEST(paged_attention, agrees_with_the_reference) {
  using T = TypeParam;
  for (auto const& b : batches) {
    SCOPED_TRACE("head_dim " + std::to_string(b.shape.head_dim) + ", heads " + std::to_string(b.shape.heads));
    ragged_batch<T> batch(b.shape, b.requests);
    auto const      expected = batch.expect();
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<T, 3>     o(batch.tokens, b.shape.heads, b.shape.value_dim);
      test::tensor<float, 2> lse(batch.tokens, b.shape.heads);
      ASSERT_TRUE(batch.run(where, o, {}, tenon::attention_variant<>{}, &lse).ok());
      EXPECT_LE(test::relative_error(o.values(), expected.o), test::tolerance<T>());
      auto const logs = lse.values();
      for (std::size_t i = 0; i < logs.size(); ++i) ASSERT_NEAR(double(logs[i]), expected.lse[i], 1e-5) << "row " << i;
    });
  }
}

// A row of the decoding kernel and one of the prefilling kernel are the same row.
TYPED_TEST(paged_attention, hints_do_not_change_a_bit) {
  using T = TypeParam;
  for (auto const& b : {batches[5], batches[8], batches[10]}) {
    auto requests = b.requests;
    for (auto& r : requests) r.queries = 1;
    ragged_batch<T> batch(b.shape, requests);
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<T, 3> plain(batch.tokens, b.shape.heads, b.shape.value_dim),
          hinted(batch.tokens, b.shape.heads, b.shape.value_dim);
      ASSERT_TRUE(batch.run(where, plain).ok());
      ASSERT_TRUE(batch.run(where, hinted, {.max_query_length = 1, .max_kv_length = 130}).ok());
      EXPECT_TRUE(test::same_bits(plain.values(), hinted.values()));
    });
  }
}

// Rows' weights rounded to T, everything else exact: what no kernel on T's matrix units can beat by much.
template <class T>
std::vector<float> ideal(ragged_batch<T>& batch) {
  auto const         s = batch.shape;
  std::vector<float> o;
  for (std::size_t r = 0; r < batch.requests.size(); ++r)
    for (int i = 0; i < batch.requests[r].queries; ++i)
      for (int h = 0; h < s.heads; ++h) {
        int const row  = static_cast<int>(o.size()) / s.value_dim;
        int const keys = batch.requests[r].keys - batch.requests[r].queries + i + 1, kv_head = h * s.kv_heads / s.heads;
        std::vector<double> logit;
        for (int k = 0; k < keys; ++k) {
          double dot = 0;
          for (int d = 0; d < s.head_dim; ++d)
            dot += double(float(batch.q_values[static_cast<std::size_t>(row * s.head_dim + d)])) *
                   double(float(batch.key(static_cast<int>(r), k, kv_head)[d]));
          logit.push_back(dot / std::sqrt(double(s.head_dim)));
        }
        double const        most = *std::max_element(logit.begin(), logit.end());
        double              sum  = 0;
        std::vector<double> value(static_cast<std::size_t>(s.value_dim), 0);
        for (int k = 0; k < keys; ++k) {
          double const p = std::exp(logit[static_cast<std::size_t>(k)] - most);
          sum += p;
          for (int d = 0; d < s.value_dim; ++d)
            value[static_cast<std::size_t>(d)] +=
                double(float(T(float(p)))) * double(float(batch.value(static_cast<int>(r), k, kv_head)[d]));
        }
        for (double v : value) o.push_back(float(T(float(v / sum))));
      }
  return o;
}

TYPED_TEST(paged_attention, errs_no_more_than_an_ideal_kernel) {
  using T = TypeParam;
  if constexpr (sizeof(T) == 2) {
    for (float const deviation : {0.2f, 1.f, 8.f}) {  // nearly uniform weights, ordinary ones, logits up to +-30
      SCOPED_TRACE("deviation " + std::to_string(deviation));
      ragged_batch<T> batch({.heads = 4, .kv_heads = 2, .head_dim = 64, .value_dim = 64, .deviation = deviation},
                            {{7, 150}});
      auto const      exact = batch.expect();
      double const    bound = 1.5 * test::relative_error(ideal(batch), exact.o);
      test::on_every_target([&](tenon::context where) {
        for (bool const by_keys : {false, true}) {  // 14 rows: few enough for warps that share out the keys
          where.batch_invariant = !by_keys;
          test::tensor<T, 3> o(batch.tokens, 4, 64);
          ASSERT_TRUE(batch.run(where, o, {.max_query_length = 7}).ok());
          EXPECT_LE(test::relative_error(o.values(), exact.o), bound) << by_keys;
        }
      });
    }
  }
}

}  // namespace
