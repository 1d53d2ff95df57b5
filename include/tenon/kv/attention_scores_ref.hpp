#pragma once
//  The definition of attention_scores; sums and softmax in double precision.
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/attention_reduction.hpp>
#include <tenon/kv/attention_scores_options.hpp>
#include <tenon/kv/kv_format.hpp>
#include <tenon/kv/kv_sequences.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tenon::ref {

/// scores[r,h,t] = the reduction of the shares exp(logit - lse) that the request's queries give key t
template <class Q, class Pages, class Reduction>
void attention_scores(tensor_view<float, 3> scores, tensor_view<Q, 3> q, Pages const& k, kv_sequences const& sequences,
                      tensor_view<std::int32_t const, 1> query_start, Reduction const& reduction,
                      attention_scores_options const& options = {}) {
  index_t const kv_heads = kv_places(k).extent[2], dim = q.extent[2], group = q.extent[1] / max(kv_heads, index_t{1});
  double const  scale = options.scale > 0 ? double(options.scale) : 1 / std::sqrt(double(dim));
  for (index_t r = 0; r < query_start.extent[0] - 1; ++r)
    for (index_t h = 0; h < kv_heads; ++h) {
      int const first = query_start(r), queries = query_start(r + 1) - first, length = sequences.length(r, h);
      if (queries <= 0) continue;
      auto const          key_at = [&](int t, index_t d) { return double(kv_value(k, sequences, r, h, t, d)); };
      std::vector<float>  sum(static_cast<std::size_t>(max(length, 0)), 0.f), value(sum);
      std::vector<double> logit(sum.size()), extra(sum.size());
      auto const          about = [&](int t) { return scored_key{t, length, queries, static_cast<int>(group)}; };
      for (index_t g = 0; g < group; ++g) {
        index_t const head = h * group + g;
        for (int t = 0; t < length; ++t) {
          double squares = 0;
          for (index_t j = 0; options.spread.data && j < options.spread.extent[1]; ++j) {
            double dot = 0;
            for (index_t d = 0; d < dim; ++d) dot += double(options.spread(head, j, d)) * key_at(t, d);
            squares += dot * dot;
          }
          extra[static_cast<std::size_t>(t)] = scale * scale / 2 * squares;
        }
        for (int i = 0; i < queries; ++i) {
          int const seen = min(length - queries + i + 1, length);
          double    most = -HUGE_VAL, total = 0;
          for (int t = 0; t < seen; ++t) {
            double dot = 0;
            for (index_t d = 0; d < dim; ++d) dot += double(float(q(first + i, head, d))) * key_at(t, d);
            logit[static_cast<std::size_t>(t)] = scale * dot + extra[static_cast<std::size_t>(t)];
            most                               = std::fmax(most, logit[static_cast<std::size_t>(t)]);
          }
          for (int t = 0; t < seen; ++t) total += std::exp(logit[static_cast<std::size_t>(t)] - most);
          double const lse = options.lse.data ? double(options.lse(first + i, head)) : most + std::log(total);
          for (int t = 0; t < seen; ++t) {
            auto&       so_far = sum[static_cast<std::size_t>(t)];
            float const share  = static_cast<float>(std::exp(logit[static_cast<std::size_t>(t)] - lse));
            so_far             = reduction.join(so_far, share, i, about(t));
          }
        }
      }
      for (int t = 0; t < length; ++t)
        value[static_cast<std::size_t>(t)] = reduction.value(sum[static_cast<std::size_t>(t)], about(t));
      int const pool = reduction.pool();
      for (int t = 0; t < length; ++t) {
        double pooled = 0;
        for (int other = max(t - pool / 2, 0); other <= min(t + pool / 2, length - 1); ++other)
          pooled += double(value[static_cast<std::size_t>(other)]) / pool;
        float score = reduction.score(static_cast<float>(pooled), about(t));
        if (options.weight.data) score *= options.weight(r, h, t);
        scores(r, h, t) = options.accumulate ? scores(r, h, t) + score : score;
      }
    }
}

}  // namespace tenon::ref
