#include <tenon/quant/permute_columns.hpp>
#include <tenon/quant/permute_columns_ref.hpp>

#include <gtest/gtest.h>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::errc, tenon::f16, tenon::index_t;

template <class T>
class permute_columns : public testing::Test {};
using types = testing::Types<float, f16, bf16>;
TYPED_TEST_SUITE(permute_columns, types);

// Orders repeat and lie outside on both sides: those columns are zeros. Rows are apart, columns too; the gaps stay.
TYPED_TEST(permute_columns, copies_columns_bit_for_bit) {
  using T                 = TypeParam;
  constexpr index_t apart = 3, columns = 19;
  for (index_t const m : {0, 1, 5}) {
    for (index_t const k : {0, 1, 33, 300}) {
      SCOPED_TRACE(std::to_string(m) + " x " + std::to_string(k));
      std::vector<std::int32_t> order;
      for (index_t j = 0; j < k; ++j) order.push_back(static_cast<std::int32_t>(j * 7 % 23 - 2));
      test::tensor<T, 2>            x(m, columns * 2);
      test::tensor<std::int32_t, 1> indices(k);
      x.random(3), indices.assign(order);
      auto const values = x.values();
      auto const narrow = [&](auto v) { return v.extent[1] = columns, v.stride[1] = 2, v; };
      auto const rows   = narrow(test::over(values, m, columns * 2));
      test::on_every_target([&](tenon::context const& where) {
        test::tensor<T, 2> y(m, k + apart);
        y.fill(T(7.0f));
        auto view      = y.view();
        view.extent[1] = k;
        ASSERT_TRUE(tenon::permute_columns(where, view, narrow(x.view()), indices.view()).ok());
        std::vector<T> expected(static_cast<std::size_t>(m * (k + apart)), T(7.0f));
        auto           want = test::over(expected, m, k + apart);
        want.extent[1]      = k;
        tenon::ref::permute_columns(want, rows, test::over(order, k));
        EXPECT_TRUE(test::same_bits(y.values(), expected));
      });
    }
  }
}

TEST(permute_columns_contract, names_what_is_wrong) {
  test::tensor<float, 2>        x(3, 8), y(3, 5), other(2, 5);
  test::tensor<std::int32_t, 1> order(5), four(4);
  auto const                    is = [](tenon::status const& s, errc code, char const* subject) {
    EXPECT_EQ(s.code, code) << s.subject;
    EXPECT_STREQ(s.subject, subject);
  };
  test::on_every_target([&](tenon::context const& where) {
    is(tenon::permute_columns(where, y.view(), x.view(), four.view()), errc::shape_mismatch, "k");
    is(tenon::permute_columns(where, other.view(), x.view(), order.view()), errc::shape_mismatch, "m");
    auto odd = x.view();
    odd.data = reinterpret_cast<float*>(reinterpret_cast<char*>(odd.data) + 1);
    is(tenon::permute_columns(where, y.view(), odd, order.view()), errc::misaligned, "x");
  });
}

}  // namespace
