#pragma once
//  How far a tensor is from another: the measures that people ask for, gathered in one pass over as many pieces as they come in.
//
//  An error of 1e-3 says nothing by itself: of what size, in which format, in how many elements? So each comparison has an absolute, a
//  relative and an angular measure, and counts units in the last place (ulp) of the format in which the tested tensor is stored.
//  Plain C++, double sums.
#include <tenon/core/numeric.hpp>
#include <tenon/core/status.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

namespace tenon {

/// A binary floating-point format, as far as its spacing goes: 2^(e - digits + 1) between 2^e and 2^(e + 1), and below
/// 2^min_exponent as just above it.
struct float_spacing {
  int digits       = 24;  // of the significand, the implied one included
  int min_exponent = -126;

  /// The distance of two neighbours at |v|.
  double at(double v) const {
    int const exponent = v == 0 || !std::isfinite(v) ? min_exponent : std::max(std::ilogb(v), min_exponent);
    return std::ldexp(1., exponent - digits + 1);
  }
};

template <class T>
inline constexpr float_spacing spacing_of{std::numeric_limits<T>::digits, std::numeric_limits<T>::min_exponent - 1};
template <>
inline constexpr float_spacing spacing_of<f16>{11, -14};
template <>
inline constexpr float_spacing spacing_of<bf16>{8, -126};

/// Compares x, the reference, with y, what is tested, element by element:
///
///   max_abs           max |y - x|                  mean_abs  mean |y - x|
///   rel_l2            |y - x| / |x|                sqnr      20 log10(|x| / |y - x|)   dB
///   one_minus_cosine  1 - x.y / (|x| |y|), computed from the difference, so that it is not rounded away
///   ulp               |y - x| / spacing(x), rounded to nearest; `spacing` at |x|, but at least at the root mean square of the piece,
///                     so that elements near zero do not stand for all. max_ulp_near_zero is without that floor.
///
/// Elements of which one is not finite are in none of these: `broken` counts those where the two differ.
/// Test tests/precision/tensor_error_test.cpp.   Page docs/align.md.
class tensor_error {
 public:
  struct worst_element {
    std::int64_t index     = -1;  // in the order in which they came
    double       reference = 0, tested = 0;
  };

  /// `tested`: the format in which the tested tensor is stored.
  explicit tensor_error(float_spacing tested = spacing_of<float>) : spacing_(tested) {}

  /// More elements of the two, in the same order. shape_mismatch(tested) where they are not as many.
  template <class X, class Y>
  status add(std::span<X const> reference, std::span<Y const> tested) {
    if (reference.size() != tested.size())
      return {errc::shape_mismatch, "tensor_error", "tested", static_cast<std::int64_t>(tested.size()),
              static_cast<std::int64_t>(reference.size())};
    double      squares = 0;
    std::size_t finite  = 0;
    for (X const& v : reference) {
      double const x = wide(v);
      if (std::isfinite(x)) squares += x * x, ++finite;
    }
    double const usual = finite > 0 ? std::sqrt(squares / static_cast<double>(finite)) : 0;
    for (std::size_t i = 0; i < reference.size(); ++i) add_one(wide(reference[i]), wide(tested[i]), usual);
    return {};
  }

  std::int64_t count() const { return count_; }
  std::int64_t broken() const { return broken_; }
  double       max_abs() const { return max_abs_; }
  double       mean_abs() const { return compared() > 0 ? abs_ / static_cast<double>(compared()) : 0; }
  double       rel_l2() const { return ratio(ee_, xx_); }
  double       sqnr() const { return ee_ > 0 ? 10 * std::log10(xx_ / ee_) : std::numeric_limits<double>::infinity(); }
  double       one_minus_cosine() const {
          double const x = std::sqrt(xx_), y = std::sqrt(std::max(0., xx_ + 2 * xe_ + ee_));
          if (x == 0 || y == 0) return x == y ? 0 : 1;
    double const longer = (2 * xe_ + ee_) / (x + y);  // |y| - |x|
          return std::max(0., (ee_ - longer * longer) / (2 * x * y));
  }
  std::int64_t  max_ulp() const { return max_ulp_; }
  std::int64_t  max_ulp_near_zero() const { return max_ulp_near_zero_; }
  worst_element worst() const { return worst_; }

