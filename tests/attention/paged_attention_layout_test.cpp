//  Strides, alignments, mixed types, policies, and what the contract refuses.
#include <tenon/attention/paged_attention.hpp>

#include <gtest/gtest.h>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "ragged_batch.hpp"

namespace {

using tenon::bf16, tenon::errc, tenon::index_t;
using test::batch_shape, test::ragged_batch, test::request;

batch_shape const small{.heads = 4, .kv_heads = 2, .head_dim = 16, .value_dim = 16, .page_size = 4};

// The same numbers as (pages, kv_heads, page_size, dim), q with gaps between heads, o and lse with gaps, and everything off
// by `skew` elements: what a call on dense views gives is expected, bit for bit where the policy is the same.
template <class T>
void expect_any_layout(index_t skew) {
  ragged_batch<T> batch(small, {{3, 37}, {1, 9}});
  index_t const   tokens = batch.tokens, pages = batch.pages;
  auto const      expected = batch.expect();
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<T, 1>     q(skew + tokens * 4 * 24), o(skew + tokens * 4 * 32);
    test::tensor<T, 1>     k(skew + pages * 4 * 2 * 16), v(skew + pages * 4 * 2 * 16);
    test::tensor<float, 1> lse(tokens * 11);
    std::vector<T>         qs(q.size(), T(std::nanf(""))), ks(k.size()), vs(v.size());
    for (index_t i = 0; i < tokens * 4; ++i)
      for (index_t d = 0; d < 16; ++d) qs[std::size_t(skew + i * 24 + d)] = batch.q_values[std::size_t(i * 16 + d)];
    for (index_t page = 0; page < pages; ++page)
      for (index_t place = 0; place < 4; ++place)
        for (index_t h = 0; h < 2; ++h)
          for (index_t d = 0; d < 16; ++d) {
            auto const from = std::size_t(((page * 4 + place) * 2 + h) * 16 + d);
            auto const to   = std::size_t(skew + ((page * 2 + h) * 4 + place) * 16 + d);
            ks[to] = batch.k_values[from], vs[to] = batch.v_values[from];
          }
    q.assign(qs), k.assign(ks), v.assign(vs), o.fill(T(7.f)), lse.fill(7.f);
    tenon::tensor_view<T, 3>     q_view{q.view().data + skew, {tokens, 4, 16}, {4 * 24, 24, 1}};
    tenon::tensor_view<T, 3>     o_view{o.view().data + skew, {tokens, 4, 16}, {4 * 32, 32, 1}};
    tenon::tensor_view<T, 4>     k_view{k.view().data + skew, {pages, 4, 2, 16}, {128, 16, 64, 1}};
    tenon::tensor_view<T, 4>     v_view{v.view().data + skew, {pages, 4, 2, 16}, {128, 16, 64, 1}};
    tenon::tensor_view<float, 2> lse_view{lse.view().data, {tokens, 4}, {11, 2}};
    ASSERT_TRUE(tenon::paged_attention(where, o_view, q_view, tenon::paged_kv{k_view, v_view},
                                       batch.block_table->view(), batch.query_start->view(), batch.kv_length->view(),
                                       {}, tenon::attention_variant<>{}, lse_view)
                    .ok());
    auto const     os = o.values();
    auto const     ls = lse.values();
    std::vector<T> rows;
    for (index_t i = 0; i < index_t(os.size()); ++i) {
      bool const inside = i >= skew && (i - skew) % 32 < 16;
      if (inside) rows.push_back(os[std::size_t(i)]);
      else ASSERT_EQ(float(os[std::size_t(i)]), 7.f) << "beside o, at " << i;
    }
    EXPECT_LE(test::relative_error(rows, expected.o), test::tolerance<T>());
    for (index_t t = 0; t < tokens; ++t)
      for (index_t e = 0; e < 11; ++e) {
        if (e % 2 == 0 && e < 8)
          EXPECT_NEAR(double(ls[std::size_t(t * 11 + e)]), expected.lse[std::size_t(t * 4 + e / 2)], 1e-5);
        else ASSERT_EQ(ls[std::size_t(t * 11 + e)], 7.f);
      }
  });
}

