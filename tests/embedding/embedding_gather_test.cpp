#include <tenon/embedding/embedding_gather.hpp>
#include <tenon/embedding/embedding_gather_ref.hpp>

#include <gtest/gtest.h>

#include "../support/npy.hpp"
#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::errc, tenon::f16, tenon::index_t;

constexpr std::int32_t far_out = std::numeric_limits<std::int32_t>::max();

template <class T>
class embedding_gather : public testing::Test {};
using types = testing::Types<float, f16, bf16>;
TYPED_TEST_SUITE(embedding_gather, types);

// Ids repeat, come in any order and lie outside the table on both sides: those rows are zeros.
TYPED_TEST(embedding_gather, copies_rows_bit_for_bit) {
  using T                  = TypeParam;
  index_t const vocabulary = 11;
  for (index_t const hidden : {1, 7, 8, 33, 192, 1032}) {
    SCOPED_TRACE("hidden " + std::to_string(hidden));
    std::vector<std::int32_t> const chosen{3, 0, 10, 3, -1, 11, far_out, -far_out - 1, 9};
    auto const                      tokens = static_cast<index_t>(chosen.size());
    test::tensor<T, 2>              table(vocabulary, hidden);
    test::tensor<std::int32_t, 1>   ids(tokens);
    table.random(1), ids.assign(chosen);
    std::vector<T> expected(static_cast<std::size_t>(tokens * hidden));
    auto const     rows = table.values();
    tenon::ref::embedding_gather(test::over(expected, tokens, hidden), test::over(rows, vocabulary, hidden),
                                 test::over(chosen, tokens), tenon::identity{});
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<T, 2> y(tokens, hidden);
      ASSERT_TRUE(tenon::embedding_gather(where, y.view(), table.view(), ids.view()).ok());
      EXPECT_TRUE(test::same_bits(y.values(), expected));
    });
  }
}

// A bf16 table read as f32, scaled as gemma does; rows apart on both sides, ids with a stride.
struct scaled {
  float            factor;
  __device__ float operator()(float v, index_t, index_t) const { return factor * v; }
};
TEST(embedding_gather_layout, converts_and_takes_any_rows) {
  index_t const vocabulary = 6, hidden = 24, tokens = 4;
  for (index_t const apart : {32, 27}) {
    test::tensor<bf16, 2>         table(vocabulary, apart);
    test::tensor<std::int32_t, 1> ids(tokens * 2);
    table.random(1), ids.assign({5, -7, 0, -7, 2, -7, 2, -7});
    auto const rows = table.values();
    test::on_every_target([&](tenon::context const& where) {
      test::tensor<float, 2> y(tokens, apart);
      y.fill(7.0f);
      auto t      = table.view();
      auto i      = ids.view();
      auto o      = y.view();
      t.extent[1] = o.extent[1] = hidden, i.extent[0] = tokens, i.stride[0] = 2;
      ASSERT_TRUE(tenon::embedding_gather(where, o, t, i, scaled{3.0f}).ok());
      auto const         got      = y.values();
      std::int32_t const chosen[] = {5, 0, 2, 2};
      for (index_t n = 0; n < tokens; ++n)
        for (index_t h = 0; h < apart; ++h) {
          float const expected =
              h < hidden ? 3.0f * static_cast<float>(rows[static_cast<std::size_t>(chosen[n] * apart + h)]) : 7.0f;
          EXPECT_EQ(got[static_cast<std::size_t>(n * apart + h)], expected) << n << ' ' << h;
        }
    });
  }
}

TEST(embedding_gather_contract, names_what_is_wrong) {
  test::tensor<float, 2>        table(5, 8), y(3, 8), narrow(3, 7);
  test::tensor<std::int32_t, 1> ids(3), four(4);
  auto const                    is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << s.subject;
    EXPECT_STREQ(s.subject, subject);
    EXPECT_STREQ(s.primitive, "embedding_gather");
  };
  tenon::context const where;
  is(tenon::embedding_gather(where, y.view(), table.view(), four.view()), errc::shape_mismatch, "tokens");
  is(tenon::embedding_gather(where, narrow.view(), table.view(), ids.view()), errc::shape_mismatch, "hidden");
  auto sparse      = table.view();
  sparse.stride[1] = 2;
  is(tenon::embedding_gather(where, y.view(), sparse, ids.view()), errc::bad_stride, "table");
  auto gaps      = y.view();
  gaps.stride[1] = 2;
  is(tenon::embedding_gather(where, gaps, table.view(), ids.view()), errc::bad_stride, "y");
  auto crooked = table.view();
  crooked.data = reinterpret_cast<float*>(reinterpret_cast<char*>(crooked.data) + 2);
  is(tenon::embedding_gather(where, y.view(), crooked, ids.view()), errc::misaligned, "table");
  auto many      = y.view();
  auto much      = ids.view();
  many.extent[0] = much.extent[0] = index_t{1} << 31;
  is(tenon::embedding_gather(where, many, table.view(), much), errc::out_of_range, "tokens");

  test::tensor<float, 2>        none(0, 8), no_table(0, 8);
  test::tensor<std::int32_t, 1> no_ids(0);
  EXPECT_TRUE(tenon::embedding_gather(where, none.view(), table.view(), no_ids.view()).ok());
}

// Every id is outside an empty table.
TEST(embedding_gather_contract, an_empty_table_gives_zeros) {
  test::tensor<float, 2>        table(0, 8), y(2, 8);
  test::tensor<std::int32_t, 1> ids(2);
  ids.assign({0, 3});
  test::on_every_target([&](tenon::context const& where) {
    y.fill(7.0f);
    ASSERT_TRUE(tenon::embedding_gather(where, y.view(), table.view(), ids.view()).ok());
    EXPECT_EQ(y.values(), std::vector<float>(16, 0.0f));
  });
}

TEST(embedding_gather_policy, is_in_the_menu_of_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120})
    for (bool const vectorised : {false, true}) {
      auto const chosen = tenon::choose_embedding_gather_policy({arch}, vectorised);
      EXPECT_EQ(std::count(std::begin(tenon::embedding_gather_menu), std::end(tenon::embedding_gather_menu), chosen),
                1);
      EXPECT_EQ(chosen.on_host(), arch == 0);
    }
}

// vLLM's own result.
TEST(embedding_gather_vectors, agrees_with_vllm) {
  auto const vectors = test::kernel_vectors("embedding_bf16_32ids");
  if (!vectors) GTEST_SKIP() << test::no_shared_data;
  test::tensor<bf16, 2>         table(64, 32);
  test::tensor<std::int32_t, 1> ids(32);
  test::tensor<float, 2>        y(32, 32);
  table.assign(vectors->values<bf16>("table")), ids.assign(vectors->values<std::int32_t>("ids"));
  test::on_every_target([&](tenon::context const& where) {
    ASSERT_TRUE(tenon::embedding_gather(where, y.view(), table.view(), ids.view()).ok());
    EXPECT_EQ(y.values(), vectors->values<float>("out"));
  });
}

}  // namespace
