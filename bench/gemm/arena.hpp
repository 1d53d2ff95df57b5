#pragma once
//  Memory for the operands of one cell of the benchmark: taken once, handed out and refilled cell by cell. Operands of one
//  name are made once per cell, so that rivals multiply the same numbers.
#include <tenon/config.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#if TENON_CUDA
#  include <cuda_runtime_api.h>
#endif

namespace bench {

using tenon::index_t;

/// 32 bits that look random. Mueller's integer hash.
TENON_HD constexpr std::uint32_t scramble(std::uint64_t i) {
  std::uint32_t x = static_cast<std::uint32_t>(i) ^ static_cast<std::uint32_t>(i >> 32) * 0x9e3779b9u;
  x               = (x ^ x >> 16) * 0x45d9f3bu;
  x               = (x ^ x >> 16) * 0x45d9f3bu;
  return x ^ x >> 16;
}

/// Uniform in [-bound, bound).
template <class T>
struct uniform {
  float      bound;
  TENON_HD T operator()(std::uint32_t bits) const {
    float const v = (static_cast<float>(bits >> 8) * 0x1p-23f - 1.f) * bound;
    if constexpr (sizeof(T) == 4) return v;
    else return T(v);
  }
};
/// Any bits of a byte that `mask` leaves.
template <class T>
struct any_byte {
  std::uint32_t mask = 0xff;
  TENON_HD T    operator()(std::uint32_t bits) const { return static_cast<T>(bits & mask); }
};
/// Any number of e4m3 but the largest and the NaN.
struct any_e4m3 {
  TENON_HD std::byte operator()(std::uint32_t bits) const {
    std::uint32_t const code = bits & 0xff;
    return static_cast<std::byte>((code & 0x7e) == 0x7e ? code ^ 0x40 : code);
  }
};
/// A scale in [0.01, 0.03).
template <class T>
struct any_scale {
  TENON_HD T operator()(std::uint32_t bits) const {
    float const v = 0.01f + 0.02f * static_cast<float>(bits >> 8) * 0x1p-24f;
    if constexpr (sizeof(T) == 4) return v;
    else return T(v);
  }
};

#if TENON_CUDA
template <class T, class Draw>
__global__ void fill_elements(T* to, index_t count, std::uint32_t seed, Draw draw) {
  index_t const step = index_t{gridDim.x} * blockDim.x;
  for (index_t i = index_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step)
    to[i] = draw(scramble(static_cast<std::uint64_t>(i) * 2654435761u + seed));
}
#endif

/// to[0..count) at random, the same for the same seed.
template <class T, class Draw>
void fill(T* to, index_t count, std::uint32_t seed, Draw draw) {
#if TENON_CUDA
  fill_elements<<<4096, 256>>>(to, count, seed, draw);
#else
  for (index_t i = 0; i < count; ++i) to[i] = draw(scramble(static_cast<std::uint64_t>(i) * 2654435761u + seed));
#endif
}

class arena {
 public:
  /// At most `bytes` of them; less where the device has less.
  explicit arena(std::size_t bytes) : size_(bytes) {
#if TENON_CUDA
    std::size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    size_ = free / 10 * 9 < size_ ? free / 10 * 9 : size_;
    if (cudaMalloc(&start_, size_) != cudaSuccess) start_ = nullptr, size_ = 0;
#else
    start_                                  = static_cast<std::byte*>(std::aligned_alloc(alignment, size_));
    if (!start_) size_ = 0;
#endif
  }
  arena(arena const&) = delete;
  ~arena() {
#if TENON_CUDA
    cudaFree(start_);
#else
    std::free(start_);
#endif
  }

  /// Forgets every operand.
  void reset() { used_ = 0, full_ = false, named_.clear(); }
  /// Whether an operand since the last reset had no room. Its address was null.
  bool full() const { return full_; }

  /// The operand of that name: `count` elements, made by make(pointer) the first time.
  template <class T, class Make>
  T* operand(std::string const& name, index_t count, Make const& make) {
    if (auto const at = named_.find(name); at != named_.end()) return reinterpret_cast<T*>(at->second);
    std::size_t const bytes = (static_cast<std::size_t>(count) * sizeof(T) + alignment - 1) / alignment * alignment;
    if (bytes > size_ - used_) return full_ = true, nullptr;
    T* const made = reinterpret_cast<T*>(start_ + used_);
    used_ += bytes;
    named_[name] = start_ + (used_ - bytes);
    make(made);
    return made;
  }

 private:
  static constexpr std::size_t      alignment = 1024;
  std::byte*                        start_    = nullptr;
  std::size_t                       size_ = 0, used_ = 0;
  bool                              full_ = false;
  std::map<std::string, std::byte*> named_;
};

}  // namespace bench
