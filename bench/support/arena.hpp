#pragma once
//  Memory for the operands of one cell of a benchmark: taken once, handed out and refilled cell by cell. Operands of one
//  name are made once per cell, so that rivals compute with the same numbers.
#include <tenon/config.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "measure.hpp"
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
/// Two numbers of the standard normal distribution, cut off at 4.7. Box and Muller 1958.
struct two_normal {
  float a, b;
  TENON_HD explicit two_normal(std::uint32_t bits) {
    float const radius = std::sqrt(-2.f * std::log((static_cast<float>(bits >> 16) + 0.5f) * 0x1p-16f));
    float const angle  = 6.2831853f * (static_cast<float>(bits & 0xffff) + 0.5f) * 0x1p-16f;
    a = radius * std::cos(angle), b = radius * std::sin(angle);
  }
};
/// Normal, of this standard deviation.
template <class T>
struct normal {
  float      deviation;
  TENON_HD T operator()(std::uint32_t bits) const { return T(two_normal(bits).a * deviation); }
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

#if TENON_CUDA
template <class T, class Draw>
__global__ void fill_elements_of_rows(T* to, index_t rows, index_t columns, index_t stride, std::uint32_t seed,
                                      Draw draw) {
  index_t const step = index_t{gridDim.x} * blockDim.x;
  for (index_t i = index_t{blockIdx.x} * blockDim.x + threadIdx.x; i < rows * columns; i += step)
    to[i / columns * stride + i % columns] = draw(scramble(static_cast<std::uint64_t>(i) * 2654435761u + seed));
}
#endif

/// `rows` runs of `columns` elements, `stride` elements apart, at random.
template <class T, class Draw>
void fill_rows(T* to, index_t rows, index_t columns, index_t stride, std::uint32_t seed, Draw draw) {
#if TENON_CUDA
  fill_elements_of_rows<<<4096, 256>>>(to, rows, columns, stride, seed, draw);
#else
  for (index_t i = 0; i < rows * columns; ++i)
    to[i / columns * stride + i % columns] = draw(scramble(static_cast<std::uint64_t>(i) * 2654435761u + seed));
#endif
}

/// Copies what the host made.
template <class T>
void upload(T* to, std::vector<T> const& from) {
#if TENON_CUDA
  cudaMemcpy(to, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice);
#else
  std::memcpy(to, from.data(), from.size() * sizeof(T));
#endif
}

/// Sets of operands that are together twice the last-level cache.
inline int sets_of(std::int64_t bytes) {
  return static_cast<int>(
      std::clamp<std::int64_t>(2 * last_level_cache() / std::max<std::int64_t>(bytes, 1) + 1, 2, 64));
}

/// "a#3": the operand of one set.
inline std::string numbered(std::string what, int set) {
  what += '#';
  return what += std::to_string(set);
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
    start_ = static_cast<std::byte*>(std::aligned_alloc(alignment, size_));
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
