// Layer normalisation of each row, a block a row: Welford's mean and squares per thread, merged by shuffles; float4 loads.
// Planted: the row of a later block starts at a float4 that is not aligned.
#include <tenon/simt/cuda.hpp>

struct moments {
  float mean, squares, count;
};

__device__ moments merged(moments a, moments b) {
  float const count = a.count + b.count, d = b.mean - a.mean, share = count > 0.0f ? b.count / count : 0.0f;
  return {a.mean + d * share, a.squares + b.squares + d * d * a.count * share, count};
}

__global__ void layer_norm(float* y, float const* x, float const* weight, float const* bias, int columns, int stride) {
  __shared__ moments of_warp[32];
  moments            m{0.0f, 0.0f, 0.0f};
#if PLANTED
  float const* const row = x + blockIdx.x * (stride - 1);
#else
  float const* const row = x + blockIdx.x * stride;
#endif
  for (int i = threadIdx.x; i < columns / 4; i += blockDim.x) {
    float4 const v = __ldg(reinterpret_cast<float4 const*>(row) + i);  // [load]
    m              = merged(m, {v.x, 0.0f, 1.0f});
    m              = merged(m, {v.y, 0.0f, 1.0f});
    m              = merged(m, {v.z, 0.0f, 1.0f});
    m              = merged(m, {v.w, 0.0f, 1.0f});
  }
  for (int d = 16; d > 0; d /= 2) {
    moments other;
    other.mean    = __shfl_down_sync(~0u, m.mean, d);
    other.squares = __shfl_down_sync(~0u, m.squares, d);
    other.count   = __shfl_down_sync(~0u, m.count, d);
    m             = merged(m, other);
  }
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = m;
  __syncthreads();
  m = of_warp[0];
  for (unsigned w = 1; w < blockDim.x / 32; ++w) m = merged(m, of_warp[w]);
  float const scale = rsqrtf(m.squares / columns + 1e-5f);
  for (int i = threadIdx.x; i < columns; i += blockDim.x)
    y[blockIdx.x * columns + i] = (row[i] - m.mean) * scale * weight[i] + bias[i];
}
