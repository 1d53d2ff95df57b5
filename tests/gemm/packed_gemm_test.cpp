// The product with packed weights, in every format, against double precision on the same numbers.
#include <tenon/gemm/packed_gemm.hpp>
#include <tenon/gemm/packed_gemm_ref.hpp>
#include <tenon/quant/pack_weight.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::e4m3, tenon::f16, tenon::index_t, tenon::pack_order, tenon::packed_layout,
    tenon::quantized_weight, tenon::weight_code, tenon::weight_format;

/// Codes and scales drawn at random, no fp8 NaN among them.
quantized_weight random_weight(weight_format const& format, index_t rows, index_t columns, unsigned seed) {
  std::mt19937     engine(seed);
  quantized_weight w;
  w.format = format, w.rows = rows, w.columns = columns;
  w.codes.resize(static_cast<std::size_t>(rows * columns));
  for (auto& c : w.codes) {
    c = static_cast<std::uint8_t>(engine() & ((1u << tenon::bits_of(format.code)) - 1));
    if (format.code == weight_code::fp8 && (c & 0x7f) == 0x7f) c = 0;
  }
  auto const scales = static_cast<std::size_t>(w.scale_rows() * w.groups());
  for (std::size_t i = 0; i < scales; ++i) {
    float const s = static_cast<float>(f16(0.01f + 0.02f * static_cast<float>(engine() % 1000) / 1000.f));
    w.scales.push_back(engine() % 8 == 0 ? -s : s);
    if (format.zero_points) w.zeros.push_back(static_cast<std::uint8_t>(engine() % 16));
  }
  return w;
}

/// A packed weight in the operator's memory.
struct device_weight {
  tenon::packed_matrix       packed;
  test::tensor<std::byte, 1> bytes;
  explicit device_weight(quantized_weight const& w, pack_order order) : packed(pack(w, order)), bytes(size()) {
    bytes.assign(packed.bytes);
  }
  index_t                     size() const { return static_cast<index_t>(packed.bytes.size()); }
  static tenon::packed_matrix pack(quantized_weight const& w, pack_order order) {
    tenon::packed_matrix p;
    EXPECT_TRUE(tenon::pack_weight(p, w, order).ok());
    return p;
  }
};

struct shape {
  index_t m, n, k;
};

template <class A, class D, class Epilogue = tenon::identity>
void agrees(weight_format const& format, shape const& s, Epilogue epilogue = {}) {
  SCOPED_TRACE(to_string(format) + ", " + std::to_string(s.m) + " x " + std::to_string(s.n) + " x " +
               std::to_string(s.k));
  bool const             paired = tenon::epilogue::pipeline_of<Epilogue>::paired;
  auto const             w      = random_weight(format, paired ? tenon::paired_rows(s.n) : s.n, s.k, 7);
  constexpr auto         order  = tenon::pack_order_for<A>;
  device_weight          b(w, order);
  test::tensor<A, 2>     a(s.m, s.k);
  test::tensor<float, 2> scales(s.m, 1);
  if constexpr (std::is_same_v<A, std::int8_t>) {
    std::vector<std::int8_t> codes;
    for (index_t i = 0; i < s.m * s.k; ++i) codes.push_back(static_cast<std::int8_t>(i * 37 % 255 - 127));
    a.assign(codes);
  } else {
    a.random(3);
  }
  std::vector<float> row_scale;
  for (index_t i = 0; i < s.m; ++i) row_scale.push_back(0.01f * static_cast<float>(i % 5 + 1));
  scales.assign(row_scale);

  std::vector<float> want(static_cast<std::size_t>(s.m * s.n));
  auto const         values = a.values();
  auto const         view   = test::over(values, s.m, s.k);
  if constexpr (sizeof(A) == 1)
    tenon::ref::gemm(test::over(want, s.m, s.n),
                     tenon::quantized_rows<A const>{view, test::over(std::as_const(row_scale), s.m, 1)}, w, epilogue);
  else tenon::ref::gemm(test::over(want, s.m, s.n), view, w, epilogue);

  test::on_every_target([&](tenon::context const& where) {
    if (std::is_same_v<A, float> && where.arch != 0) return;
    test::tensor<D, 2> d(s.m, s.n);
    std::vector<D>     first;
    for (int run = 0; run < 2; ++run) {
      tenon::status const done =
          tenon::visit_packed<A>(b.packed.layout, b.bytes.view().data, [&](auto const& weight) -> tenon::status {
            if constexpr (sizeof(A) == 1)
              return tenon::gemm(where, d.view(), tenon::quantized_rows<A>{a.view(), tenon::as_const(scales.view())},
                                 weight, {}, epilogue);
            else return tenon::gemm(where, d.view(), a.view(), weight, {}, epilogue);
          });
      ASSERT_TRUE(done.ok()) << done.subject;
      // Ada's tensor cores keep 13 fraction bits in a sum of e4m3 products (simt/tensor_core/model.hpp).
      double const bound = std::is_same_v<A, e4m3> ? 1e-3 : test::tolerance<D>();
      EXPECT_LE(test::relative_error(d.values(), want), bound);
      if (run == 1) {
        EXPECT_TRUE(test::same_bits(d.values(), first));
      }
      first = d.values();
    }
  });
}

