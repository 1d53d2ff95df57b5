#pragma once
//  Memory that operators work on: the machine's own on the host target, the device's on CUDA.
#include <tenon/config.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/error.hpp"
#if TENON_CUDA
#  include <cuda_runtime_api.h>
#else
#  include <cstring>

#  include <sys/mman.h>
#endif

namespace tenon::engine::inline TENON_TARGET {

/// `size` elements of T, zero at first, 4096-byte aligned. Pages of the host's memory cost nothing until they are touched.
template <class T>
class array {
 public:
  array() = default;
  explicit array(std::size_t size) : size_(size) {
    if (size == 0) return;
#if TENON_CUDA
    if (cudaMalloc(reinterpret_cast<void**>(&data_), bytes()) != cudaSuccess ||
        cudaMemset(data_, 0, bytes()) != cudaSuccess)
      throw error("--device: out of device memory: wanted " + std::to_string(bytes()) + " bytes more");
#else
    void* const m = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED) throw error("--device: out of memory: wanted " + std::to_string(bytes()) + " bytes more");
    data_ = static_cast<T*>(m);
#endif
  }
  array(array&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  array& operator=(array&& other) noexcept {
    std::swap(data_, other.data_), std::swap(size_, other.size_);
    return *this;
  }
  ~array() {
    if (!data_) return;
#if TENON_CUDA
    cudaFree(data_);
#else
    munmap(data_, bytes());
#endif
  }

  T*          data() { return data_; }
  T const*    data() const { return data_; }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return size_ * sizeof(T); }

  /// The first values.size() elements take `values`.
  void upload(std::span<T const> values, std::size_t offset = 0) {
    if (offset > size_ || values.size() > size_ - offset) throw error("internal: an upload is larger than its array");
    if (values.empty()) return;
#if TENON_CUDA
    cudaMemcpy(data_ + offset, values.data(), values.size_bytes(), cudaMemcpyHostToDevice);
#else
    std::memcpy(data_ + offset, values.data(), values.size_bytes());
#endif
  }
  /// `values` take the elements from `offset` on.
  void download(std::span<T> values, std::size_t offset = 0) const {
    if (offset > size_ || values.size() > size_ - offset) throw error("internal: a download is larger than its array");
    if (values.empty()) return;
#if TENON_CUDA
    if (cudaError_t const e = cudaMemcpy(values.data(), data_ + offset, values.size_bytes(), cudaMemcpyDeviceToHost);
        e != cudaSuccess)
      throw error(std::string("--device: ") + cudaGetErrorString(e));
#else
    std::memcpy(values.data(), data_ + offset, values.size_bytes());
#endif
  }

  /// Takes the elements of `other`, on the device.
  void copy(array const& other) {
    if (size_ < other.size_) *this = array(other.size_);
#if TENON_CUDA
    cudaMemcpy(data_, other.data_, other.bytes(), cudaMemcpyDeviceToDevice);
#else
    std::memcpy(data_, other.data_, other.bytes());
#endif
  }

  template <std::convertible_to<index_t>... Extent>
  auto view(Extent... extent) {
    return dense(data_, extent...);
  }
  template <std::convertible_to<index_t>... Extent>
  auto view(Extent... extent) const {
    return dense(static_cast<T const*>(data_), extent...);
  }

 private:
  T*          data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace tenon::engine::inline TENON_TARGET