  /// The least number of ulp that a share `q` of the elements do not exceed; above 64 ulp at most an eighth too much.
  std::int64_t ulp_quantile(double q) const {
    auto const   wanted = static_cast<std::int64_t>(std::ceil(q * static_cast<double>(compared())));
    std::int64_t seen   = 0;
    for (std::size_t b = 0; b < bins_.size(); ++b)
      if ((seen += bins_[b]) >= wanted && seen > 0) return std::min(upper_edge(b), max_ulp_);
    return max_ulp_;
  }
  /// Elements that are off by 0, 1, 2 to 3, 4 to 7, and 8 or more ulp.
  std::array<std::int64_t, 5> ulp_histogram() const {
    std::array<std::int64_t, 5> h{};
    for (std::size_t b = 0; b < bins_.size(); ++b) h[b < 2 ? b : b < 4 ? 2 : b < 8 ? 3 : 4] += bins_[b];
    return h;
  }

 private:
  static constexpr std::size_t exact = 64;  // bins of one number of ulp each; then eight to an octave

  static std::size_t bin_of(std::int64_t ulp) {
    if (ulp < static_cast<std::int64_t>(exact)) return static_cast<std::size_t>(ulp);
    int const octave = std::ilogb(static_cast<double>(ulp));
    return exact + static_cast<std::size_t>(octave - 6) * 8 + static_cast<std::size_t>((ulp >> (octave - 3)) - 8);
  }
  static std::int64_t upper_edge(std::size_t bin) {
    if (bin < exact) return static_cast<std::int64_t>(bin);
    std::size_t const octave = (bin - exact) / 8 + 6;
    return (static_cast<std::int64_t>((bin - exact) % 8 + 9) << (octave - 3)) - 1;
  }
  static std::int64_t ulps(double difference, double spacing) {
    return static_cast<std::int64_t>(std::min(std::nearbyint(difference / spacing), 0x1p60));
  }
  template <class E>
  static double wide(E const& v) {
    if constexpr (std::is_arithmetic_v<E>) return static_cast<double>(v);
    else return static_cast<double>(static_cast<float>(v));
  }
  static double ratio(double part, double whole) {
    if (part == 0) return 0;
    return whole > 0 ? std::sqrt(part / whole) : std::numeric_limits<double>::infinity();
  }
  std::int64_t compared() const { return count_ - skipped_; }

  void add_one(double x, double y, double usual) {
    std::int64_t const index = count_++;
    if (!std::isfinite(x) || !std::isfinite(y)) {
      ++skipped_;
      if (!(x == y || (std::isnan(x) && std::isnan(y)))) {
        if (broken_++ == 0) worst_ = {index, x, y};
      }
      return;
    }
    double const e = y - x, off = std::fabs(e);
    xx_ += x * x, ee_ += e * e, xe_ += x * e, abs_ += off;
    if (off > max_abs_) {
      max_abs_ = off;
      if (broken_ == 0) worst_ = {index, x, y};
    }
    std::int64_t const ulp = ulps(off, spacing_.at(std::max(std::fabs(x), usual)));
    max_ulp_               = std::max(max_ulp_, ulp);
    max_ulp_near_zero_     = std::max(max_ulp_near_zero_, ulps(off, spacing_.at(x)));
    std::size_t const bin  = bin_of(ulp);
    if (bin >= bins_.size()) bins_.resize(bin + 1);
    ++bins_[bin];
  }

  float_spacing             spacing_;
  std::int64_t              count_ = 0, skipped_ = 0, broken_ = 0, max_ulp_ = 0, max_ulp_near_zero_ = 0;
  double                    max_abs_ = 0, abs_ = 0, xx_ = 0, ee_ = 0, xe_ = 0;
  worst_element             worst_;
  std::vector<std::int64_t> bins_;
};

}  // namespace tenon