constexpr weight_format int4_groups{weight_code::int4, 32, 1, true}, int4_symmetric{weight_code::int4, 128, 1, false},
    int4_rows{weight_code::int4, 0, 1, false}, int8_rows{weight_code::int8, 0, 1, false},
    int8_groups{weight_code::int8, 64, 1, false}, fp8_rows{weight_code::fp8, 0, 1, false},
    fp8_blocks{weight_code::fp8, 128, 128, false}, fp4_groups{weight_code::fp4, 16, 1, false};

TEST(packed_gemm, agrees_with_the_reference_in_every_format) {
  for (auto const& f :
       {int4_groups, int4_symmetric, int4_rows, int8_rows, int8_groups, fp8_rows, fp8_blocks, fp4_groups})
    for (shape const s : {shape{1, 7, 43}, shape{5, 70, 200}}) {
      agrees<float, float>(f, s);
      agrees<bf16, bf16>(f, s);
    }
}

TEST(packed_gemm, multiplies_quantised_rows) {
  for (shape const s : {shape{1, 7, 43}, shape{6, 70, 200}}) {
    agrees<std::int8_t, float>(int8_rows, s);
    agrees<std::int8_t, float>(int4_groups, s);
    agrees<e4m3, float>(fp8_rows, s);
    agrees<e4m3, float>(fp8_blocks, s);
  }
}

TEST(packed_gemm, gates) { agrees<float, float>(int8_rows, {3, 44, 70}, tenon::epilogue::swiglu()); }

// Each row has the same bits alone and in every batch, whichever kernel the batch gets.
TEST(packed_gemm, is_batch_invariant_where_it_must_be) {
  constexpr index_t     rows = 35, n = 70, k = 600;
  device_weight         b(random_weight(int4_groups, n, k, 11), pack_order::pairs);
  test::tensor<bf16, 2> a(rows, k), d(rows, n), alone(rows, n);
  tenon::packed_weight<weight_code::int4, tenon::scale_kind::group, pack_order::pairs> const weight{
      b.packed.layout, b.bytes.view().data};
  a.random(4);
  test::on_every_target([&](tenon::context where) {
    where.batch_invariant = true;
    ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), weight).ok());
    for (index_t const count : {1, 9, 20}) {
      for (index_t i = 0; i < rows; i += count) {
        index_t const now = std::min(count, rows - i);
        ASSERT_TRUE(tenon::gemm(where, alone.view().slice(i, now), a.view().slice(i, now), weight).ok());
      }
      EXPECT_TRUE(test::same_bits(alone.values(), d.values())) << count << " rows at a time";
    }
  });
}

}  // namespace
