//  Dense products of a decoder's layers, plain and with the gated epilogue; on CUDA cuBLASLt's first heuristic beside them
//  in the same run, over the same operands.
//
//  Axes: m (tokens), n (features), k (hidden). Bytes: a and b once, d once. Operations: 2 m n k (twice that for the pair).
#include <tenon/gemm/gemm.hpp>

#include <benchmark/benchmark.h>

#include <memory>
#include <type_traits>
#include <utility>

#include "../../tests/support/tensor.hpp"
#include "../support/bench.hpp"
#if defined(TENON_CUBLASLT)
#  include <cublasLt.h>
#endif

namespace {

using tenon::bf16, tenon::f16, tenon::index_t;

template <class T>
struct operands {
  test::tensor<T, 2> d, a, b;
  operands(index_t m, index_t n, index_t b_rows, index_t k) : d(m, n), a(m, k), b(b_rows, k) {
    a.random(1, 0.5f), b.random(2, 0.5f);
  }
};

template <class T>
bench::traffic traffic_of(index_t m, index_t n, index_t b_rows, index_t k) {
  return {.bytes = static_cast<index_t>(sizeof(T)) * (m * n + m * k + b_rows * k), .operations = 2 * m * b_rows * k};
}

template <class T>
void gemm(benchmark::State& state) {
  auto const m = state.range(0), n = state.range(1), k = state.range(2);
  bench::measure(
      state, traffic_of<T>(m, n, n, k), [&] { return std::make_unique<operands<T>>(m, n, n, k); },
      [](tenon::context const& where, operands<T>& o) {
        return tenon::gemm(where, o.d.view(), o.a.view(), o.b.view());
      });
}

template <class T>
void gemm_swiglu(benchmark::State& state) {
  auto const m = state.range(0), n = state.range(1), k = state.range(2), rows = tenon::paired_rows(n);
  bench::measure(
      state, traffic_of<T>(m, n, rows, k), [&] { return std::make_unique<operands<T>>(m, n, rows, k); },
      [](tenon::context const& where, operands<T>& o) {
        return tenon::gemm(where, o.d.view(), o.a.view(), o.b.view(), {}, tenon::epilogue::swiglu());
      });
}

#if defined(TENON_CUBLASLT)
/// D^T = B A^T in cuBLASLt's column-major terms; the plan is made once, outside the measurement.
template <class T>
class cublaslt_plan {
 public:
  cublaslt_plan(index_t m, index_t n, index_t k) {
    constexpr cudaDataType_t type       = std::is_same_v<T, float> ? CUDA_R_32F
                                          : std::is_same_v<T, f16> ? CUDA_R_16F
                                                                   : CUDA_R_16BF;
    cublasOperation_t const  transposed = CUBLAS_OP_T;
    cublasLtCreate(&handle_);
    cublasLtMatmulDescCreate(&product_, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    cublasLtMatmulDescSetAttribute(product_, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed);
    cublasLtMatrixLayoutCreate(&b_, type, static_cast<std::uint64_t>(k), static_cast<std::uint64_t>(n), k);
    cublasLtMatrixLayoutCreate(&a_, type, static_cast<std::uint64_t>(k), static_cast<std::uint64_t>(m), k);
    cublasLtMatrixLayoutCreate(&d_, type, static_cast<std::uint64_t>(n), static_cast<std::uint64_t>(m), n);
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulPreferenceCreate(&preference);
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                                         sizeof workspace_bytes);
    int found = 0;
    cublasLtMatmulAlgoGetHeuristic(handle_, product_, b_, a_, d_, d_, preference, 1, &choice_, &found);
    cublasLtMatmulPreferenceDestroy(preference);
    usable_ = found == 1 && cudaMalloc(&workspace_, workspace_bytes) == cudaSuccess;
  }
  cublaslt_plan(cublaslt_plan const&) = delete;
  ~cublaslt_plan() {
    cudaFree(workspace_);
    cublasLtMatrixLayoutDestroy(a_), cublasLtMatrixLayoutDestroy(b_), cublasLtMatrixLayoutDestroy(d_);
    cublasLtMatmulDescDestroy(product_);
    cublasLtDestroy(handle_);
  }

  tenon::status run(tenon::context const& where, operands<T>& o) const {
    float const one = 1.f, zero = 0.f;
    if (usable_ && cublasLtMatmul(handle_, product_, &one, o.b.view().data, b_, o.a.view().data, a_, &zero,
                                  o.d.view().data, d_, o.d.view().data, d_, &choice_.algo, workspace_, workspace_bytes,
                                  where.stream) == CUBLAS_STATUS_SUCCESS)
      return {};
    return {tenon::errc::unsupported, "cublaslt", "cublaslt has no algorithm for this product"};
  }

 private:
  static constexpr std::size_t    workspace_bytes = 32 << 20;
  cublasLtHandle_t                handle_         = nullptr;
  cublasLtMatmulDesc_t            product_        = nullptr;
  cublasLtMatrixLayout_t          a_ = nullptr, b_ = nullptr, d_ = nullptr;
  cublasLtMatmulHeuristicResult_t choice_{};
  void*                           workspace_ = nullptr;
  bool                            usable_    = false;
};

template <class T>
void cublaslt(benchmark::State& state) {
  auto const             m = state.range(0), n = state.range(1), k = state.range(2);
  cublaslt_plan<T> const plan(m, n, k);
  bench::measure(
      state, traffic_of<T>(m, n, n, k), [&] { return std::make_unique<operands<T>>(m, n, n, k); },
      [&](tenon::context const& where, operands<T>& o) { return plan.run(where, o); });
}
#endif

void layers(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "n", "k"})->Apply(bench::timed);
#if TENON_CUDA
  for (index_t const m : {1, 4, 16, 64, 512, 4096})
    for (auto const& [n, k] :
         {std::pair{6144, 4096}, std::pair{4096, 4096}, std::pair{28672, 4096}, std::pair{4096, 14336}})
      b->Args({m, n, k});
#else
  for (index_t const m : {1, 16, 128})
    for (auto const& [n, k] : {std::pair{64, 64}, std::pair{64, 172}, std::pair{192, 192}, std::pair{512, 192},
                               std::pair{2048, 192}, std::pair{4096, 4096}})
      if (m * n * k <= 128 * 2048 * 192) b->Args({m, n, k});
#endif
}

BENCHMARK(gemm<bf16>)->Apply(layers);
#if defined(TENON_CUBLASLT)
BENCHMARK(cublaslt<bf16>)->Apply(layers);
#endif
BENCHMARK(gemm_swiglu<bf16>)->Apply(layers);
BENCHMARK(gemm<f16>)->Apply(layers);
#if defined(TENON_CUBLASLT)
BENCHMARK(cublaslt<f16>)->Apply(layers);
#endif
BENCHMARK(gemm<float>)->Apply(layers);
#if defined(TENON_CUBLASLT)
BENCHMARK(cublaslt<float>)->Apply(layers);
#endif
BENCHMARK(gemm_swiglu<float>)->Apply(layers);

}  // namespace
