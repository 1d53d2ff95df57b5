#include <tenon/quant/dequantize.hpp>
#include <tenon/quant/dequantize_ref.hpp>
#include <tenon/quant/pack_weight.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#include "random_weight.hpp"

namespace {

using tenon::bf16, tenon::e4m3, tenon::errc, tenon::f16, tenon::index_t, tenon::pack_order, tenon::packed_layout,
    tenon::weight_code, tenon::weight_format;

/// Every code there is, signs included, but the NaN of fp8.
tenon::quantized_weight some_weight(weight_format const& format, index_t rows, index_t columns) {
  bool const fp8 = format.code == weight_code::fp8;
  auto       w   = test::random_weight(rows, columns, format, 3, 0, fp8 ? 127 : 1 << tenon::bits_of(format.code));
  for (std::size_t i = 0; fp8 && i < w.codes.size(); i += 3) w.codes[i] |= 0x80;
  w.factor = 0.25f;
  return w;
}

/// The packed form in the operator's memory.
struct packed_copy {
  packed_layout              layout;
  test::tensor<std::byte, 1> bytes;

  packed_copy(tenon::quantized_weight const& w, pack_order order)
      : bytes(tenon::packed_layout_of(w.format, w.rows, w.columns, order).bytes()) {
    tenon::packed_matrix packed;
    test::expect_ok(tenon::pack_weight(packed, w, order));
    layout = packed.layout;
    bytes.assign(packed.bytes);
  }
};

/// Packed for inputs of A.
template <class W, class A>
void agrees(weight_format const& format, index_t rows, index_t columns, index_t pitch, index_t stride = 1) {
  SCOPED_TRACE(to_string(format) + ", " + std::to_string(rows) + " x " + std::to_string(columns));
  auto const     w = some_weight(format, rows, columns);
  packed_copy    b(w, tenon::pack_order_for<A>);
  std::vector<W> want(static_cast<std::size_t>(rows * pitch), W(7.f));
  tenon::ref::dequantize(tenon::tensor_view<W, 2>{want.data(), {rows, columns}, {pitch, stride}}, w);
  test::on_every_target([&](tenon::context const& where) {
    test::tensor<W, 2> to(rows, pitch);
    to.fill(W(7.f));
    tenon::tensor_view<W, 2> const view{to.view().data, {rows, columns}, {pitch, stride}};
    test::expect_ok(tenon::visit_packed<A>(b.layout, b.bytes.view().data,
                                           [&](auto const& weight) { return tenon::dequantize(where, view, weight); }));
    EXPECT_TRUE(test::same_bits(to.values(), want)) << "acting as " << where.arch;
  });
}

constexpr weight_format formats[] = {
    {weight_code::int4, 16, 1, true}, {weight_code::int4, 128, 1, false}, {weight_code::int4, 0, 1, false},
    {weight_code::int8, 0, 1, false}, {weight_code::fp8, 0, 1, false},    {weight_code::fp8, 64, 128, false},
};
constexpr weight_format pairs_only[] = {{weight_code::int8, 64, 1, false}, {weight_code::fp4, 32, 1, false}};

TEST(dequantize, has_the_bits_of_the_reference_in_every_format) {
  for (auto const& f : formats) {
    agrees<bf16, float>(f, 75, 203, 208);
    if (f.code == weight_code::fp8) agrees<f16, e4m3>(f, 75, 203, 203);
    else agrees<f16, std::int8_t>(f, 75, 203, 203);
  }
  for (auto const& f : pairs_only) agrees<float, float>(f, 75, 203, 204);
  agrees<float, float>(formats[5], 130, 70, 70);
  agrees<float, float>(formats[0], 1, 1, 1);
}

TEST(dequantize, writes_rows_that_lie_anyhow) { agrees<float, float>(formats[0], 9, 33, 80, 2); }

TEST(dequantize, does_nothing_to_nothing) {
  packed_layout const                layout{.rows = 0, .columns = 64};
  tenon::tensor_view<float, 2> const none{nullptr, {0, 64}, {64, 1}};
  EXPECT_TRUE(tenon::dequantize(
                  tenon::context{}, none,
                  tenon::packed_weight<weight_code::int8, tenon::scale_kind::row, pack_order::pairs>{layout, nullptr})
                  .ok());
}

TEST(dequantize, names_what_is_wrong) {
  auto const             w = some_weight(formats[3], 5, 70);
  packed_copy            b(w, pack_order::pairs);
  test::tensor<float, 2> to(5, 70), narrow(5, 69), low(4, 70);
  using weight = tenon::packed_weight<weight_code::int8, tenon::scale_kind::row, pack_order::pairs>;
  weight const         good{b.layout, b.bytes.view().data};
  tenon::context const where;
  auto const           is = [](tenon::status const& got, errc code, char const* subject) {
    EXPECT_EQ(got.code, code) << got.subject;
    EXPECT_STREQ(got.subject, subject);
    EXPECT_STREQ(got.primitive, "dequantize");
  };
  is(tenon::dequantize(where, narrow.view(), good), errc::shape_mismatch, "k");
  is(tenon::dequantize(where, low.view(), good), errc::shape_mismatch, "n");
  is(tenon::dequantize(where, to.view(), weight{b.layout, nullptr}), errc::out_of_range, "b");
  is(tenon::dequantize(where, to.view(), weight{b.layout, b.bytes.view().data + 8}), errc::misaligned, "b");
  auto other   = b.layout;
  other.scales = tenon::scale_kind::group;
  is(tenon::dequantize(where, to.view(), weight{other, b.bytes.view().data}), errc::unsupported,
     "layout of b: not that of its type");
  auto crooked = to.view();
  crooked.data = reinterpret_cast<float*>(reinterpret_cast<char*>(crooked.data) + 2);
  is(tenon::dequantize(where, crooked, good), errc::misaligned, "w");
  auto absent = to.view();
  absent.data = nullptr;
  is(tenon::dequantize(where, absent, good), errc::out_of_range, "w");
  auto wide      = to.view();
  auto wide_l    = b.layout;
  wide.extent[1] = wide_l.columns = index_t{1} << 40;
  wide.extent[0] = wide_l.rows = 1;
  is(tenon::dequantize(where, wide, weight{wide_l, b.bytes.view().data}), errc::out_of_range, "blocks");
}

TEST(dequantize_policy, is_in_the_menu_of_every_architecture) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120})
    for (bool const vectorised : {false, true}) {
      auto const chosen = tenon::choose_dequantize_policy({arch}, vectorised);
      EXPECT_EQ(std::count(std::begin(tenon::dequantize_menu), std::end(tenon::dequantize_menu), chosen), 1);
      EXPECT_EQ(chosen.on_host(), arch == 0);
      EXPECT_TRUE(vectorised || chosen.vector == 1);
    }
}

}  // namespace