TEST(paged_attention_layout, has_any_strides) {
  expect_any_layout<float>(0);
  expect_any_layout<bf16>(0);
}

TEST(paged_attention_layout, need_not_be_aligned) {
  expect_any_layout<float>(1);
  expect_any_layout<bf16>(1);
}

TEST(paged_attention_types, may_differ_between_q_cache_and_o) {
  ragged_batch<bf16>  cache(small, {{3, 37}});
  std::vector<float>  q(cache.q_values.size()), o_expected(cache.q_values.size());
  std::vector<double> lse(3 * 4);
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = 0.3f * float(cache.q_values[i]);
  tenon::ref::paged_attention(test::over(o_expected, 3, 4, 16), test::over(lse, 3, 4), test::over(q, 3, 4, 16),
                              tenon::paged_kv{test::over(cache.k_values, cache.pages, 4, 2, 16),
                                              test::over(cache.v_values, cache.pages, 4, 2, 16)},
                              test::over(cache.table, 1, cache.max_pages), test::over(cache.starts, 2),
                              test::over(cache.lengths, 1), 0.25, tenon::attention_variant<>{});
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<float, 3> q_tensor(3, 4, 16), o(3, 4, 16);
    q_tensor.assign(q);
    ASSERT_TRUE(tenon::paged_attention(where, o.view(), q_tensor.view(), cache.cache(), cache.block_table->view(),
                                       cache.query_start->view(), cache.kv_length->view())
                    .ok());
    EXPECT_LE(test::relative_error(o.values(), o_expected), test::tolerance<float>());
  });
}

/// The arguments of one call, to be spoilt.
struct arguments {
  tenon::tensor_view<float, 3>        o, q;
  tenon::paged_kv<float>              kv;
  tenon::tensor_view<std::int32_t, 2> table;
  tenon::tensor_view<std::int32_t, 1> start, length;
  tenon::tensor_view<float, 2>        lse;
  tenon::paged_attention_options      options;
};

template <class Change>
void expect_refusal(errc code, char const* subject, batch_shape const& shape, Change const& change) {
  ragged_batch<float>    batch(shape, {{1, 4}});
  test::tensor<float, 3> o(1, shape.heads, shape.value_dim);
  o.fill(7.f);
  arguments a{o.view(),
              batch.q->view(),
              batch.cache(),
              batch.block_table->view(),
              batch.query_start->view(),
              batch.kv_length->view(),
              {},
              {}};
  change(a);
  auto const s = tenon::paged_attention(tenon::context{}, a.o, a.q, a.kv, a.table, a.start, a.length, a.options,
                                        tenon::attention_variant<>{}, a.lse);
  EXPECT_EQ(s.code, code) << subject;
  EXPECT_STREQ(s.subject, subject);
  EXPECT_STREQ(s.primitive, "paged_attention");
  for (float const v : o.values()) ASSERT_EQ(v, 7.f);
}

TEST(paged_attention_contract, names_the_extent_at_fault) {
  auto const none  = [](arguments&) {};
  auto       shape = small;
  shape.head_dim   = 20;
  expect_refusal(errc::unsupported, "head_dim", shape, none);
  shape.head_dim = 264;
  expect_refusal(errc::unsupported, "head_dim", shape, none);
  shape = small, shape.value_dim = 4;
  expect_refusal(errc::unsupported, "value_dim", shape, none);
  shape = small, shape.heads = 5;
  expect_refusal(errc::shape_mismatch, "heads", shape, none);
}

