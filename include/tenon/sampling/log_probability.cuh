#pragma once
//  ln softmax of one logit, given its row's largest and its row's mass.
#include <tenon/arch/arch.cuh>
#include <tenon/core/bit_cast.hpp>
#include <tenon/sampling/probability_mass.hpp>

namespace tenon::inline TENON_TARGET::kernel {

/// logit - largest - ln(whole 2^-40); NaN where no logit of the row is above -infinity.
__device__ inline float log_probability(float logit, float largest, mass_t whole) {
  if (!(largest > no_logit)) return bit_cast<float>(0x7fc00000u);
  float const below = logit == largest ? 0.0f : logit - largest;
  return (below == below ? below : no_logit) - arch::log2(static_cast<float>(whole) * 0x1p-40f) * ln_2;
}

}  // namespace tenon::inline TENON_TARGET::kernel
