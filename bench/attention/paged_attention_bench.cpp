//  Attention over caches of bf16, in every variant that the cells ask for (bench/attention/main.cpp measures them).
#include <tenon/attention/paged_attention.hpp>

#include "paged.hpp"

bench::attention_call bench::bf16_call(arena& memory, cell const& c) {
  return paged_call<tenon::bf16, tenon::bf16, tenon::bf16>(memory, c);
}
