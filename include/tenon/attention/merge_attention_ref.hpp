#pragma once
//  The definition of merge_attention, in double precision.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <limits>

namespace tenon::ref {

/// o[t,h,:] = sum_p exp(part_lse[p,t,h] - lse[t,h]) part[p,t,h,:], lse[t,h] = log sum_p exp(part_lse[p,t,h])
template <class O, class P, class L>
void merge_attention(tensor_view<O, 3> o, tensor_view<double, 2> lse, tensor_view<P, 4> part,
                     tensor_view<L, 3> part_lse) {
  constexpr double nothing = -std::numeric_limits<double>::infinity();
  for (index_t t = 0; t < o.extent[0]; ++t)
    for (index_t h = 0; h < o.extent[1]; ++h) {
      double maximum = nothing, total = 0;
      for (index_t p = 0; p < part.extent[0]; ++p) maximum = std::fmax(maximum, double(part_lse(p, t, h)));
      for (index_t p = 0; p < part.extent[0]; ++p)
        if (double(part_lse(p, t, h)) != nothing) total += std::exp(double(part_lse(p, t, h)) - maximum);
      for (index_t d = 0; d < o.extent[2]; ++d) {
        double sum = 0;
        for (index_t p = 0; p < part.extent[0]; ++p)
          if (double(part_lse(p, t, h)) != nothing)  // what a part holds that has seen nothing does not matter
            sum += std::exp(double(part_lse(p, t, h)) - maximum) / total * double(float(part(p, t, h, d)));
        o(t, h, d) = O(float(sum));
      }
      if (lse.data) lse(t, h) = maximum == nothing ? nothing : maximum + std::log(total);
    }
}

}  // namespace tenon::ref
