//  Attention of bf16 queries over caches of int4 codes (bench/attention/main.cpp measures them).
#include "paged.hpp"

bench::attention_call bench::int4_call(arena& memory, cell const& c) {
  return paged_call<tenon::bf16, tenon::kv_int4, tenon::kv_int4>(memory, c);
}
