#include <tenon/gemm/gemm.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "../support/tensor.hpp"

namespace {

using tenon::architecture, tenon::gemm_kind, tenon::gemm_policy, tenon::index_t;

TEST(gemm_policy, menu_is_well_formed) {
  for (gemm_policy const& p : tenon::gemm_menu) {
    SCOPED_TRACE(to_string(p));
    EXPECT_LE(p.threads, 1024);
    if (p.kind == gemm_kind::lanes) {
      EXPECT_EQ(p.threads, 1);
      EXPECT_EQ(p.columns % 16, 0);
      continue;
    }
    int const tiles = p.rows / p.tile_rows * (p.columns / p.tile_columns);
    EXPECT_EQ(p.threads, p.kind == gemm_kind::tile ? tiles : 32 * tiles * p.split);
    EXPECT_LE(p.ring_bytes(), architecture{89}.shared_bytes());
    EXPECT_EQ(std::count(std::begin(tenon::gemm_menu), std::end(tenon::gemm_menu), p), 1);
  }
}

TEST(gemm_policy, prints) {
  EXPECT_EQ(to_string(tenon::gemm_policies::mma_64), "mma 64x64x64, 6 stages, tile 32x32, 128 threads");
  EXPECT_EQ(to_string(tenon::gemm_policies::mma_strided),
            "mma 64x64x64, 2 stages, tile 32x32, 128 threads, by elements");
}

TEST(gemm_contract, names_what_is_wrong) {
  test::tensor<float, 2>       a(3, 8), b(5, 8), d(3, 5);
  tenon::context const         where;
  auto const                   av = a.view(), bv = b.view(), dv = d.view();
  tenon::tensor_view<float, 2> short_b = bv, tall_d = dv, narrow_d = dv;
  short_b.extent[1] = 7, tall_d.extent[0] = 4, narrow_d.extent[1] = 4;

  auto const check = [](tenon::status const& s, tenon::errc code, char const* subject, index_t got, index_t want) {
    EXPECT_EQ(s.code, code);
    EXPECT_STREQ(s.primitive, "gemm");
    EXPECT_STREQ(s.subject, subject);
    EXPECT_EQ(s.got, got);
    EXPECT_EQ(s.want, want);
  };
  using tenon::errc;
  check(tenon::gemm(where, dv, av, short_b), errc::shape_mismatch, "k", 7, 8);
  check(tenon::gemm(where, tall_d, av, bv), errc::shape_mismatch, "m", 3, 4);
  check(tenon::gemm(where, narrow_d, av, bv), errc::shape_mismatch, "n of b", 5, 4);
  check(tenon::gemm(where, dv, av, bv, {}, tenon::epilogue::swiglu()), errc::shape_mismatch, "n of b", 5, 16);

  tenon::tensor_view<float, 2> nowhere = av, odd = av;
  nowhere.data = nullptr;
  odd.data     = reinterpret_cast<float*>(reinterpret_cast<char*>(av.data) + 2);
  check(tenon::gemm(where, dv, nowhere, bv), errc::out_of_range, "a", 0, 1);
  check(tenon::gemm(where, dv, odd, bv), errc::misaligned, "a", 2, 0);

  gemm_policy unknown = tenon::gemm_policies::vector_1;
  unknown.threads     = 96;
  check(tenon::gemm(where, dv, av, bv, {.policy = unknown}), errc::unsupported, "policy", 0, 0);
  check(tenon::gemm(where, dv, av, bv, {.policy = tenon::gemm_policies::mma_64}), errc::unsupported, "allow_tf32", 0,
        1);
  tenon::context gpu;
  gpu.arch                             = 80;
  tenon::tensor_view<float, 2> shifted = av;
  shifted.extent[1]                    = 7, shifted.data += 1;
  tenon::tensor_view<float, 2> b_of_7  = bv;
  b_of_7.extent[1]                     = 7;
  check(tenon::gemm(gpu, dv, shifted, b_of_7, {.policy = tenon::gemm_policies::vector_4}), errc::unsupported,
        "policy.wide", 1, 0);
}

}  // namespace
