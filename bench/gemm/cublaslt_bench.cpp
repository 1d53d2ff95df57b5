//  What cuBLASLt offers for the same products: every algorithm that its heuristic names, over the same operands.
#include "product.hpp"

#if defined(TENON_CUBLASLT)
#  include <cublasLt.h>
#  include <tenon/core/integer.hpp>
#  include <tenon/core/vec.hpp>
#  include <tenon/op/activation.hpp>

#  include <memory>

namespace {

using bench::index_t;

/// How one type of product is described to cuBLASLt.
struct kind {
  cudaDataType_t      inputs, output;
  cublasComputeType_t compute;
  cudaDataType_t      scalars;
  int                 input_bytes, output_bytes;
};

kind kind_of(std::string const& type) {
  if (type == "f16") return {CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_32F, CUDA_R_32F, 2, 2};
  if (type == "f32") return {CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, CUDA_R_32F, 4, 4};
  if (type == "tf32") return {CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32, CUDA_R_32F, 4, 4};
  if (type == "int8") return {CUDA_R_8I, CUDA_R_32I, CUBLAS_COMPUTE_32I, CUDA_R_32I, 1, 4};
  if (type == "fp8" || type == "fp8 block") return {CUDA_R_8F_E4M3, CUDA_R_16BF, CUBLAS_COMPUTE_32F, CUDA_R_32F, 1, 2};
  return {CUDA_R_16BF, CUDA_R_16BF, CUBLAS_COMPUTE_32F, CUDA_R_32F, 2, 2};
}

/// A description and its layouts: D^T = B A^T in cuBLASLt's column-major terms.
struct description {
  kind                   as;
  cublasLtMatmulDesc_t   product = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;

  description(kind const& k_, index_t m, index_t n, index_t k) : as(k_) {
    cublasOperation_t const transposed = CUBLAS_OP_T;
    cublasLtMatmulDescCreate(&product, as.compute, as.scalars);
    cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed);
    cublasLtMatrixLayoutCreate(&b, as.inputs, static_cast<std::uint64_t>(k), static_cast<std::uint64_t>(n), k);
    cublasLtMatrixLayoutCreate(&a, as.inputs, static_cast<std::uint64_t>(k), static_cast<std::uint64_t>(m), k);
    cublasLtMatrixLayoutCreate(&d, as.output, static_cast<std::uint64_t>(n), static_cast<std::uint64_t>(m), n);
  }
  description(description const&) = delete;
  ~description() {
    cublasLtMatrixLayoutDestroy(a), cublasLtMatrixLayoutDestroy(b), cublasLtMatrixLayoutDestroy(d);
    cublasLtMatmulDescDestroy(product);
  }
  void scales(float const* of_b, float const* of_a, std::int32_t b_mode, std::int32_t a_mode) {
    cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &of_b, sizeof of_b);
    cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &of_a, sizeof of_a);
    cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &b_mode, sizeof b_mode);
    cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &a_mode, sizeof a_mode);
  }
};

cublasLtHandle_t handle() {
  static cublasLtHandle_t const made = [] {
    cublasLtHandle_t h = nullptr;
    cublasLtCreate(&h);
    return h;
  }();
  return made;
}

constexpr std::size_t workspace_bytes = std::size_t{64} << 20;

void* workspace() {
  static void* const made = [] {
    void* p = nullptr;
    cudaMalloc(&p, workspace_bytes);
    return p;
  }();
  return made;
}

struct places {
  void const * a, *b;
  void*        d;
  tenon::bf16* gated = nullptr;  // where the product is gated after it: (m, n / 2)
};

/// gated[i, j] = silu(x[i, j]) x[i, half + j], eight neighbours at a time: what follows a product that cannot gate by itself
__global__ void gate_rows(tenon::bf16* gated, tenon::bf16 const* x, index_t rows, index_t half) {
  using eight         = tenon::vec<tenon::bf16, 8>;
  index_t const steps = half / 8, all = rows * steps;
  for (index_t i = index_t{blockIdx.x} * blockDim.x + threadIdx.x; i < all; i += index_t{gridDim.x} * blockDim.x) {
    index_t const row = i / steps, column = i % steps * 8;
    eight const   gate = *reinterpret_cast<eight const*>(x + row * 2 * half + column);
    eight const   up   = *reinterpret_cast<eight const*>(x + row * 2 * half + half + column);
    eight         out;
    for (int e = 0; e < 8; ++e)
      out[e] = tenon::bf16(tenon::silu(static_cast<float>(gate[e])) * static_cast<float>(up[e]));
    *reinterpret_cast<eight*>(gated + row * half + column) = out;
  }
}

/// One algorithm for one description, over rotated operands.
struct algorithm {
  std::shared_ptr<description> how;
  std::vector<places>          operands;
  cublasLtMatmulAlgo_t         choice;
  index_t                      m, n;

