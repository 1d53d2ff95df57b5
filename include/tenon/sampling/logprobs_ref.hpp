#pragma once
//  The definition of a token's log-probability, in double precision.
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <limits>

namespace tenon::ref {

/// ln softmax(row)[id]; NaN where no logit is above -infinity. NaN logits count as that.
template <class Logit>
double log_probability(tensor_view<Logit, 1> row, index_t id) {
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (index_t i = 0; i < row.extent[0]; ++i)
    if (double(row(i)) > largest) largest = double(row(i));
  if (std::isinf(largest) && largest < 0) return std::numeric_limits<double>::quiet_NaN();
  for (index_t i = 0; i < row.extent[0]; ++i)
    if (!std::isnan(row(i))) sum += std::exp(double(row(i)) - largest);
  return std::isnan(row(id)) ? -std::numeric_limits<double>::infinity() : double(row(id)) - largest - std::log(sum);
}

}  // namespace tenon::ref
