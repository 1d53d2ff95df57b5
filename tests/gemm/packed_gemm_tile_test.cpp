// The tiled product with packed weights: every format and every shape of tile, against double precision on the same numbers.
#include <tenon/gemm/packed_gemm_ref.hpp>
#include <tenon/gemm/packed_gemm_tile_kernel.cuh>
#include <tenon/op/epilogue.hpp>
#include <tenon/quant/pack_weight.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "../quant/random_weight.hpp"
#include "../support/targets.hpp"
#include "../support/tensor.hpp"
#if TENON_CHECKED
#  include <tenon/simt/check.hpp>
#  include <tenon/simt/expect.hpp>
#endif

namespace {

using tenon::bf16, tenon::e4m3, tenon::f16, tenon::index_t, tenon::packed_gemm_policy, tenon::quantized_weight,
    tenon::weight_code, tenon::weight_format, tenon::scale_kind;
namespace policies = tenon::packed_gemm_policies;

template <packed_gemm_policy const& Value>
struct tile_of {
  static constexpr packed_gemm_policy value = Value;
};
using tile_64x64   = tile_of<policies::tile_64x64>;
using tile_128x64  = tile_of<policies::tile_128x64>;
using tile_128x128 = tile_of<policies::tile_128x128>;
using tile_strided = tile_of<policies::tile_strided>;
using tile_widened = tile_of<policies::tile_widened>;

constexpr weight_format int4_groups_16{weight_code::int4, 16, 1, true}, int4_groups{weight_code::int4, 32, 1, true},
    int4_symmetric{weight_code::int4, 128, 1, false}, int4_rows{weight_code::int4, 0, 1, false},
    int8_rows{weight_code::int8, 0, 1, false}, int8_groups{weight_code::int8, 64, 1, false},
    fp8_rows{weight_code::fp8, 0, 1, false}, fp8_blocks{weight_code::fp8, 128, 128, false},
    fp4_groups{weight_code::fp4, 16, 1, false};

/// Codes of both signs, without the NaN of fp8.
quantized_weight some_weight(weight_format const& format, index_t rows, index_t columns) {
  bool const fp8 = format.code == weight_code::fp8;
  auto       w   = test::random_weight(rows, columns, format, 7, 0, fp8 ? 127 : 1 << tenon::bits_of(format.code));
  for (std::size_t i = 0; fp8 && i < w.codes.size(); i += 3) w.codes[i] |= 0x80;
  for (std::size_t i = 0; i < w.scales.size(); i += 5) w.scales[i] = -w.scales[i];
  return w;
}

template <class A>
std::vector<A> some_inputs(index_t count) {
  std::vector<A>                  v;
  std::mt19937                    engine(3);
  std::normal_distribution<float> normal(0, 1);
  for (index_t i = 0; i < count; ++i) {
    if constexpr (std::is_same_v<A, std::int8_t>) v.push_back(static_cast<A>(static_cast<int>(engine() % 256) - 128));
    else v.push_back(A(normal(engine)));
  }
  return v;
}

/// One past the largest finite number: what must not be read.
template <class A>
A poison() {
  if constexpr (std::is_same_v<A, std::int8_t>) return 127;
  else return A(std::numeric_limits<float>::quiet_NaN());
}

struct problem {
  index_t m, n, k;
  int     a_group  = 0;
  int     splits   = 1;
  index_t padding  = 0;  // elements between rows of A
  index_t a_stride = 1;  // between columns of A
};

template <class A>
constexpr double bound(index_t k, int arch, bool native) {
  if (std::is_same_v<A, e4m3> && arch == 89 && native) return 1e-2;  // Ada's short sums
  return 1e-6 * std::sqrt(static_cast<double>(k)) + 1e-6;
}

/// Launches Policy's kernel on views in the operator's memory.
template <class Policy, class D, class A, weight_code Code, scale_kind Scales, class Epilogue>
struct tile_launch {
  using order_of                           = A;
  static constexpr tenon::pack_order order = tenon::pack_order_of<A>;
  using weight                             = tenon::packed_weight<Code, Scales, order>;
  using params                             = tenon::packed_gemm_params<D, A, weight, Epilogue>;
  using storage = tenon::kernel::packed_gemm_tile_storage<Policy, A, weight, typename params::pipeline>;

