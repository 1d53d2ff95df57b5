#pragma once
//  The definition of span_summary; the mean in double precision.
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_format.hpp>
#include <tenon/kv/kv_sequences.hpp>
#include <tenon/kv/kv_spans.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cstdint>
#include <limits>

namespace tenon::ref {

/// Least, most, mean and number of the keys of every span's tokens that `kept` lacks
template <class Pages>
void span_summary(kv_span_summary const& summary, Pages const& k, kv_sequences const& sequences,
                  tensor_view<std::int32_t const, 2> spans, tensor_view<std::int32_t const, 3> kept,
                  tensor_view<std::int32_t const, 2> kept_length) {
  for (index_t s = 0; s < spans.extent[0]; ++s)
    for (index_t h = 0; h < summary.count.extent[1]; ++h) {
      index_t const r = spans(s, 0), first = spans(s, 1),
                    end  = min(first + spans(s, 2), index_t{sequences.length(r, h)});
      auto const is_kept = [&](index_t t) {
        for (index_t j = 0; kept.data && j < kept_length(r, h); ++j)
          if (kept(r, h, j) == t) return true;
        return false;
      };
      for (index_t d = 0; d < summary.least.extent[2]; ++d) {
        float  least = std::numeric_limits<float>::infinity(), most = -least;
        double sum = 0, count = 0;
        for (index_t t = first; t < end; ++t) {
          if (is_kept(t)) continue;
          float const v = kv_value(k, sequences, r, h, t, d);
          least = min(least, v), most = max(most, v), sum += double(v), count += 1;
        }
        summary.least(s, h, d) = least, summary.most(s, h, d) = most;
        summary.mean(s, h, d) = static_cast<float>(count > 0 ? sum / count : 0);
        summary.count(s, h)   = static_cast<float>(count);
      }
    }
}

}  // namespace tenon::ref
