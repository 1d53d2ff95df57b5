#pragma once
//  The range of an activation for a scale that is fixed before the model runs: from a histogram of magnitudes, by four
//  rules.
//
//    scale = range / 127;   what is larger saturates
//
//  A bin is a power of two wide, the one with which the largest magnitude falls into bin 2048..4095. Where a larger
//  value comes, bins are merged in pairs, which loses nothing that a coarser histogram would have kept. So counts
//  depend on the values alone: not on their order, on how calls divide them, or on who merged what.
//
//  Sources. Percentile, squared error and entropy: Wu et al., "Integer quantization for deep learning inference", 2020;
//  entropy: Migacz, "8-bit inference with TensorRT", 2017, of whose 2048 bins that extend these are the form without
//  order.
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace tenon {

/// Counts of magnitudes. `counts[b]` values have b width <= |x| < (b + 1) width.
class activation_histogram {
 public:
  static constexpr int bins = 4096;

  /// Counts the elements of x.
  ///
  /// x       (rows, columns)  f32 f16 bf16, every value finite; any strides
  ///
  /// Cost    two passes over x; 32 KiB per histogram
  /// Errors  out_of_range(x: `got` the row, `want` the column of the first value that is not finite), misaligned.
  ///         Nothing is counted then.
  /// Test tests/compress/observers_test.cpp.   Page docs/operators/calibration.md.
  template <class X>
  status add(tensor_view<X, 2> x) {
    extent   rows{"rows"}, columns{"columns"};
    contract c{"activation_histogram::add"};
    c.shape(x, rows, columns).addressable(x, "x");
    TENON_TRY(c.result);
    float largest = 0;
    for (index_t i = 0; i < x.extent[0]; ++i)
      for (index_t j = 0; j < x.extent[1]; ++j) {
        float const v = std::abs(static_cast<float>(x(i, j)));
        if (!(v <= std::numeric_limits<float>::max()))
          return {errc::out_of_range, "activation_histogram::add", "x", i, j};
        largest = max(largest, v);
      }
    reach(largest);
    double const inverse = std::ldexp(1., -exponent_);
    for (index_t i = 0; i < x.extent[0]; ++i)
      for (index_t j = 0; j < x.extent[1]; ++j) {
        double const v = std::abs(static_cast<double>(static_cast<float>(x(i, j))));
        ++counts_[static_cast<std::size_t>(v * inverse)];
      }
    total_ += static_cast<std::uint64_t>(x.size());
    return {};
  }

  /// Adds what another histogram has counted.
  void merge(activation_histogram const& other) {
    reach(other.absmax_);
    int const shift = exponent_ - other.exponent_;
    for (std::size_t b = 0; b < bins; ++b) counts_[coarser(b, shift)] += other.counts_[b];
    total_ += other.total_;
  }

  std::uint64_t                     total() const { return total_; }
  float                             absmax() const { return absmax_; }
  double                            width() const { return std::ldexp(1., exponent_); }
  std::vector<std::uint64_t> const& counts() const { return counts_; }

  /// Bins up to that of the largest magnitude, 2049 to 4096; 0 where every value was zero, or there were none.
  int used() const { return absmax_ > 0 ? static_cast<int>(static_cast<double>(absmax_) / width()) + 1 : 0; }

  /// The lesser of a bin's upper end and the largest magnitude.
  float upper_end(int bin) const { return static_cast<float>(min((bin + 1) * width(), static_cast<double>(absmax_))); }

 private:
  static std::size_t coarser(std::size_t bin, int shift) { return shift < 13 ? bin >> shift : 0; }

  /// Makes room for a magnitude.
  void reach(float largest) {
    if (!(largest > absmax_)) return;
    int exponent = 0;
    std::frexp(largest, &exponent);
    exponent -= 12;
    if (absmax_ > 0 && exponent > exponent_) {
      int const                  shift = exponent - exponent_;
      std::vector<std::uint64_t> merged(bins);
      for (std::size_t b = 0; b < bins; ++b) merged[coarser(b, shift)] += counts_[b];
      counts_ = merged;
    }
    absmax_   = largest;
    exponent_ = exponent;
  }

  std::vector<std::uint64_t> counts_   = std::vector<std::uint64_t>(bins);
  std::uint64_t              total_    = 0;
  float                      absmax_   = 0;
  int                        exponent_ = std::numeric_limits<float>::min_exponent - 64;  // finer than any value's
};

enum class range_method : std::uint8_t {
  max,            // the largest magnitude
  percentile,     // the least end of a bin that holds this part of all values
  squared_error,  // the end of a bin with the least sum of (x - q(x))^2
  entropy,        // the end of a bin with the least Kullback-Leibler divergence of q(x)'s distribution from x's
};

struct range_options {
  range_method method     = range_method::max;
  double       percentile = 0.9999;  // part of all values
  int          highest    = 127;     // the largest code: 127 levels and zero
};

namespace calibration {

/// sum over bins of count (centre - q(centre))^2 for scale `scale`
inline double histogram_error(activation_histogram const& h, double scale, int highest) {
  double const width = h.width();
  double       all   = 0;
  for (int b = 0; b < h.used(); ++b) {
    auto const count = h.counts()[static_cast<std::size_t>(b)];
    if (count == 0) continue;
    double const centre = (b + 0.5) * width;
    double const level  = min(std::nearbyint(centre / scale), static_cast<double>(highest));
    double const e      = centre - level * scale;
    all += static_cast<double>(count) * e * e;
  }
  return all;
}

/// What `cut_divergence` reads of a histogram: bins, and sums of those before each.
struct histogram_sums {
  std::vector<double> count;     // of a bin; the first one, which holds zeros, counts as the second
  std::vector<double> before;    // sum of counts
  std::vector<double> filled;    // number of bins that are not empty
  std::vector<double> log_mass;  // sum of count log(count)

  explicit histogram_sums(activation_histogram const& h) {
    for (int b = 0; b < h.used(); ++b)
      count.push_back(static_cast<double>(h.counts()[static_cast<std::size_t>(max(b, 1))]));
    before.push_back(0), filled.push_back(0), log_mass.push_back(0);
    for (double const n : count) {
      before.push_back(before.back() + n);
      filled.push_back(filled.back() + (n > 0 ? 1 : 0));
      log_mass.push_back(log_mass.back() + (n > 0 ? n * std::log(n) : 0));
    }
  }
};

/// KL(p || q) for a cut behind `cut` bins. p: those bins, with all that is larger in the last. q: the same bins without
/// it, merged into `levels` of equal width and spread again over those of their bins that are not empty.
///
/// A level's q is one number, so its bins' sum of p log q is p's mass times that, and all sums are differences of two.
inline double cut_divergence(histogram_sums const& s, int cut, int levels) {
  auto const   last    = static_cast<std::size_t>(cut);
  double const total   = s.before.back();
  double const clipped = total - s.before[last];
  double const end     = s.count[last - 1];
  double const kept    = s.before[last];
  if (kept == 0 || (clipped > 0 && end == 0)) return std::numeric_limits<double>::infinity();
  double const tail = end + clipped;
  double       sum  = s.log_mass[last - 1] + (tail > 0 ? tail * std::log(tail) : 0.);
  for (int level = 0; level < levels; ++level) {
    auto const   from = static_cast<std::size_t>((level * cut + levels - 1) / levels);
    auto const   to   = static_cast<std::size_t>(((level + 1) * cut + levels - 1) / levels);
    double const mass = s.before[to] - s.before[from], bins = s.filled[to] - s.filled[from];
    if (mass == 0) continue;
    sum -= (level == levels - 1 ? mass + clipped : mass) * std::log(mass / bins);
  }
  return sum / total - std::log(total) + std::log(kept);
}

}  // namespace calibration

/// The magnitude that becomes the largest code.
///
///   max            the largest
///   percentile     the least end of a bin at or below which the part `percentile` of all values is
///   squared_error  of the ends of every eighth bin from the 128th on, and the largest magnitude, the one with the
///                  least sum of count (c - scale min(round(c / scale), highest))^2 over bins with centre c, scale =
///                  end / highest
///   entropy        of the ends of all bins from the (highest + 1)th on, the last one with the least divergence: see
///                  calibration::cut_divergence
///
/// range      >= 0, at most the largest magnitude; 0 where every value was zero or there were none
/// histogram  of the activations
/// options    method, percentile, highest
///
/// Cost    percentile: one pass over the bins; squared_error: 500 passes; entropy: 4000 cuts of 128 levels:
///         milliseconds
/// Errors  out_of_range(percentile: not in (0, 1]; highest: not in [1, 2047])
/// Test tests/compress/observers_test.cpp.   Page docs/operators/calibration.md.
inline status activation_range(float& range, activation_histogram const& histogram, range_options const& options = {}) {
  contract c{"activation_range"};
  c.require(options.percentile > 0 && options.percentile <= 1, errc::out_of_range, "percentile")
      .require(options.highest >= 1 && options.highest <= 2047, errc::out_of_range, "highest", options.highest, 127);
  TENON_TRY(c.result);
  int const used = histogram.used();
  range          = histogram.absmax();
  if (used == 0) return {};
  switch (options.method) {
    case range_method::max: break;
    case range_method::percentile: {
      double const  wanted = options.percentile * static_cast<double>(histogram.total());
      std::uint64_t sum    = 0;
      for (int b = 0; b < used; ++b) {
        sum += histogram.counts()[static_cast<std::size_t>(b)];
        if (static_cast<double>(sum) < wanted) continue;
        range = histogram.upper_end(b);
        break;
      }
      break;
    }
    case range_method::squared_error: {
      double least =
          calibration::histogram_error(histogram, static_cast<double>(range) / options.highest, options.highest);
      for (int b = 127; b < used; b += 8) {
        float const  end = histogram.upper_end(b);
        double const e =
            calibration::histogram_error(histogram, static_cast<double>(end) / options.highest, options.highest);
        if (e < least) least = e, range = end;
      }
      break;
    }
    case range_method::entropy: {
      calibration::histogram_sums const sums(histogram);
      double                            least = std::numeric_limits<double>::infinity();
      for (int cut = options.highest + 1; cut <= used; ++cut) {
        double const divergence = calibration::cut_divergence(sums, cut, options.highest + 1);
        if (divergence <= least) least = divergence, range = histogram.upper_end(cut - 1);
      }
      break;
    }
  }
  return {};
}

/// The scale of codes -highest..highest whose largest stands for `range`; 1 where the range is 0, so that it has a
/// reciprocal.
inline float static_scale(float range, int highest = 127) {
  return range > 0 ? max(range / static_cast<float>(highest), std::numeric_limits<float>::min()) : 1.f;
}

}  // namespace tenon
