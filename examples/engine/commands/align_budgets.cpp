#include "engine/commands/align_budgets.hpp"

#include <algorithm>

namespace tenon::engine {

budgets budgets_of(options const& from, number_format stored, kv_cache_format kv) {
  budgets    b        = stored == number_format::bf16  ? budgets{8e-3, 2e-4, .993}
                        : stored == number_format::f16 ? budgets{1e-3, 2e-5, .998}
                                                       : budgets{4e-6, 1e-7, .999};
  auto const at_least = [&](budgets const& more) {
    b = {std::max(b.stage, more.stage), std::max(b.kl, more.kl), std::min(b.top1, more.top1)};
  };
  switch (quantize_of(from)) {
    case quantize_choice::w8a16: at_least({2e-2, 6e-4, .985}); break;
    case quantize_choice::w8a8: at_least({4e-2, 2e-3, .975}); break;
    case quantize_choice::fp8:
    case quantize_choice::fp8_block: at_least({8e-2, 2e-2, .93}); break;
    case quantize_choice::w4a16: at_least({2.5e-1, 2e-1, .8}); break;
    case quantize_choice::none: break;
  }
  switch (kv) {
    case kv_cache_format::int8: at_least({2e-2, 1.1e-3, .98}); break;
    case kv_cache_format::fp8: at_least({8e-2, 2e-2, .93}); break;
    case kv_cache_format::int4: at_least({3e-1, 5e-1, .7}); break;
    case kv_cache_format::bf16: at_least({8e-3, 2e-4, .993}); break;
    case kv_cache_format::f16: at_least({1e-3, 2e-5, .998}); break;
    case kv_cache_format::f32: break;
  }
  align_options const& a = from.align;
  return {a.budget.value_or(b.stage), a.max_kl.value_or(b.kl), a.min_top1.value_or(b.top1)};
}

stage_error const* first_divergent(alignment const& all, budgets const& may) {
  for (stage_error const& s : all.stages)
    if (!may.passes(s.isolated)) return &s;
  return nullptr;
}

}  // namespace tenon::engine
