#pragma once
//  Tensors that own the memory an operator works on, and the runs that every operator's test makes.
//
//  One test source serves three programs: plain on the host target, checked on the host target, and CUDA.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#if !TENON_CUDA
#  include <tenon/simt/buffer.hpp>
#endif

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace test {

using tenon::index_t;

/// Operator's memory of T with a dense shape. Fill it, hand `view()` to an operator, read `values()` back.
template <class T, int Rank>
class tensor {
 public:
  template <std::convertible_to<index_t>... Extent>
  explicit tensor(Extent... extent) : view_(tenon::dense(static_cast<T*>(nullptr), extent...)) {
    static_assert(sizeof...(Extent) == Rank, "test::tensor: one extent per axis");
    allocate();
  }
  tensor(tensor const&)            = delete;
  tensor& operator=(tensor const&) = delete;
#if TENON_CUDA
  ~tensor() { cudaFree(view_.data); }
#endif

  tenon::tensor_view<T, Rank>       view() { return view_; }
  tenon::tensor_view<T const, Rank> view() const { return tenon::as_const(view_); }
  std::size_t                       size() const { return static_cast<std::size_t>(view_.size()); }

  /// Seeded values, normal with the given standard deviation.
  tensor& random(std::uint64_t seed, float deviation = 1.f) {
    std::mt19937_64            engine(seed);
    std::normal_distribution<> normal(0, deviation);
    std::vector<T>             v(size());
    for (auto& e : v) e = T(static_cast<float>(normal(engine)));
    return assign(v);
  }
  tensor& fill(T value) { return assign(std::vector<T>(size(), value)); }
  tensor& assign(std::vector<T> const& v) {
    if (v.size() != size()) throw std::invalid_argument("test::tensor: wrong number of values");
    if (v.empty()) return *this;
#if TENON_CUDA
    cudaMemcpy(view_.data, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice);
#else
    memory_.assign(v);
#endif
    return *this;
  }
  std::vector<T> values() const {
#if TENON_CUDA
    std::vector<T> v(size());
    if (v.empty()) return v;
    cudaDeviceSynchronize();
    cudaMemcpy(v.data(), view_.data, v.size() * sizeof(T), cudaMemcpyDeviceToHost);
    return v;
#else
    return memory_.values();
#endif
  }

 private:
  void allocate() {
#if TENON_CUDA
    cudaMalloc(&view_.data, size() * sizeof(T));
#else
    memory_    = tenon::simt::buffer<T>(size());
    view_.data = memory_.data();
#endif
  }

  tenon::tensor_view<T, Rank> view_;
#if !TENON_CUDA
  tenon::simt::buffer<T> memory_;
#endif
};

/// A dense view over a vector, for the reference.
template <class T, std::convertible_to<index_t>... Extent>
auto over(std::vector<T>& v, Extent... extent) {
  return tenon::dense(v.data(), extent...);
}
template <class T, std::convertible_to<index_t>... Extent>
auto over(std::vector<T> const& v, Extent... extent) {
  return tenon::dense(v.data(), extent...);
}

/// sqrt(sum (a - b)^2 / sum b^2): the relative Frobenius error of a against b; NaN anywhere gives infinity.
template <class A, class B>
double relative_error(std::vector<A> const& a, std::vector<B> const& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    double const x = static_cast<double>(static_cast<float>(a[i])), y = static_cast<double>(static_cast<float>(b[i]));
    difference += (x - y) * (x - y), norm += y * y;
  }
  if (std::isnan(difference) || std::isnan(norm)) return std::numeric_limits<double>::infinity();
  return norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
}

/// The bound of docs/design.md for an output of type T.
template <class T>
constexpr double tolerance() {
  if constexpr (std::is_same_v<T, tenon::bf16>) return 2.5e-3;
  if constexpr (std::is_same_v<T, tenon::f16>) return 4e-4;
  return 2e-6;
}

/// Equal bits, element by element.
template <class T>
bool same_bits(std::vector<T> const& a, std::vector<T> const& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace test
