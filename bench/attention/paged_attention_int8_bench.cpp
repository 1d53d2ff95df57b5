//  Attention of bf16 queries over caches of int8 codes (bench/attention/main.cpp measures them).
#include "paged.hpp"

bench::attention_call bench::int8_call(arena& memory, cell const& c) {
  return paged_call<tenon::bf16, tenon::kv_int8, tenon::kv_int8>(memory, c);
}
