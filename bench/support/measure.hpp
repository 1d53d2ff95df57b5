#pragma once
//  What every bench measures with: bytes and operations, medians, the bandwidth of a copy, a context for the device.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/tensor_view.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>
#if !TENON_CUDA
#  include <unistd.h>
#endif

namespace bench {

/// What one call moves and computes at the least.
struct traffic {
  std::int64_t bytes      = 0;  // read once plus written once
  std::int64_t operations = 0;  // a multiply-add is two
};

/// Bytes that a view's elements take when each is moved once.
template <class T, int Rank>
std::int64_t bytes(tenon::tensor_view<T, Rank> const& v) {
  return v.size() * static_cast<std::int64_t>(sizeof(T));
}

inline double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

#if TENON_CUDA
inline std::int64_t last_level_cache() {
  int bytes = 0;
  cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, 0);
  return bytes;
}

inline tenon::context device_context(cudaStream_t stream) {
  tenon::context where;
  where.stream = stream;
  where.arch   = tenon::arch::built_for();
  cudaDeviceGetAttribute(&where.multiprocessors, cudaDevAttrMultiProcessorCount, 0);
  return where;
}

/// Median seconds of work(stream), which is enqueued between two events.
template <class Work>
double event_seconds(cudaStream_t stream, int replays, Work const& work) {
  cudaEvent_t begin, end;
  cudaEventCreate(&begin), cudaEventCreate(&end);
  std::vector<double> seconds;
  for (int i = 0; i < replays; ++i) {
    cudaEventRecord(begin, stream);
    work(stream);
    cudaEventRecord(end, stream);
    cudaEventSynchronize(end);
    float milliseconds = 0;
    cudaEventElapsedTime(&milliseconds, begin, end);
    seconds.push_back(1e-3 * static_cast<double>(milliseconds));
  }
  cudaEventDestroy(begin), cudaEventDestroy(end);
  return median(seconds);
}

/// Bytes per second, read plus written, of a device-to-device copy that no cache holds.
inline double copy_bandwidth() {
  static double const measured = [] {
    std::size_t const size = std::size_t{1} << 30;
    void *            from = nullptr, *to = nullptr;
    cudaMalloc(&from, size), cudaMalloc(&to, size);
    cudaMemset(from, 1, size);
    cudaStream_t stream;
    cudaStreamCreate(&stream);
    double const seconds = event_seconds(
        stream, 11, [&](cudaStream_t s) { cudaMemcpyAsync(to, from, size, cudaMemcpyDeviceToDevice, s); });
    cudaStreamDestroy(stream);
    cudaFree(from), cudaFree(to);
    return 2 * static_cast<double>(size) / seconds;
  }();
  return measured;
}

namespace detail {
/// Reads `count` vectors and leaves nothing: the sum is stored only if it is a number that it never is.
template <class Vector>  // uint4
__global__ void __launch_bounds__(512) read_all(Vector const* from, std::size_t count, unsigned* to) {
  std::size_t const step = std::size_t{gridDim.x} * blockDim.x;
  unsigned          sum  = 0;
#  pragma unroll 8
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    Vector const v = from[i];
    sum |= v.x | v.y | v.z | v.w;
  }
  if (sum == 0x40000000u) *to = sum;
}
}  // namespace detail

/// Bytes per second of a kernel that only reads, 2 GiB that no cache holds.
inline double read_bandwidth() {
  static double const measured = [] {
    std::size_t const size = std::size_t{1} << 31;
    void *            from = nullptr, *to = nullptr;
    cudaMalloc(&from, size), cudaMalloc(&to, 4);
    cudaMemset(from, 1, size);
    int multiprocessors = 1;
    cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0);
    cudaStream_t stream;
    cudaStreamCreate(&stream);
    double const seconds = event_seconds(stream, 11, [&](cudaStream_t s) {
      detail::read_all<<<static_cast<unsigned>(4 * multiprocessors), 512, 0, s>>>(
          static_cast<uint4 const*>(from), size / 16, static_cast<unsigned*>(to));
    });
    cudaStreamDestroy(stream);
    cudaFree(from), cudaFree(to);
    return static_cast<double>(size) / seconds;
  }();
  return measured;
}
#else
inline std::int64_t last_level_cache() {
  long const level3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return level3 > 0 ? std::min<std::int64_t>(level3, 64 << 20) : 32 << 20;
}

/// Bytes per second, read plus written, of memcpy on all cores at once.
inline double copy_bandwidth() {
  static double const measured = [] {
    std::size_t const      size = std::size_t{128} << 20;
    std::vector<std::byte> from(size, std::byte{1}), to(size);
    unsigned const         cores = std::max(1u, std::thread::hardware_concurrency());
    std::vector<double>    seconds;
    for (int replay = 0; replay < 5; ++replay) {
      auto const               begin = std::chrono::steady_clock::now();
      std::vector<std::thread> threads;
      for (unsigned c = 0; c < cores; ++c)
        threads.emplace_back([&, c] {
          std::size_t const first = size * c / cores, last = size * (c + 1) / cores;
          std::memcpy(to.data() + first, from.data() + first, last - first);
        });
      for (auto& t : threads) t.join();
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    return 2 * static_cast<double>(size) / median(seconds);
  }();
  return measured;
}

/// Bytes per second that all cores at once read, of memory that no cache holds.
inline double read_bandwidth() {
  static double const measured = [] {
    std::size_t const          count = std::size_t{32} << 20;
    std::vector<std::uint64_t> from(count, 1);
    unsigned const             cores = std::max(1u, std::thread::hardware_concurrency());
    std::vector<double>        seconds;
    std::vector<std::uint64_t> sums(cores);
    for (int replay = 0; replay < 5; ++replay) {
      auto const               begin = std::chrono::steady_clock::now();
      std::vector<std::thread> threads;
      for (unsigned c = 0; c < cores; ++c)
        threads.emplace_back([&, c] {
          std::uint64_t sum = 0;
          for (std::size_t i = count * c / cores; i < count * (c + 1) / cores; ++i) sum += from[i];
          sums[c] += sum;
        });
      for (auto& t : threads) t.join();
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    bool const summed = sums[0] != 0;  // or the loop would be nobody's
    return summed ? 8 * static_cast<double>(count) / median(seconds) : 0;
  }();
  return measured;
}
#endif

}  // namespace bench