  tenon::status operator()(tenon::context const& where, int set) const {
    places const&      o       = operands[static_cast<std::size_t>(set)];
    float const        real[]  = {1.f, 0.f};
    std::int32_t const whole[] = {1, 0};
    bool const         integer = how->as.scalars == CUDA_R_32I;
    void const* const  alpha   = integer ? static_cast<void const*>(&whole[0]) : &real[0];
    void const* const  beta    = integer ? static_cast<void const*>(&whole[1]) : &real[1];
    if (cublasLtMatmul(handle(), how->product, alpha, o.b, how->b, o.a, how->a, beta, o.d, how->d, o.d, how->d, &choice,
                       workspace(), workspace_bytes, where.stream) != CUBLAS_STATUS_SUCCESS)
      return {tenon::errc::unsupported, "cublaslt", "algorithm"};
    if (o.gated) {
      index_t const blocks = tenon::ceil_div(m * n / 16, index_t{256});
      gate_rows<<<static_cast<unsigned>(tenon::min<index_t>(blocks, 1 << 16)), 256, 0, where.stream>>>(
          o.gated, static_cast<tenon::bf16 const*>(o.d), m, n / 2);
    }
    return {};
  }
};

}  // namespace

bench::product bench::cublaslt_product(arena& memory, std::string const& type, index_t m, index_t n, index_t k,
                                       int algorithms) {
  kind const as = kind_of(type);
  product    p;
  p.weight_bytes = as.input_bytes * n * k;
  p.moved = {.bytes = p.weight_bytes + as.input_bytes * m * k + as.output_bytes * m * n, .operations = 2 * m * n * k};
  p.sets  = sets_of(p.moved.bytes);
  std::vector<places> operands;
  for (int set = 0; set < p.sets; ++set) {
    auto const bytes = [&](std::string const& what, index_t rows) {
      return memory.operand<std::byte>(numbered(what + type + std::to_string(rows), set), rows * k, [&](std::byte* to) {
        auto const seed = static_cast<std::uint32_t>(rows + set);
        if (type == "int8") fill(to, rows * k, seed, any_byte<std::byte>{});
        else fill(to, rows * k, seed, any_e4m3{});
      });
    };
    if (as.input_bytes == 1)
      operands.push_back({bytes("a", m), bytes("b", n), output_operand<float>(memory, m, n, set)});
    else if (type == "bf16" || type == "bf16 + swiglu")
      operands.push_back({dense_operand<tenon::bf16>(memory, "a", m, k, set, 1.f),
                          dense_operand<tenon::bf16>(memory, "b", n, k, set, 0.05f),
                          output_operand<tenon::bf16>(memory, m, n, set),
                          type == "bf16" ? nullptr : output_operand<tenon::bf16>(memory, m, n / 2, set)});
    else if (type == "f16")
      operands.push_back({dense_operand<tenon::f16>(memory, "a", m, k, set, 1.f),
                          dense_operand<tenon::f16>(memory, "b", n, k, set, 0.05f),
                          output_operand<tenon::f16>(memory, m, n, set)});
    else
      operands.push_back({dense_operand<float>(memory, "a", m, k, set, 1.f),
                          dense_operand<float>(memory, "b", n, k, set, 0.05f),
                          output_operand<float>(memory, m, n, set)});
  }

  auto const how = std::make_shared<description>(as, m, n, k);
  if (type == "fp8" || type == "fp8 block") {
    // Enough for a vector of m or n, and for blocks of either kind.
    index_t const most  = std::max(m, n) * ((k + 127) / 128 + 4);
    float* const  scale = memory.operand<float>(std::to_string(most) + " scales of cublaslt", most,
                                               [&](float* to) { fill(to, most, 1, any_scale<float>{}); });
    if (type == "fp8")
      how->scales(scale, scale, CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F, CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F);
    else
      how->scales(scale, scale, CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F, CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F);
  }
  if (memory.full()) return p;

  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtMatmulPreferenceCreate(&preference);
  cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                                       sizeof workspace_bytes);
  constexpr int                   most_algorithms = 128;
  cublasLtMatmulHeuristicResult_t found[most_algorithms];  // no std::vector: nvcc 13.0 fails on its element
  int                             count = 0;
  if (cublasLtMatmulAlgoGetHeuristic(handle(), how->product, how->b, how->a, how->d, how->d, preference,
                                     std::min(algorithms, most_algorithms), found, &count) != CUBLAS_STATUS_SUCCESS)
    count = 0;
  cublasLtMatmulPreferenceDestroy(preference);
  for (int i = 0; i < count; ++i) {
    auto const& choice = found[i];
    if (choice.state != CUBLAS_STATUS_SUCCESS || choice.workspaceSize > workspace_bytes) continue;
    std::string const name = i == 0 ? "heuristic" : "algorithm " + std::to_string(i);
    p.ways.push_back({name, algorithm{how, operands, choice.algo, m, n}});
  }
  return p;
}

#else
bench::product bench::cublaslt_product(arena&, std::string const&, index_t, index_t, index_t, int) { return {}; }
#endif
