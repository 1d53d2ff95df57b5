//  New keys and values rotated, quantised and written into scattered pages, queries rotated in place (bench/attention/main.cpp
//  measures them). Many tokens are a prompt, whose keys fill pages; few are a batch that decodes, each in a page of its own.
#include <tenon/kv/rope_kv_append.hpp>

#include "operands.hpp"
#include "paged.hpp"

namespace {

using bench::attention_call, bench::cell, bench::index_t;
using tenon::bf16;

template <class E>
struct append_operands {
  tenon::paged_kv<E, E>                     cache;
  tenon::tensor_view<bf16, 3>               q, k, v;
  tenon::tensor_view<std::int32_t const, 1> positions;
  tenon::tensor_view<float const, 2>        cos_sin;
  tenon::tensor_view<std::int64_t const, 1> slots;
};

template <class E>
attention_call append(bench::arena& memory, cell const& c) {
  attention_call            made   = bench::call_of(c, sizeof(bf16));
  index_t const             tokens = bench::tokens_of(c), prompt = tokens > 256 ? c.page : 1;
  index_t const             pages = tenon::ceil_div(tokens, prompt);
  std::vector<std::int64_t> order(static_cast<std::size_t>(pages)), slots;
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(4));
  std::vector<std::int32_t> positions;
  for (index_t t = 0; t < tokens; ++t) {
    index_t const place = prompt > 1 ? t % prompt : t % c.page;
    slots.push_back(order[static_cast<std::size_t>(t / prompt)] * c.page + place);
    positions.push_back(static_cast<std::int32_t>(prompt > 1 ? t : t * 37 % 4096));
  }
  index_t const                   table = std::max<index_t>(tokens, 4096);
  std::vector<append_operands<E>> sets;
  for (int set = 0; set < made.sets; ++set) {
    append_operands<E> x;
    x.cache     = {bench::pages_operand<E>(memory, "k", pages, c.page, c.kv_heads, c.head_dim, set),
                   bench::pages_operand<E>(memory, "v", pages, c.page, c.kv_heads, c.head_dim, set)};
    x.q         = bench::rows_operand<bf16>(memory, "q", tokens, c.heads, c.head_dim, set);
    x.k         = bench::rows_operand<bf16>(memory, "new k", tokens, c.kv_heads, c.head_dim, set);
    x.v         = bench::rows_operand<bf16>(memory, "new v", tokens, c.kv_heads, c.head_dim, set);
    x.positions = tenon::dense<std::int32_t const>(bench::list_operand(memory, "positions", positions), tokens);
    x.slots     = tenon::dense<std::int64_t const>(bench::list_operand(memory, "slots", slots), tokens);
    x.cos_sin   = tenon::dense<float const>(
        memory.operand<float>("rotations", table * c.head_dim,
                              [&](float* to) { bench::fill(to, table * c.head_dim, 7, bench::uniform<float>{1.f}); }),
        table, c.head_dim);
    sets.push_back(x);
  }
  made.ways.push_back({"", [=](tenon::context const& where, int set) {
                         auto const& x = sets[static_cast<std::size_t>(set)];
                         return tenon::rope_kv_append(where, x.cache, x.q, x.k, x.v, x.positions, x.cos_sin, x.slots);
                       }});
  return made;
}

}  // namespace

bench::attention_call bench::append_call(arena& memory, cell const& c) {
  if (c.cache == "fp8") return append<tenon::kv_fp8>(memory, c);
  if (c.cache == "int8") return append<tenon::kv_int8>(memory, c);
  if (c.cache == "int4") return append<tenon::kv_int4>(memory, c);
  return append<bf16>(memory, c);
}
