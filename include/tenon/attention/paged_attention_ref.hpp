#pragma once
//  The definition of paged_attention, in double precision.
#include <tenon/attention/attention_variant.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cmath>
#include <limits>
#include <vector>

namespace tenon::ref {

/// o[t,h,:] = sum_k softmax_k(logits(scale * q[t,h] . k[k,h / group])) v[k,h / group,:] over the keys that the mask keeps;
/// a head's sink is one more logit, of a value of 0
template <class O, class Q, class K, class V, class Table, class Start, class Length, class Mask, class Logits>
void paged_attention(tensor_view<O, 3> o, tensor_view<double, 2> lse, tensor_view<Q, 3> q, paged_kv<K, V> kv,
                     tensor_view<Table, 2> block_table, tensor_view<Start, 1> query_start,
                     tensor_view<Length, 1> kv_length, double scale, attention_variant<Mask, Logits> variant,
                     tensor_view<float const, 1> sinks = {}) {
  index_t const       page_size = kv_places(kv.k).extent[1], group = q.extent[1] / kv_places(kv.k).extent[2];
  std::vector<double> logit, sum(static_cast<std::size_t>(o.extent[2]));
  for (int r = 0; r < static_cast<int>(kv_length.extent[0]); ++r) {
    int const keys = static_cast<int>(kv_length(r)), queries = static_cast<int>(query_start(r + 1) - query_start(r));
    for (int i = 0; i < queries; ++i)
      for (int h = 0; h < static_cast<int>(q.extent[1]); ++h) {
        index_t const token = query_start(r) + i, kv_head = h / group;
        int const     position = keys - queries + i;
        double        maximum = -std::numeric_limits<double>::infinity(), total = 0;
        logit.assign(static_cast<std::size_t>(keys), maximum);
        for (int k = 0; k < keys; ++k) {
          if (!variant.mask.keep(r, h, position, k)) continue;
          double        dot  = 0;
          index_t const page = block_table(r, k / page_size);
          for (index_t d = 0; d < q.extent[2]; ++d)
            dot += double(float(q(token, h, d))) * double(kv_value(kv.k, page, k % page_size, kv_head, d));
          double const v                     = std::is_same_v<Logits, scaled_logits>
                                                   ? dot * scale
                                                   : double(variant.logits(float(dot * scale), r, h, position, k));
          logit[static_cast<std::size_t>(k)] = v;
          maximum                            = std::max(maximum, v);
        }
        if (sinks.data) maximum = std::max(maximum, double(sinks(h)));
        std::fill(sum.begin(), sum.end(), 0.0);
        for (int k = 0; k < keys; ++k) {
          double const p = logit[static_cast<std::size_t>(k)] == -std::numeric_limits<double>::infinity()
                               ? 0
                               : std::exp(logit[static_cast<std::size_t>(k)] - maximum);
          if (p == 0) continue;  // what a masked key holds does not matter, NaN included
          total += p;
          index_t const page = block_table(r, k / page_size);
          for (index_t d = 0; d < o.extent[2]; ++d)
            sum[static_cast<std::size_t>(d)] += p * double(kv_value(kv.v, page, k % page_size, kv_head, d));
        }
        if (sinks.data && sinks(h) > -std::numeric_limits<float>::infinity())
          total += std::exp(double(sinks(h)) - maximum);
        for (index_t d = 0; d < o.extent[2]; ++d)
          o(token, h, d) = O(float(total == 0 ? 0 : sum[static_cast<std::size_t>(d)] / total));
        if (lse.data) lse(token, h) = maximum + std::log(total);
      }
  }
}

}  // namespace tenon::ref
