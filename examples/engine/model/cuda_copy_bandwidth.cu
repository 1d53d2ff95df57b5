#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>

#include "engine/model/copy_bandwidth.hpp"

namespace tenon::engine {

double cuda_copy_bandwidth() {
  std::size_t available = 0, total = 0;
  cudaMemGetInfo(&available, &total);
  std::size_t const bytes = std::min(std::size_t{1} << 30, available / 4);
  void *            from = nullptr, *to = nullptr;
  cudaEvent_t       began, ended;
  cudaEventCreate(&began), cudaEventCreate(&ended);
  float best = 0;
  if (cudaMalloc(&from, bytes) == cudaSuccess && cudaMalloc(&to, bytes) == cudaSuccess)
    for (int i = 0; i < 8; ++i) {
      cudaEventRecord(began);
      cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice);
      cudaEventRecord(ended);
      cudaEventSynchronize(ended);
      float milliseconds = 0;
      cudaEventElapsedTime(&milliseconds, began, ended);
      best = best == 0 ? milliseconds : std::min(best, milliseconds);
    }
  cudaFree(from), cudaFree(to), cudaEventDestroy(began), cudaEventDestroy(ended);
  return best > 0 ? 2e3 * static_cast<double>(bytes) / best : 0;
}

}  // namespace tenon::engine
