//  Gated attention of a whole layer as another program computed it (vLLM, see the vectors' manifests): q and k normalised
//  per head and rotated, causal grouped attention, a sigmoid gate. All but the attention is plain C++ here.
#include <tenon/attention/paged_attention.hpp>
#include <tenon/kv/kv_append.hpp>

#include <gtest/gtest.h>

#include <cmath>

#include "../support/npy.hpp"
#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::index_t;

struct layer {
  char const* folder;
  int         tokens, heads, kv_heads, head_dim, rotary_dim;
  double      eps, base;
};
constexpr layer layers[] = {{"dense_attention_f32_small", 6, 4, 2, 8, 4, 1e-6, 1e4},
                            {"dense_attention_f32_realdims", 9, 4, 2, 256, 64, 1e-6, 1e7}};

/// x (tokens, heads, head_dim): x / rms(x) * (1 + weight), then the first rotary_dim elements turned, half against half.
std::vector<float> normalise_and_rotate(layer const& l, std::vector<float> x, std::vector<float> const& weight,
                                        std::vector<index_t> const& positions) {
  std::size_t const dim = std::size_t(l.head_dim), half = std::size_t(l.rotary_dim / 2);
  std::size_t const heads = x.size() / dim / positions.size();
  for (std::size_t row = 0; row < x.size() / dim; ++row) {
    float* const v       = &x[row * dim];
    double       squares = 0;
    for (std::size_t d = 0; d < dim; ++d) squares += double(v[d]) * double(v[d]);
    double const scale = 1 / std::sqrt(squares / double(dim) + l.eps);
    for (std::size_t d = 0; d < dim; ++d) v[d] = float(double(v[d]) * scale * (1 + double(weight[d])));
    for (std::size_t d = 0; d < half; ++d) {
      double const angle = double(positions[row / heads]) * std::pow(l.base, -double(2 * d) / double(l.rotary_dim));
      double const a = double(v[d]), b = double(v[d + half]);
      v[d]        = float(a * std::cos(angle) - b * std::sin(angle));
      v[d + half] = float(b * std::cos(angle) + a * std::sin(angle));
    }
  }
  return x;
}

TEST(dense_attention_vectors, agree) {
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  for (auto const& l : layers) {
    SCOPED_TRACE(l.folder);
    auto const vectors   = *test::kernel_vectors(l.folder);
    auto const positions = vectors.values<index_t>("positions");
    auto const gate      = vectors.values<float>("gate");
    auto const attention = vectors.values<float>("attn");
    auto const q_values =
        normalise_and_rotate(l, vectors.values<float>("q"), vectors.values<float>("q_norm_weight"), positions);
    auto const k_values =
        normalise_and_rotate(l, vectors.values<float>("k"), vectors.values<float>("k_norm_weight"), positions);
    int const page_size = 4, pages = tenon::ceil_div(l.tokens, page_size);

    test::on_every_target([&](tenon::context const& where) {
      test::tensor<float, 3>        q(l.tokens, l.heads, l.head_dim), o(l.tokens, l.heads, l.head_dim);
      test::tensor<float, 3>        k(l.tokens, l.kv_heads, l.head_dim), v(l.tokens, l.kv_heads, l.head_dim);
      test::tensor<float, 4>        cache_k(pages, page_size, l.kv_heads, l.head_dim);
      test::tensor<float, 4>        cache_v(pages, page_size, l.kv_heads, l.head_dim);
      test::tensor<std::int64_t, 1> slots(l.tokens);
      test::tensor<std::int32_t, 2> table(1, pages);
      test::tensor<std::int32_t, 1> start(2), length(1);
      std::vector<std::int64_t>     at;
      std::vector<std::int32_t>     order;
      for (int page = 0; page < pages; ++page) order.push_back(pages - 1 - page);
      for (int t = 0; t < l.tokens; ++t) at.push_back(order[std::size_t(t / page_size)] * page_size + t % page_size);
      q.assign(q_values), k.assign(k_values), v.assign(vectors.values<float>("v"));
      slots.assign(at), table.assign(order), start.assign({0, l.tokens}), length.assign({l.tokens});

      tenon::paged_kv const cache{cache_k.view(), cache_v.view()};
      ASSERT_TRUE(tenon::kv_append(where, cache, k.view(), v.view(), slots.view()).ok());
      ASSERT_TRUE(
          tenon::paged_attention(where, o.view(), q.view(), cache, table.view(), start.view(), length.view()).ok());
      auto const got = o.values();
      EXPECT_LE(test::excess(got, attention, 2e-4, 2e-4), 0);
      std::vector<float> gated;
      for (std::size_t i = 0; i < got.size(); ++i)
        gated.push_back(float(double(got[i]) / (1 + std::exp(-double(gate[i])))));
      EXPECT_LE(test::excess(gated, vectors.values<float>("out"), 2e-4, 2e-4), 0);
    });
  }
}

}  // namespace
