//  Attention over a paged cache with a mask of our own: a token sees only earlier tokens of its own colour.
//  Queries are zero, so every visible key weighs the same and the output is the mean of the visible values 0, 10, 20, 30.
//  $ ./03_own_attention_mask          prints:
//    token 0 (red)  sees  0
//    token 1 (blue) sees 10
//    token 2 (red)  sees 10
//    token 3 (blue) sees 20
#include <tenon/attention/paged_attention.hpp>

#include <cstdint>
#include <cstdio>

struct same_colour {
  // What is known of a whole tile of queries and keys; `partial` sends every pair to keep().
  TENON_HD tenon::coverage classify(int, int, int, int, int, int) const { return tenon::coverage::partial; }
  TENON_HD bool            keep(int /*request*/, int /*head*/, int q, int k) const { return q % 2 == k % 2; }
};

int main() {
  constexpr int tokens = 4, pages = 2, page_size = 2, head_dim = 8;
  float         q[tokens * head_dim]            = {}, o[tokens * head_dim];
  float         k[pages * page_size * head_dim] = {}, v[pages * page_size * head_dim];
  // Pages may lie anywhere: this request's second page comes first in memory.
  std::int32_t const block_table[] = {1, 0}, query_start[] = {0, tokens}, kv_length[] = {tokens};
  for (int t = 0; t < tokens; ++t)
    for (int d = 0; d < head_dim; ++d)
      v[(block_table[t / page_size] * page_size + t % page_size) * head_dim + d] = static_cast<float>(10 * t);

  auto const status = tenon::paged_attention(
      tenon::context{}, tenon::dense(o, tokens, 1, head_dim), tenon::dense(q, tokens, 1, head_dim),
      tenon::paged_kv{tenon::dense(k, pages, page_size, 1, head_dim), tenon::dense(v, pages, page_size, 1, head_dim)},
      tenon::dense(block_table, 1, pages), tenon::dense(query_start, 2), tenon::dense(kv_length, 1), {},
      tenon::attention_variant{tenon::causal{} & same_colour{}});
  if (!status.ok()) return 1;
  for (int t = 0; t < tokens; ++t)
    std::printf("token %d %s sees %2.0f\n", t, t % 2 ? "(blue)" : "(red) ", static_cast<double>(o[t * head_dim]));
}
