#pragma once
//  The definition of key_scores; sums in double precision.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/key_measure.hpp>
#include <tenon/kv/kv_format.hpp>
#include <tenon/kv/kv_sequences.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cmath>
#include <cstddef>
#include <vector>

namespace tenon::ref {

/// scores[r,h,t] = measure(|k|, k . m, |m|), m the mean of the head's normalised keys
template <class Pages, class Measure>
void key_scores(tensor_view<float, 3> scores, Pages const& k, kv_sequences const& sequences, Measure const& measure) {
  index_t const kv_heads = kv_places(k).extent[2], dim = kv_width(k);
  for (index_t r = 0; r < sequences.length.extent[0]; ++r)
    for (index_t h = 0; h < kv_heads; ++h) {
      int const  length = sequences.length(r, h);
      auto const key_at = [&](int t, index_t d) { return double(kv_value(k, sequences, r, h, t, d)); };
      auto const norm   = [&](int t) {
        double squares = 0;
        for (index_t d = 0; d < dim; ++d) squares += key_at(t, d) * key_at(t, d);
        return std::sqrt(squares);
      };
      std::vector<double> mean(static_cast<std::size_t>(dim), 0);
      double              mean_norm = 0;
      if (Measure::wants_mean) {
        for (int t = 0; t < length; ++t)
          if (double const n = norm(t); n > 0)
            for (index_t d = 0; d < dim; ++d) mean[static_cast<std::size_t>(d)] += key_at(t, d) / n / length;
        for (double const m : mean) mean_norm += m * m;
        mean_norm = std::sqrt(mean_norm);
      }
      for (int t = 0; t < length; ++t) {
        double along = 0;
        for (index_t d = 0; d < dim; ++d) along += mean[static_cast<std::size_t>(d)] * key_at(t, d);
        scores(r, h, t) = measure(measured_key{static_cast<float>(norm(t)), static_cast<float>(along),
                                               static_cast<float>(mean_norm), t, length});
      }
    }
}

}  // namespace tenon::ref
