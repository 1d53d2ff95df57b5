#pragma once
//  The layers that folds are judged by, as plain loops: linear, convolution, BatchNorm. Sums and results are of type T,
//  so `double` is the reference and `float` is what a network in fp32 gives.
#include <tenon/compress/fold_batch_norm.hpp>
#include <tenon/core/tensor_view.hpp>

#include "../support/seeded_values.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace test {

template <class T>
auto over(std::vector<T>& v) {
  return tenon::dense(v.data(), v.size());
}

template <class T, class V>
std::vector<T> as(std::vector<V> const& v) {
  std::vector<T> to;
  for (auto const& e : v) {
    if constexpr (std::is_floating_point_v<V>) to.push_back(static_cast<T>(e));
    else to.push_back(static_cast<T>(static_cast<float>(e)));
  }
  return to;
}

/// y (tokens, out) = x (tokens, in) w' + b, for w (out, in); no b where it is empty
template <class T>
std::vector<T> linear(std::vector<T> const& x, std::vector<T> const& w, std::vector<T> const& b, std::size_t in) {
  std::size_t const tokens = x.size() / in, out = w.size() / in;
  std::vector<T>    y(tokens * out);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t i = 0; i < out; ++i) {
      T sum = 0;
      for (std::size_t j = 0; j < in; ++j) sum += w[i * in + j] * x[t * in + j];
      y[t * out + i] = sum + (b.empty() ? T(0) : b[i]);
    }
  return y;
}

/// A convolution of one image (in, size, size) with an OIHW weight (out, in / groups, kernel, kernel), zero padding.
struct convolution {
  int in = 1, out = 1, size = 1, kernel = 1, groups = 1, stride = 1, padding = 0;

  int outputs() const { return (size + 2 * padding - kernel) / stride + 1; }

  template <class T>
  std::vector<T> operator()(std::vector<T> const& x, std::vector<T> const& w, std::vector<T> const& b) const {
    int const      n = outputs(), ins = in / groups, outs = out / groups;
    std::vector<T> y;
    for (int o = 0; o < out; ++o)
      for (int row = 0; row < n; ++row)
        for (int column = 0; column < n; ++column) {
          T sum = b.empty() ? T(0) : b[static_cast<std::size_t>(o)];
          for (int i = 0; i < ins; ++i)
            for (int r = 0; r < kernel; ++r)
              for (int c = 0; c < kernel; ++c) {
                int const from_row = row * stride + r - padding, from_column = column * stride + c - padding;
                if (from_row < 0 || from_row >= size || from_column < 0 || from_column >= size) continue;
                int const channel = o / outs * ins + i;
                sum += w[static_cast<std::size_t>(((o * ins + i) * kernel + r) * kernel + c)] *
                       x[static_cast<std::size_t>((channel * size + from_row) * size + from_column)];
              }
          y.push_back(sum);
        }
    return y;
  }
};

/// Running statistics, none of them plain: variances of 0.05 to 4, some gammas negative.
template <class T>
struct norm_values {
  std::vector<T> gamma, beta, mean, variance;
  double         eps = 1e-5;

  explicit norm_values(std::size_t channels, std::uint64_t seed)
      : gamma(normal<T>(channels, seed)),
        beta(normal<T>(channels, seed + 1)),
        mean(normal<T>(channels, seed + 2)),
        variance(uniform<T>(channels, seed + 3, 0.05, 4)) {}

  /// x[before, channels, behind], normalised in double.
  std::vector<double> operator()(std::vector<double> x, std::size_t behind = 1) const {
    for (std::size_t i = 0; i < x.size(); ++i) {
      std::size_t const c   = i / behind % gamma.size();
      auto const        of  = [&](std::vector<T> const& v) { return static_cast<double>(v[c]); };
      double const      std = std::sqrt(of(variance) + eps);
      x[i]                  = of(gamma) * (x[i] - of(mean)) / std + of(beta);
    }
    return x;
  }
};

template <class T>
tenon::batch_norm<T> view(norm_values<T> const& n) {
  auto const over = [](std::vector<T> const& v) { return tenon::dense(v.data(), v.size()); };
  return {over(n.gamma), over(n.beta), over(n.mean), over(n.variance), n.eps};
}

/// max |a - b| / max |b|; NaN where there is one.
template <class T>
double worst(std::vector<T> const& a, std::vector<double> const& b) {
  double difference = a.size() == b.size() ? 0 : std::nan(""), most = 0;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    double const d = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(d <= difference)) difference = d;
    most = std::max(most, std::abs(b[i]));
  }
  return most == 0 ? difference : difference / most;
}

}  // namespace test
