#pragma once
//  A bf16 GEMM of 128 x 128 x 256 acting as sm_80: cp.async, ldmatrix and mma.sync, lane by lane. Operations: 2 m n k.
#include <tenon/gemm/gemm.hpp>
#include <tenon/simt/session.hpp>

#include <benchmark/benchmark.h>

#include <string>

#include "../../../tests/support/tensor.hpp"

namespace bench {

inline void gemm_tiles(benchmark::State& state, tenon::simt::numerics sums) {
  constexpr tenon::index_t     m = 128, n = 128, k = 256;
  test::tensor<tenon::bf16, 2> d(m, n), a(m, k), b(n, k);
  a.random(1), b.random(2);
  std::string found;
  for (auto _ : state) {
    tenon::simt::session session({.seed = 1, .numerics = sums});
    tenon::context       where;
    where.arch    = 80;
    where.threads = 1;
    where.session = &session;
    if (!tenon::gemm(where, d.view(), a.view(), b.view()).ok()) return state.SkipWithError("gemm failed");
    for (auto const& f : session.found().findings)
      if (f.what != tenon::simt::kind::not_checked) return state.SkipWithError("gemm is not clean");
  }
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * m * n * k, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace bench
