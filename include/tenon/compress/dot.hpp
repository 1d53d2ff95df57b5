#pragma once
//  A sum of products in double, in a fixed order of eight lanes: bits depend on the numbers alone.
#include <tenon/core/tensor_view.hpp>

namespace tenon::calibration {

/// sum over j < n of a[j] b[j]
inline double dot(double const* a, double const* b, index_t n) {
  constexpr index_t lanes      = 8;
  double            sum[lanes] = {};
  index_t const     whole      = n / lanes * lanes;
  for (index_t j = 0; j < whole; j += lanes)
    for (index_t l = 0; l < lanes; ++l) sum[l] += a[j + l] * b[j + l];
  for (index_t j = whole; j < n; ++j) sum[j - whole] += a[j] * b[j];
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

}  // namespace tenon::calibration
