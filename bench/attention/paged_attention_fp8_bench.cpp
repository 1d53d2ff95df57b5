//  Attention of bf16 queries over caches of e4m3 codes (bench/attention/main.cpp measures them).
#include "paged.hpp"

bench::attention_call bench::fp8_call(arena& memory, cell const& c) {
  return paged_call<tenon::bf16, tenon::kv_fp8, tenon::kv_fp8>(memory, c);
}
