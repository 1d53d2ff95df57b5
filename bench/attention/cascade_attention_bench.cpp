//  Requests behind one prefix, whose keys are read once for all of them (bench/attention/main.cpp measures them). The cache,
//  its pages and the queries are those of the flat call beside it.
#include <tenon/attention/cascade_attention.hpp>

#include "operands.hpp"
#include "paged.hpp"

namespace {

using tenon::bf16;

/// Prefix and own pages of one set of operands.
struct cascade_operands {
  bench::paged_operands<bf16, bf16, bf16>   flat;
  tenon::shared_prefixes                    prefix;
  tenon::tensor_view<std::int32_t const, 2> own_table;
  tenon::tensor_view<std::int32_t const, 1> own_length;
};

}  // namespace

bench::attention_call bench::cascaded_call(arena& memory, cell const& c) {
  attention_call            made = call_of(c, sizeof(bf16));
  page_tables const         tables(c);
  index_t const             requests = static_cast<index_t>(c.keys.size()), tokens = tokens_of(c);
  index_t const             shared = c.shared / tables.page_size;
  std::vector<std::int32_t> own_length;
  for (index_t const keys : c.keys) own_length.push_back(static_cast<std::int32_t>(keys - c.shared));
  std::vector<cascade_operands> sets;
  for (int set = 0; set < made.sets; ++set) {
    cascade_operands x{make_paged_operands<bf16, bf16, bf16>(memory, c, tables, set), {}, {}, {}};
    // The first row of the table begins with the prefix; the own pages of every row follow it.
    x.prefix.block_table = x.flat.block_table.slice(0, 1), x.prefix.block_table.extent[1] = shared;
    x.prefix.query_start = tenon::dense<std::int32_t const>(
        list_operand(memory, "all tokens", std::vector<std::int32_t>{0, static_cast<std::int32_t>(tokens)}), 2);
    x.prefix.kv_length = tenon::dense<std::int32_t const>(
        list_operand(memory, "prefix", std::vector<std::int32_t>{static_cast<std::int32_t>(c.shared)}), 1);
    x.own_table = x.flat.block_table;
    x.own_table.data += shared, x.own_table.extent[1] -= shared;
    x.own_length = tenon::dense<std::int32_t const>(list_operand(memory, "own keys", own_length), requests);
    sets.push_back(x);
  }
  index_t const most_queries = *std::max_element(c.queries.begin(), c.queries.end());
  index_t const most_keys    = *std::max_element(c.keys.begin(), c.keys.end()) - c.shared;
#if !TENON_CUDA
  // The host's context has no memory of its own.
  auto const  bytes   = static_cast<index_t>(tenon::cascade_attention_workspace_bytes(tokens, c.heads, c.head_dim));
  auto* const scratch = memory.operand<std::byte>("cascade workspace", bytes, [](std::byte*) {});
#endif
  made.ways.push_back({"", [=](tenon::context const& where, int set) {
                         auto const&    x  = sets[static_cast<std::size_t>(set)];
                         tenon::context on = where;
#if !TENON_CUDA
                         on.workspace = {scratch, static_cast<std::size_t>(bytes)};
#endif
                         tenon::paged_attention_options options;
                         options.max_query_length = most_queries, options.max_kv_length = most_keys;
                         return tenon::cascade_attention(on, x.flat.o, x.flat.q, x.flat.kv, x.prefix, x.own_table,
                                                         x.flat.query_start, x.own_length, options);
                       }});
  return made;
}
