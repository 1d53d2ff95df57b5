// The streaming product with packed weights: every format and policy, against double precision on the same numbers.
#include <tenon/gemm/packed_gemm_ref.hpp>
#include <tenon/gemm/packed_gemm_stream_kernel.cuh>
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
struct policy_of {
  static constexpr packed_gemm_policy value = Value;
};
using copies_8       = policy_of<policies::stream_8>;
using copies_16      = policy_of<policies::stream_16>;
using copies_32      = policy_of<policies::stream_32>;
using copies_strided = policy_of<policies::stream_strided>;
using copies_widened = policy_of<policies::stream_widened>;
using bulk_8         = policy_of<policies::stream_bulk_8>;
using bulk_16        = policy_of<policies::stream_bulk_16>;
using bulk_32        = policy_of<policies::stream_bulk_32>;
using bulk_strided   = policy_of<policies::stream_bulk_strided>;

constexpr weight_format int4_groups{weight_code::int4, 32, 1, true}, int4_symmetric{weight_code::int4, 128, 1, false},
    int4_rows{weight_code::int4, 0, 1, false}, int8_rows{weight_code::int8, 0, 1, false},
    int8_groups{weight_code::int8, 64, 1, false}, fp8_rows{weight_code::fp8, 0, 1, false},
    fp8_blocks{weight_code::fp8, 128, 128, false}, fp4_groups{weight_code::fp4, 16, 1, false};

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
struct stream_launch {
  using order_of                           = A;
  static constexpr tenon::pack_order order = tenon::pack_order_of<A>;
  using weight                             = tenon::packed_weight<Code, Scales, order>;
  using params                             = tenon::packed_gemm_params<D, A, weight, Epilogue>;
  using storage                            = tenon::kernel::packed_gemm_stream_storage<Policy, A, weight>;

  static index_t tiles(index_t m, index_t rows) {
    return tenon::ceil_div(m, Policy::value.tokens) * tenon::ceil_div(rows, Policy::value.rows);
  }
  static tenon::status run(tenon::context const& where, params const& p) {
    return tenon::arch::launch("packed_gemm_stream", where,
                               {.grid         = static_cast<unsigned>(tiles(p.d.extent[0], p.b.layout.rows) * p.splits),
                                .block        = static_cast<unsigned>(Policy::value.threads),
                                .shared_bytes = sizeof(storage)},
                               tenon::kernel::packed_gemm_stream<Policy, D, A, weight, Epilogue>, p);
  }
};

template <class Policy, class D, class A, weight_code Code, scale_kind Scales, class Epilogue = tenon::identity>
void agrees(weight_format const& format, problem const& s, Epilogue epilogue = {}) {
  using kernel                        = stream_launch<Policy, D, A, Code, Scales, Epilogue>;
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
    if (policy.bulk ? where.arch != 90 : TENON_CHECKED && where.arch != (widens ? 80 : 89)) return;
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

TEST(packed_gemm_stream, every_format_with_inputs_of_16_bits) {
  problem const s{3, 75, 595, 0, 1, 5};  // rows of A end in poison
  agrees<bulk_8, float, bf16, int4, scale_kind::group>(int4_groups, s);
  agrees<bulk_8, float, bf16, int4, scale_kind::group>(int4_symmetric, s);
  agrees<bulk_8, float, bf16, int4, scale_kind::group>({int4, 192, 1, true}, s);
  agrees<bulk_8, float, f16, int4, scale_kind::group>(int4_rows, s);
  agrees<bulk_8, float, f16, int8, scale_kind::row>(int8_rows, s);
  agrees<bulk_8, float, bf16, int8, scale_kind::group>(int8_groups, s);
  agrees<bulk_8, float, bf16, int8, scale_kind::group>({int8, 16, 1, false}, s);
  agrees<bulk_8, float, bf16, fp8, scale_kind::row>(fp8_rows, s);
  agrees<bulk_8, float, f16, fp8, scale_kind::block>(fp8_blocks, {3, 150, 300, 0, 1, 4});
  agrees<bulk_8, float, f16, fp4, scale_kind::group>(fp4_groups, s);
}

TEST(packed_gemm_stream, every_format_with_inputs_of_8_bits) {
  problem const s{3, 75, 427, 0, 1, 5}, grouped{3, 75, 427, 64, 1, 5};
  agrees<bulk_8, float, std::int8_t, int8, scale_kind::row>(int8_rows, s);
  agrees<bulk_8, float, std::int8_t, int8, scale_kind::row>(int8_rows, grouped);
  agrees<bulk_8, float, std::int8_t, int4, scale_kind::group>(int4_groups, grouped);
  agrees<bulk_8, float, std::int8_t, int4, scale_kind::group>(int4_symmetric, {5, 20, 400, 128});
  agrees<bulk_8, float, e4m3, fp8, scale_kind::row>(fp8_rows, s);
  agrees<bulk_8, float, e4m3, fp8, scale_kind::row>(fp8_rows, grouped);
  agrees<bulk_8, float, e4m3, fp8, scale_kind::block>(fp8_blocks, {3, 150, 304, 128});
}

TEST(packed_gemm_stream, every_number_of_tokens) {
  agrees<bulk_16, bf16, bf16, int4, scale_kind::group>(int4_symmetric, {17, 139, 264});
  agrees<bulk_32, bf16, bf16, int4, scale_kind::group>(int4_groups, {37, 70, 264});
  agrees<bulk_32, f16, std::int8_t, int8, scale_kind::row>(int8_rows, {31, 70, 144});
  agrees<copies_8, float, bf16, int4, scale_kind::group>(int4_groups, {5, 139, 1400});  // more stages than the ring has
  agrees<copies_16, float, f16, fp4, scale_kind::group>(fp4_groups, {9, 70, 264});
  agrees<copies_32, float, std::int8_t, int4, scale_kind::group>(int4_groups, {37, 70, 272});
  agrees<copies_widened, float, e4m3, fp8, scale_kind::block>(fp8_blocks, {3, 150, 304, 128});
}

TEST(packed_gemm_stream, rows_of_a_lie_anyhow) {
  agrees<copies_strided, float, bf16, int4, scale_kind::group>(int4_groups, {5, 7, 43, 0, 1, 0, 3});
  agrees<copies_strided, float, std::int8_t, int8, scale_kind::row>(int8_rows, {5, 75, 203, 64, 1, 5});
  agrees<bulk_strided, float, bf16, int4, scale_kind::group>(int4_groups, {5, 75, 203, 0, 1, 0, 1});
  agrees<bulk_strided, float, e4m3, fp8, scale_kind::row>(fp8_rows, {5, 75, 203, 0, 1, 5});
}

TEST(packed_gemm_stream, shares_k_between_blocks) {
  agrees<bulk_8, bf16, bf16, int4, scale_kind::group>({int4, 192, 1, true}, {9, 70, 808, 0, 3});
  agrees<bulk_8, float, std::int8_t, int8, scale_kind::row>(int8_rows, {3, 7, 64, 0, 2});  // one of them has none
  agrees<copies_8, float, std::int8_t, int8, scale_kind::row>(int8_rows, {3, 7, 320, 64, 2});
}

TEST(packed_gemm_stream, gates) {
  agrees<bulk_8, float, bf16, int4, scale_kind::group>(int4_groups, {9, 44, 72}, tenon::epilogue::swiglu());
  agrees<bulk_8, float, bf16, int4, scale_kind::group>(int4_groups, {9, 44, 328, 0, 2}, tenon::epilogue::swiglu());
}

}  // namespace
