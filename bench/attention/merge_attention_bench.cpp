//  Merging of partial attention states: those of a split decode, those of a shared prefix. Bytes: every part and its logs once
//  in, the result once out.
#include <tenon/attention/merge_attention.hpp>

#include <string>

#include "operands.hpp"

namespace bench {

/// merge_attention of `parts` parts of T into bf16; one token of each request, heads and head_dim as the cell has them.
template <class T>
attention_call merge_call_of(arena& memory, cell const& c, index_t parts) {
  struct operands {
    tenon::tensor_view<tenon::bf16, 3> o;
    tenon::tensor_view<T, 4>           part;
    tenon::tensor_view<float, 3>       part_lse;
  };
  index_t const  tokens = tokens_of(c), rows = tokens * c.heads;
  attention_call made;
  made.moved.bytes = rows * (parts * (c.head_dim * static_cast<index_t>(sizeof(T)) + 4) + c.head_dim * 2);
  made.sets        = sets_of(made.moved.bytes);
  std::vector<operands> sets;
  for (int set = 0; set < made.sets; ++set) {
    auto const part = rows_operand<T>(memory, "part", parts * tokens, c.heads, c.head_dim, set);
    auto const lse  = rows_operand<float>(memory, "part_lse", parts * tokens, c.heads, 1, set);
    sets.push_back({rows_operand<tenon::bf16>(memory, "merged", tokens, c.heads, c.head_dim, set, false),
                    tenon::dense(part.data, parts, tokens, c.heads, c.head_dim),
                    tenon::dense(lse.data, parts, tokens, c.heads)});
  }
  made.ways.push_back({"", [=](tenon::context const& where, int set) {
                         auto const& x = sets[static_cast<std::size_t>(set)];
                         return tenon::merge_attention(where, x.o, x.part, x.part_lse);
                       }});
  return made;
}

/// Parts of f32 where the cell's cache says "f32", of bf16 elsewhere.
attention_call merge_call(arena& memory, cell const& c, index_t parts) {
  return c.cache == "f32" ? merge_call_of<float>(memory, c, parts) : merge_call_of<tenon::bf16>(memory, c, parts);
}

}  // namespace bench
