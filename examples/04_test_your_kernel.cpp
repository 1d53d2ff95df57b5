//  A plain CUDA kernel, run and checked on the CPU: once as it should be, once without its barrier. nvcc compiles the same
//  kernel as it stands. (Built with tenon_add_checked_test; `std::cout << found` prints lines, threads and advice.)
//  $ ./04_test_your_kernel          prints:
//    with the barrier: clean; y = 63 ... 0
//    without it: race: read after write, at tile[31] (float)
#include <tenon/simt/check.hpp>
#include <tenon/simt/cuda.hpp>

#include <cstdio>
#include <vector>

template <bool Barrier>
__global__ void reverse(float* y, float const* x) {
  __shared__ float tile[64];
  tile[threadIdx.x] = x[threadIdx.x];
  if (Barrier) __syncthreads();
  y[threadIdx.x] = tile[63 - threadIdx.x];
}

int main() {
  // Device memory: unset until written, guarded on both sides.
  std::vector<float> numbers;
  for (int i = 0; i < 64; ++i) numbers.push_back(static_cast<float>(i));
  tenon::simt::buffer<float>       y(64);
  tenon::simt::buffer<float> const x(numbers);

  tenon::simt::report const good = tenon::simt::check({.seed = 1}, reverse<true>, 1, 64, 0, y.data(), x.data());
  std::printf("with the barrier: %s; y = %g ... %g\n", good.clean() ? "clean" : "not clean",
              static_cast<double>(y.values().front()), static_cast<double>(y.values().back()));

  tenon::simt::report const found = tenon::simt::check({.seed = 1}, reverse<false>, 1, 64, 0, y.data(), x.data());
  for (auto const& finding : found.findings)
    std::printf("without it: %s, at %s\n", to_string(finding.what),
                finding.bytes.substr(0, finding.bytes.find(':')).c_str());
}
