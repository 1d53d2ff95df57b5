//  Attention without its matrix of scores, against attention that makes it.
#include <tenon/attention/paged_attention.hpp>
#include <tenon/attention/paged_attention_ref.hpp>
#include <tenon/core/throw_if.hpp>
#include <tenon/gemm/gemm.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "engine/tour/seeded_values.hpp"
#include "engine/tour/stops.hpp"
#include "engine/tour/timing.hpp"

namespace tenon::engine::tour {

namespace {

constexpr index_t heads = 3, dim = 64, page = 16;  // one head of keys, as the repository's model has it

/// One prompt of n tokens, and what its pages hold.
struct prompt {
  explicit prompt(index_t n)
      : tokens(n), q(normal_values(n * heads * dim, 1)), k(normal_values(n * dim, 2)), v(normal_values(n * dim, 3)) {
    for (index_t p = 0; p < n / page; ++p) table.push_back(static_cast<std::int32_t>(p));
    start[1] = length[0] = static_cast<std::int32_t>(n);
  }
  [[nodiscard]] auto queries() const { return dense(q.data(), tokens, heads, dim); }
  [[nodiscard]] auto pages() const {
    return paged_kv{dense(k.data(), tokens / page, page, 1, dim), dense(v.data(), tokens / page, page, 1, dim)};
  }
  [[nodiscard]] auto block_table() const { return dense(table.data(), 1, tokens / page); }

  index_t                   tokens;
  std::vector<float>        q, k, v;
  std::vector<std::int32_t> table;
  std::int32_t              start[2] = {}, length[1] = {};
};

void tiles(context const& where, prompt const& p, std::vector<float>& o) {
  throw_if(paged_attention(where, dense(o.data(), p.tokens, heads, dim), p.queries(), p.pages(), p.block_table(),
                           dense<std::int32_t const>(p.start, 2), dense<std::int32_t const>(p.length, 1)));
}

/// scores = q k', rows through softmax, o = scores v: two products and a pass over a matrix of n x n, head by head.
void whole_matrix(context const& where, prompt const& p, std::vector<float>& scores, std::vector<float>& o) {
  index_t const      n = p.tokens;
  std::vector<float> columns(p.v.size());  // v as (dim, n)
  for (index_t t = 0; t < n; ++t)
    for (index_t d = 0; d < dim; ++d)
      columns[static_cast<std::size_t>(d * n + t)] = p.v[static_cast<std::size_t>(t * dim + d)];
  auto const matrix = dense(scores.data(), n, n);
  auto const scale  = 1 / std::sqrt(static_cast<float>(dim));
  for (index_t h = 0; h < heads; ++h) {
    tensor_view<float const, 2> const q{p.q.data() + h * dim, {n, dim}, {heads * dim, 1}};
    throw_if(gemm(where, matrix, q, dense(p.k.data(), n, dim), {}, epilogue::scale(scale)));
    for (index_t t = 0; t < n; ++t) {
      float* const row     = scores.data() + t * n;
      float const  largest = *std::max_element(row, row + t + 1);
      float        sum     = 0;
      for (index_t j = 0; j <= t; ++j) row[j] = std::exp(row[j] - largest), sum += row[j];
      for (index_t j = 0; j <= t; ++j) row[j] /= sum;
      std::fill(row + t + 1, row + n, 0.f);
    }
    throw_if(gemm(where, tensor_view<float, 2>{o.data() + h * dim, {n, dim}, {heads * dim, 1}}, as_const(matrix),
                  dense<float const>(columns.data(), dim, n)));
  }
}

double largest_difference(std::vector<float> const& a, std::vector<float> const& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return worst;
}

}  // namespace

void visit_attention(guide& g, findings& f) {
  context where;
  where.threads = g.threads();
  table& t =
      f.add_table(figures::exact, {"tokens", "bytes of scores, whole", "in tiles", "largest error, whole", "in tiles"});
  table& u = f.add_table(figures::timed, {"tokens", "in tiles, ms", "whole, times that"});
  for (index_t const n : {256, 512, 1024, 2048}) {
    prompt const       p(n);
    std::vector<float> scores(static_cast<std::size_t>(n * n)), whole(p.q.size()), tiled(p.q.size()), exact(p.q.size());
    auto const         seconds =
        seconds_in_turns(3, {[&] { tiles(where, p, tiled); }, [&] { whole_matrix(where, p, scores, whole); }});
    u.rows.push_back({number(n), number("%.2f", 1e3 * seconds[0]), number("%.2f", seconds[1] / seconds[0])});
    if (n > 1024) continue;  // the definition in double takes its time
    ref::paged_attention(dense(exact.data(), n, heads, dim), tensor_view<double, 2>{}, p.queries(), p.pages(),
                         p.block_table(), dense<std::int32_t const>(p.start, 2), dense<std::int32_t const>(p.length, 1),
                         1 / std::sqrt(static_cast<double>(dim)), attention_variant<causal, scaled_logits>{});
    t.rows.push_back({number(n), number(n * n * static_cast<index_t>(sizeof(float))), "0",
                      error_size(largest_difference(whole, exact)), error_size(largest_difference(tiled, exact))});
  }
}

}  // namespace tenon::engine::tour
