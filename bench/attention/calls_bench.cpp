//  Which call measures a cell.
#include "paged.hpp"

bench::attention_call bench::make_call(arena& memory, cell const& c) {
  if (c.how == call_kind::cascaded) return cascaded_call(memory, c);
  if (c.how == call_kind::append) return append_call(memory, c);
  if (c.how == call_kind::merged) return merge_call(memory, c, c.parts);
  if (c.cache == "f16") return f16_call(memory, c);
  if (c.cache == "fp8") return fp8_call(memory, c);
  if (c.cache == "int8") return int8_call(memory, c);
  if (c.cache == "int4") return int4_call(memory, c);
  if (c.cache == "k16v8") return k16v8_call(memory, c);
  return bf16_call(memory, c);
}
