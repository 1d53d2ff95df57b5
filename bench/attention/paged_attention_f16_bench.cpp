//  Attention over caches of f16 (bench/attention/main.cpp measures them).
#include "paged.hpp"

bench::attention_call bench::f16_call(arena& memory, cell const& c) {
  return paged_call<tenon::f16, tenon::f16, tenon::f16>(memory, c);
}
