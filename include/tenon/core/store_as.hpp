#pragma once
//  An fp32 value as an element of D, rounded to nearest even; int8 and e4m3 saturate.
#include <tenon/config.hpp>
#include <tenon/core/nearest_code.hpp>

namespace tenon {

/// NaN becomes 0 in int8.
template <class D>
TENON_HD constexpr D store_as(float v) {
  if constexpr (row_code<D>) return nearest_code<D>(v);
  else return static_cast<D>(v);
}

}  // namespace tenon