  static index_t tiles(index_t m, index_t rows) {
    return tenon::ceil_div(m, Policy::value.tokens) * tenon::ceil_div(rows, Policy::value.rows);
  }
  static tenon::status run(tenon::context const& where, params const& p) {
    return tenon::arch::launch("packed_gemm_tile", where,
                               {.grid         = static_cast<unsigned>(tiles(p.d.extent[0], p.b.layout.rows) * p.splits),
                                .block        = static_cast<unsigned>(Policy::value.threads),
                                .shared_bytes = sizeof(storage)},
                               tenon::kernel::packed_gemm_tile<Policy, D, A, weight, Epilogue>, p);
  }
};

template <class Policy, class D, class A, weight_code Code, scale_kind Scales, class Epilogue = tenon::identity>
void agrees(weight_format const& format, problem const& s, Epilogue epilogue = {}) {
  using kernel                        = tile_launch<Policy, D, A, Code, Scales, Epilogue>;
  constexpr packed_gemm_policy policy = Policy::value;
  SCOPED_TRACE(to_string(format) + ", " + to_string(policy) + ", " + std::to_string(s.m) + " x " + std::to_string(s.n) +
               " x " + std::to_string(s.k));
  constexpr bool       paired = kernel::params::paired, bytes = sizeof(A) == 1;
  index_t const        b_rows = paired ? tenon::paired_rows(s.n) : s.n;
  auto const           w      = some_weight(format, b_rows, s.k);
  tenon::packed_matrix packed;
  test::expect_ok(tenon::pack_weight(packed, w, kernel::order));
  test::tensor<std::byte, 1> b(static_cast<index_t>(packed.bytes.size()));
  b.assign(packed.bytes);

  // A with poison wherever nothing may look.
  auto const         values = some_inputs<A>(s.m * s.k);
  index_t const      pitch  = s.k * s.a_stride + s.padding;
  test::tensor<A, 2> a(s.m, pitch);
  std::vector<A>     spread(a.size(), poison<A>());
  for (index_t i = 0; i < s.m; ++i)
    for (index_t j = 0; j < s.k; ++j)
      spread[static_cast<std::size_t>(i * pitch + j * s.a_stride)] = values[static_cast<std::size_t>(i * s.k + j)];
  a.assign(spread);
  tenon::tensor_view<A const, 2> const a_view{a.view().data, {s.m, s.k}, {pitch, s.a_stride}};
  index_t const                        groups = tenon::row_scales(s.k, s.a_group);
  test::tensor<float, 2>               scales(s.m, groups);
  std::vector<float>                   row_scales;
  for (index_t i = 0; i < s.m * groups; ++i) row_scales.push_back(static_cast<float>(i % 7 + 1) / 64);
  scales.assign(row_scales);

  std::vector<float> want(static_cast<std::size_t>(s.m * s.n));
  auto const         dense = test::over(values, s.m, s.k);
  if constexpr (bytes)
    tenon::ref::gemm(
        test::over(want, s.m, s.n),
        tenon::quantized_rows<A const>{dense, test::over(std::as_const(row_scales), s.m, groups), s.a_group}, w,
        epilogue);
  else tenon::ref::gemm(test::over(want, s.m, s.n), dense, w, epilogue);

  test::on_every_target([&](tenon::context const& where) {
    bool const widens = bytes && !policy.native;
    if (where.arch == 0 || (std::is_same_v<A, e4m3> && policy.native && where.arch < 89)) return;
    if (TENON_CHECKED && where.arch != (widens ? 80 : 90)) return;
    index_t const             tiles = kernel::tiles(s.m, b_rows);
    test::tensor<float, 1>    partials(s.splits > 1 ? tiles * s.splits * policy.tokens * policy.rows : 1);
    test::tensor<unsigned, 1> counters(tiles);
    counters.fill(0);
    std::vector<D> first;
    for (int run = 0; run < (TENON_CHECKED ? 1 : 2); ++run) {
      test::tensor<D, 2> d(s.m, s.n + 1);
      d.fill(static_cast<D>(7.f));
      auto d_view      = d.view();
      d_view.extent[1] = s.n;
      typename kernel::params p{.d        = d_view,
                                .a        = a_view,
                                .b        = {packed.layout, b.view().data},
                                .a_scales = tenon::as_const(scales.view()),
                                .a_group  = s.a_group,
                                .splits   = s.splits,
                                .partials = partials.view().data,
                                .counters = counters.view().data,
                                .epilogue = tenon::epilogue::from(epilogue)};
      test::expect_ok(kernel::run(where, p));
      auto const     all = d.values();
      std::vector<D> got;
      for (index_t i = 0; i < s.m; ++i) {
        for (index_t j = 0; j < s.n; ++j) got.push_back(all[static_cast<std::size_t>(i * (s.n + 1) + j)]);
        EXPECT_EQ(static_cast<float>(all[static_cast<std::size_t>(i * (s.n + 1) + s.n)]), 7.f)
            << "padding of row " << i;
      }
      EXPECT_LE(test::relative_error(got, want),
                tenon::max(bound<A>(s.k, where.arch, policy.native), test::tolerance<D>()));
      if (run > 0) {
        EXPECT_TRUE(test::same_bits(got, first)) << "two runs differ";
      }
      first = got;
      for (unsigned const c : counters.values()) EXPECT_EQ(c, 0u);
    }
  });
}

using enum weight_code;
constexpr problem odd{37, 75, 203, 0, 1, 5};  // rows of A end in poison

TEST(packed_gemm_tile, every_format_with_inputs_of_16_bits) {
  problem const s{37, 75, 203, 0, 1, 5};
  agrees<tile_64x64, float, bf16, int4, scale_kind::group>(int4_groups_16, s);
  agrees<tile_64x64, float, bf16, int4, scale_kind::group>(int4_groups, s);
  agrees<tile_64x64, float, bf16, int4, scale_kind::group>(int4_symmetric, s);
  agrees<tile_64x64, float, bf16, int4, scale_kind::group>(int4_rows, s);
  agrees<tile_64x64, float, f16, int8, scale_kind::row>(int8_rows, s);
  agrees<tile_64x64, float, bf16, int8, scale_kind::group>(int8_groups, s);
  agrees<tile_64x64, float, bf16, fp8, scale_kind::row>(fp8_rows, s);
  agrees<tile_64x64, float, f16, fp8, scale_kind::block>(fp8_blocks, {3, 150, 300, 0, 1, 4});
  agrees<tile_64x64, float, f16, fp4, scale_kind::group>(fp4_groups, s);
}

TEST(packed_gemm_tile, every_format_with_inputs_of_8_bits) {
  problem const s{37, 75, 203, 0, 1, 5}, grouped{37, 75, 203, 64, 1, 5};
  agrees<tile_64x64, float, std::int8_t, int8, scale_kind::row>(int8_rows, s);
  agrees<tile_64x64, float, std::int8_t, int8, scale_kind::row>(int8_rows, grouped);
  agrees<tile_64x64, float, std::int8_t, int4, scale_kind::group>(int4_groups_16, s);
  agrees<tile_64x64, float, std::int8_t, int4, scale_kind::group>(int4_groups, grouped);
  agrees<tile_64x64, float, std::int8_t, int4, scale_kind::group>(int4_symmetric, {5, 20, 400, 128});
  agrees<tile_64x64, float, e4m3, fp8, scale_kind::row>(fp8_rows, s);
  agrees<tile_64x64, float, e4m3, fp8, scale_kind::block>(fp8_blocks, {3, 150, 304, 128});
}

TEST(packed_gemm_tile, every_tile) {
  problem const s{131, 139, 136};
  agrees<tile_128x64, bf16, bf16, int4, scale_kind::group>(int4_groups, s);
  agrees<tile_128x64, f16, std::int8_t, int8, scale_kind::row>(int8_rows, {131, 139, 144});
  agrees<tile_128x128, bf16, bf16, int4, scale_kind::group>(int4_symmetric, s);
  agrees<tile_128x128, float, std::int8_t, int4, scale_kind::group>(int4_groups, {131, 139, 144});
  agrees<tile_64x64, float, e4m3, fp8, scale_kind::block>(fp8_blocks, {131, 139, 144, 64});
  agrees<tile_widened, float, e4m3, fp8, scale_kind::block>(fp8_blocks, {3, 150, 304, 128});
}

TEST(packed_gemm_tile, rows_of_a_lie_anyhow) {
  agrees<tile_strided, float, bf16, int4, scale_kind::group>(int4_groups, odd);
  agrees<tile_strided, float, bf16, int4, scale_kind::group>(int4_groups, {5, 7, 43, 0, 1, 0, 3});
  agrees<tile_strided, float, std::int8_t, int8, scale_kind::row>(int8_rows, odd);
  agrees<tile_strided, float, e4m3, fp8, scale_kind::row>(fp8_rows, odd);
}

TEST(packed_gemm_tile, shares_k_between_blocks) {
  agrees<tile_64x64, bf16, bf16, int4, scale_kind::group>(int4_symmetric, {70, 70, 328, 0, 3});
  agrees<tile_64x64, float, std::int8_t, int8, scale_kind::row>(int8_rows, {3, 7, 64, 0, 2});  // one of them has none
}

TEST(packed_gemm_tile, gates) {
  agrees<tile_64x64, float, bf16, int4, scale_kind::group>(int4_groups, {9, 44, 72}, tenon::epilogue::swiglu());
  agrees<tile_64x64, float, bf16, int4, scale_kind::group>(int4_groups, {9, 44, 72, 0, 2}, tenon::epilogue::swiglu());
}

}  // namespace
