#pragma once
//  The definition of span_mass, in double precision.
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_spans.hpp>

#include <cmath>
#include <cstdint>

namespace tenon::ref {

/// The largest share of attention that a query of its request gives each span at most, and by the guess
template <class Q>
void span_mass(tensor_view<float, 2> upper, tensor_view<float, 2> guess, kv_span_summary const& summary,
               tensor_view<std::int32_t const, 2> spans, tensor_view<Q, 3> q, tensor_view<float const, 2> lse,
               tensor_view<std::int32_t const, 1> query_start, double scale) {
  index_t const group = q.extent[1] / upper.extent[1];
  for (index_t s = 0; s < upper.extent[0]; ++s)
    for (index_t h = 0; h < upper.extent[1]; ++h) {
      double const n = double(summary.count(s, h)), l = std::log2(std::fmin(n, 1024));
      double const range = l * (1.2162 + l * (-0.09917 + l * 0.004343));
      double       most = 0, likely = 0;
      if (n > 0)
        for (index_t t = query_start(spans(s, 0)); t < query_start(spans(s, 0) + 1); ++t)
          for (index_t g = h * group; g < (h + 1) * group; ++g) {
            double bound = 0, mean = 0, variance = 0;
            for (index_t d = 0; d < q.extent[2]; ++d) {
              double const x = double(float(q(t, g, d))), low = double(summary.least(s, h, d));
              double const high = double(summary.most(s, h, d)), deviation = n > 1 ? x * (high - low) / range : 0;
              bound += std::fmax(x * low, x * high), mean += x * double(summary.mean(s, h, d));
              variance += deviation * deviation;
            }
            auto const share = [&](double logit) { return 1 / (1 + std::exp(double(lse(t, g)) - logit) / n); };
            most             = std::fmax(most, share(scale * bound));
            likely = std::fmax(likely, share(std::fmin(scale * mean + scale * scale * variance / 2, scale * bound)));
          }
      upper(s, h) = static_cast<float>(most), guess(s, h) = static_cast<float>(likely);
    }
}

}  // namespace tenon::ref
