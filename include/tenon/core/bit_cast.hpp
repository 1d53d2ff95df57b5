#pragma once
//  std::bit_cast that device code may call too.
#include <tenon/config.hpp>

namespace tenon {

template <class To, class From>
TENON_HD constexpr To bit_cast(From const& v) {
  static_assert(sizeof(To) == sizeof(From), "tenon::bit_cast: To and From must have one size");
  return __builtin_bit_cast(To, v);
}

}  // namespace tenon
