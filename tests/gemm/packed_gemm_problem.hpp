#pragma once
//  One product with packed weights, by one kernel of one policy, against double precision on the same numbers: inputs lie in
//  poison, outputs beside sentinels, two runs must have equal bits, and counters end as zeros.
#include <tenon/gemm/packed_gemm_ref.hpp>
#include <tenon/gemm/packed_gemm_stream_kernel.cuh>
#include <tenon/gemm/packed_gemm_tile_kernel.cuh>
#include <tenon/gemm/packed_gemm_vector_kernel.cuh>
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

namespace test::packed_gemm {

using tenon::bf16, tenon::e4m3, tenon::f16, tenon::index_t, tenon::packed_gemm_policy, tenon::quantized_weight,
    tenon::weight_code, tenon::weight_format, tenon::scale_kind;
namespace policies = tenon::packed_gemm_policies;

template <packed_gemm_policy const& Value>
struct policy_of {
  static constexpr packed_gemm_policy value = Value;
};
inline constexpr weight_format int4_groups{weight_code::int4, 32, 1, true},
    int4_symmetric{weight_code::int4, 128, 1, false}, int4_rows{weight_code::int4, 0, 1, false},
    int8_rows{weight_code::int8, 0, 1, false}, int8_groups{weight_code::int8, 64, 1, false},
    fp8_rows{weight_code::fp8, 0, 1, false}, fp8_blocks{weight_code::fp8, 128, 128, false},
    fp4_groups{weight_code::fp4, 16, 1, false};

/// Codes of both signs, without the NaN of fp8.
inline quantized_weight some_weight(weight_format const& format, index_t rows, index_t columns) {
  bool const fp8 = format.code == weight_code::fp8;
  auto       w   = random_weight(rows, columns, format, 7, 0, fp8 ? 127 : 1 << tenon::bits_of(format.code));
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
struct kernel_of {
  static constexpr packed_gemm_policy policy = Policy::value;
  static constexpr tenon::pack_order  order  = tenon::pack_order_of<A>;

  using weight = tenon::packed_weight<Code, Scales, order>;
  using params = tenon::packed_gemm_params<D, A, weight, Epilogue>;

  static index_t tiles(index_t m, index_t rows) {
    return tenon::ceil_div(m, policy.tokens) * tenon::ceil_div(rows, policy.rows);
  }
  static tenon::status run(tenon::context const& where, params const& p) {
    tenon::arch::launch_shape shape{.grid  = static_cast<unsigned>(tiles(p.d.extent[0], p.b.layout.rows) * p.splits),
                                    .block = static_cast<unsigned>(policy.threads)};
    if constexpr (policy.kind == tenon::packed_gemm_kind::stream) {
      shape.shared_bytes = sizeof(tenon::kernel::packed_gemm_stream_storage<Policy, A, weight>);
      return tenon::arch::launch("packed_gemm_stream", where, shape,
                                 tenon::kernel::packed_gemm_stream<Policy, D, A, weight, Epilogue>, p);
    } else if constexpr (policy.kind == tenon::packed_gemm_kind::tile) {
      shape.shared_bytes =
          sizeof(tenon::kernel::packed_gemm_tile_storage<Policy, A, weight, typename params::pipeline>);
      return tenon::arch::launch("packed_gemm_tile", where, shape,
                                 tenon::kernel::packed_gemm_tile<Policy, D, A, weight, Epilogue>, p);
    } else {
      shape.shared_bytes = sizeof(tenon::kernel::packed_gemm_vector_storage<Policy, typename params::pipeline>);
      return tenon::arch::launch("packed_gemm_vector", where, shape,
                                 tenon::kernel::packed_gemm_vector<Policy, D, A, weight, Epilogue>, p);
    }
  }
};

template <class Policy, class D, class A, weight_code Code, scale_kind Scales, class Epilogue = tenon::identity>
void agrees(weight_format const& format, problem const& s, Epilogue epilogue = {}) {
  using kernel                        = kernel_of<Policy, D, A, Code, Scales, Epilogue>;
  constexpr packed_gemm_policy policy = kernel::policy;
  SCOPED_TRACE(to_string(format) + ", " + to_string(policy) + ", " + std::to_string(s.m) + " x " + std::to_string(s.n) +
               " x " + std::to_string(s.k));
  constexpr bool       paired = kernel::params::paired, bytes = sizeof(A) == 1;
  index_t const        b_rows = paired ? tenon::paired_rows(s.n) : s.n;
  auto const           w      = some_weight(format, b_rows, s.k);
  tenon::packed_matrix packed;
  expect_ok(tenon::pack_weight(packed, w, kernel::order));
  tensor<std::byte, 1> b(static_cast<index_t>(packed.bytes.size()));
  b.assign(packed.bytes);

  // A with poison wherever nothing may look.
  auto const     values = some_inputs<A>(s.m * s.k);
  index_t const  pitch  = s.k * s.a_stride + s.padding;
  tensor<A, 2>   a(s.m, pitch);
  std::vector<A> spread(a.size(), poison<A>());
  for (index_t i = 0; i < s.m; ++i)
    for (index_t j = 0; j < s.k; ++j)
      spread[static_cast<std::size_t>(i * pitch + j * s.a_stride)] = values[static_cast<std::size_t>(i * s.k + j)];
  a.assign(spread);
  tenon::tensor_view<A const, 2> const a_view{a.view().data, {s.m, s.k}, {pitch, s.a_stride}};
  index_t const                        groups = tenon::row_scales(s.k, s.a_group);
  tensor<float, 2>                     scales(s.m, groups);
  std::vector<float>                   row_scales;
  for (index_t i = 0; i < s.m * groups; ++i) row_scales.push_back(static_cast<float>(i % 7 + 1) / 64);
  scales.assign(row_scales);

  std::vector<float> want(static_cast<std::size_t>(s.m * s.n));
  auto const         dense = over(values, s.m, s.k);
  if constexpr (bytes)
    tenon::ref::gemm(over(want, s.m, s.n),
                     tenon::quantized_rows<A const>{dense, over(std::as_const(row_scales), s.m, groups), s.a_group}, w,
                     epilogue);
  else tenon::ref::gemm(over(want, s.m, s.n), dense, w, epilogue);

  on_every_target([&](tenon::context const& where) {
    bool const widens = bytes && !policy.native;
    if (where.arch == 0 || (std::is_same_v<A, e4m3> && policy.native && where.arch < 89)) return;
    if (policy.bulk ? where.arch != 90 : TENON_CHECKED && where.arch != (widens ? 80 : 89)) return;
    index_t const       tiles = kernel::tiles(s.m, b_rows);
    tensor<float, 1>    partials(s.splits > 1 ? tiles * s.splits * policy.tokens * policy.rows : 1);
    tensor<unsigned, 1> counters(tiles);
    counters.fill(0);
    std::vector<D> first;
    for (int run = 0; run < (TENON_CHECKED ? 1 : 2); ++run) {
      tensor<D, 2> d(s.m, s.n + 1);
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
      expect_ok(kernel::run(where, p));
      auto const     all = d.values();
      std::vector<D> got;
      for (index_t i = 0; i < s.m; ++i) {
        for (index_t j = 0; j < s.n; ++j) got.push_back(all[static_cast<std::size_t>(i * (s.n + 1) + j)]);
        EXPECT_EQ(static_cast<float>(all[static_cast<std::size_t>(i * (s.n + 1) + s.n)]), 7.f)
            << "padding of row " << i;
      }
      EXPECT_LE(relative_error(got, want), tenon::max(bound<A>(s.k, where.arch, policy.native), tolerance<D>()));
      if (run > 0) {
        EXPECT_TRUE(same_bits(got, first)) << "two runs differ";
      }
      first = got;
      for (unsigned const c : counters.values()) EXPECT_EQ(c, 0u);
    }
  });
}

#if TENON_CHECKED
/// Extra passes over the banks of shared memory that one block of the kernel makes, the epilogue among them.
template <class Policy, class A, weight_code Code, scale_kind Scales>
std::uint64_t bank_conflicts(weight_format const& format, index_t m, index_t k) {
  using kernel           = kernel_of<Policy, float, A, Code, Scales, tenon::identity>;
  index_t const        n = Policy::value.rows;
  tenon::packed_matrix packed;
  expect_ok(tenon::pack_weight(packed, some_weight(format, n, k), kernel::order));
  tensor<std::byte, 1> b(static_cast<index_t>(packed.bytes.size()));
  b.assign(packed.bytes);
  tensor<A, 2>     a(m, k);
  tensor<float, 2> scales(m, 1), d(m, n);
  a.assign(some_inputs<A>(m * k)), scales.fill(1.f);
  tenon::simt::session session({.count_wavefronts = true});
  tenon::context       where;
  where.arch = 90, where.session = &session;
  typename kernel::params p{.d        = d.view(),
                            .a        = tenon::as_const(a.view()),
                            .b        = {packed.layout, b.view().data},
                            .a_scales = tenon::as_const(scales.view()),
                            .epilogue = tenon::epilogue::from(tenon::identity{})};
  expect_ok(kernel::run(where, p));
  EXPECT_TRUE(session.found().clean()) << session.found();
  EXPECT_GT(session.found().accesses, 0u);
  return session.found().bank_conflicts();
}
#endif

}  // namespace test::packed_gemm
