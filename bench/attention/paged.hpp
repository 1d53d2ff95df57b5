#pragma once
//  Calls of paged_attention over one kind of cache.
#include <tenon/attention/paged_attention.hpp>
#include <tenon/attention/paged_attention_plan.hpp>

#include "operands.hpp"

namespace bench {

/// The variants that a cell may ask for; caches of codes have causal calls alone, which is what decoding needs.
template <class Q, class K, class V, class Call>
bool with_variant(cell const& c, Call const& call) {
  using tenon::attention_variant, tenon::causal, tenon::no_mask, tenon::scaled_logits, tenon::sliding_window,
      tenon::soft_cap;
  bool const plain = c.window == 0 && !(c.cap > 0);
  if (c.causal && plain) return call(attention_variant<causal, scaled_logits>{}), true;
  if constexpr (std::is_same_v<K, tenon::bf16> && std::is_same_v<V, tenon::bf16>) {
    if (c.causal && c.window > 0 && !(c.cap > 0))
      return call(attention_variant{causal{} & sliding_window{static_cast<int>(c.window)}, scaled_logits{}}), true;
    if (c.causal && c.window == 0) return call(attention_variant{causal{}, soft_cap{c.cap}}), true;
  }
  if constexpr (tenon::floating<K> && tenon::floating<V>)
    if (!c.causal && plain) return call(attention_variant<no_mask, scaled_logits>{}), true;
  return false;
}

/// Bits of one element of a cache.
template <class E>
constexpr int element_bits() {
  if constexpr (tenon::is_kv_codes<E>) return E::bits;
  else return 8 * static_cast<int>(sizeof(E));
}

template <class Q, class K, class V>
attention_call paged_call(arena& memory, cell const& c) {
  attention_call                       made = call_of(c, sizeof(Q));
  page_tables const                    tables(c);
  index_t const                        most_queries = *std::max_element(c.queries.begin(), c.queries.end());
  index_t const                        most_keys    = *std::max_element(c.keys.begin(), c.keys.end());
  std::vector<paged_operands<Q, K, V>> sets;
  for (int set = 0; set < made.sets; ++set) sets.push_back(make_paged_operands<Q, K, V>(memory, c, tables, set));
  bool const                         alone = c.how == call_kind::unsplit;
  int const                          chunk = c.how == call_kind::chunked ? 512 : 0;
  tenon::paged_attention_shape const shape{.tokens   = tokens_of(c),
                                           .requests = static_cast<index_t>(c.keys.size()),
                                           .kv_heads = c.kv_heads,
                                           .capacity = tables.max_pages * tables.page_size,
                                           .chunk    = chunk,
                                           .problem  = {.head_dim         = c.head_dim,
                                                        .value_dim        = c.head_dim,
                                                        .group            = c.heads / c.kv_heads,
                                                        .max_query_length = most_queries,
                                                        .vectorised       = true,
                                                        .narrow           = true,
                                                        .k_bits           = element_bits<K>(),
                                                        .v_bits           = element_bits<V>()}};
  made.plan = [=](tenon::context const& where) {
    auto of              = shape;
    of.problem.invariant = where.batch_invariant;
    return to_string(tenon::plan_paged_attention(of, {.as              = {where.arch},
                                                      .multiprocessors = where.multiprocessors,
                                                      .workspace       = alone ? 0 : where.workspace.size,
                                                      .counters        = alone ? 0 : where.counters.size}));
  };
  with_variant<Q, K, V>(c, [&](auto variant) {
    made.ways.push_back({"", [=](tenon::context const& where, int set) {
                           auto const&    x  = sets[static_cast<std::size_t>(set)];
                           tenon::context on = where;
                           if (alone) on.workspace = {}, on.counters = {};
                           tenon::paged_attention_options options;
                           options.max_query_length = most_queries, options.max_kv_length = most_keys;
                           options.chunk = chunk;
                           return tenon::paged_attention(on, x.o, x.q, x.kv, x.block_table, x.query_start, x.kv_length,
                                                         options, variant, x.lse);
                         }});
  });
  return made;
}

attention_call bf16_call(arena&, cell const&);
attention_call f16_call(arena&, cell const&);
attention_call fp8_call(arena&, cell const&);
attention_call int8_call(arena&, cell const&);
attention_call int4_call(arena&, cell const&);
attention_call k16v8_call(arena&, cell const&);
attention_call cascaded_call(arena&, cell const&);
attention_call append_call(arena&, cell const&);
attention_call merge_call(arena&, cell const&, index_t parts);

}  // namespace bench