TEST(paged_attention_contract, names_the_argument_at_fault) {
  expect_refusal(errc::shape_mismatch, "tokens", small, [](arguments& a) { a.o.extent[0] = 2; });
  expect_refusal(errc::shape_mismatch, "head_dim", small, [](arguments& a) { a.q.extent[2] = 8; });
  expect_refusal(errc::shape_mismatch, "kv_heads", small, [](arguments& a) { a.kv.v.extent[2] = 1; });
  expect_refusal(errc::shape_mismatch, "page_size", small, [](arguments& a) { a.kv.v.extent[1] = 3; });
  expect_refusal(errc::shape_mismatch, "requests", small, [](arguments& a) { a.start.extent[0] = 1; });
  expect_refusal(errc::shape_mismatch, "requests", small, [](arguments& a) { a.table.extent[0] = 2; });
  expect_refusal(errc::shape_mismatch, "heads", small, [](arguments& a) { a.lse = {a.o.data, {1, 3}, {3, 1}}; });
  expect_refusal(errc::bad_stride, "q", small, [](arguments& a) { a.q.stride[2] = 2; });
  expect_refusal(errc::bad_stride, "kv.v", small, [](arguments& a) { a.kv.v.stride[3] = 2; });
  expect_refusal(errc::misaligned, "q", small,
                 [](arguments& a) { a.q.data = reinterpret_cast<float*>(reinterpret_cast<char*>(a.q.data) + 1); });
  expect_refusal(errc::out_of_range, "page_size", small, [](arguments& a) { a.kv.k.extent[1] = a.kv.v.extent[1] = 0; });
  expect_refusal(errc::out_of_range, "scale", small, [](arguments& a) { a.options.scale = -1; });
}

// Every choice is in the menu, and every policy of the menu can be launched where it is chosen.
TEST(paged_attention_policy, is_legal_on_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120})
    for (index_t const dim : {8, 16, 64, 72, 80, 128, 136, 256})
      for (index_t const group : {1, 8, 17})
        for (index_t const queries : {0, 1, 3})
          for (int const bits : {0, 1, 2, 3, 4, 7})
            for (int const element : {16, 8, 4}) {
              auto const policy = tenon::choose_paged_attention_policy(
                  {tenon::policy_architecture(arch)},
                  {dim, dim, group, queries, (bits & 1) != 0, (bits & 2) != 0, element, element, (bits & 4) != 0});
              bool listed = false;
              for (auto const& p : tenon::paged_attention_menu) listed = listed || p == policy;
              EXPECT_TRUE(listed) << "arch " << arch << " dim " << dim;
              EXPECT_GE(policy.dim, dim);
            }
}

template <class Policy, class E>
constexpr std::size_t matrix_bytes = tenon::kernel::paged_attention_mma_bytes<
    Policy, bf16, E, E, tenon::paged_attention_params<bf16, bf16, E, E, tenon::causal, tenon::scaled_logits>>;

template <auto const& Menu, int Index>
std::size_t shared_bytes() {
  using policy = tenon::menu_entry<Menu, Index>;
  if constexpr (policy::value.unit == tenon::attention_unit::thread) {
    return sizeof(tenon::kernel::paged_attention_thread_storage<policy, float, float>);
  } else if constexpr (policy::value.unit == tenon::attention_unit::vector) {
    return sizeof(tenon::kernel::paged_attention_vector_storage<policy>);
  } else {
    constexpr auto value = policy::value;
    std::size_t    most  = 0;
    auto const     add   = [&]<class E>(E) {
      constexpr int bits = tenon::kernel::kv_bits<E>;
      if constexpr (policy::value.suits(bits, bits)) {
        most = std::max(most, matrix_bytes<policy, E>);
        EXPECT_LE((matrix_bytes<policy, E>), static_cast<std::size_t>(value.ring_bytes(bits, bits)) + 6144) << bits;
      }
    };
    add(bf16{}), add(tenon::kv_int8{}), add(tenon::kv_int4{});
    return most;
  }
}

template <int... Index>
void expect_fit(std::integer_sequence<int, Index...>) {
  std::size_t const bytes[] = {shared_bytes<tenon::paged_attention_menu, Index>()...};
  for (std::size_t i = 0; i < sizeof...(Index); ++i) {
    tenon::architecture const smallest{tenon::paged_attention_menu[i].on_host() ? 0 : 89};
    EXPECT_LE(bytes[i], smallest.shared_bytes()) << "policy " << i;
  }
}

TEST(paged_attention_policy, fits_the_smallest_shared_memory) {
  expect_fit(std::make_integer_sequence<int, int(std::size(tenon::paged_attention_menu))>{});
}

}  // namespace
