//  Which stage of a model is less exact than it should be.
#include <algorithm>
#include <memory>
#include <string>

#include "engine/commands/align_budgets.hpp"
#include "engine/generation/alignment.hpp"
#include "engine/tour/stops.hpp"

namespace tenon::engine::tour {

namespace {

struct setting {
  char const*     name;
  decoder_formats as;
};
constexpr setting settings[] = {
    {"bf16", {number_format::bf16, kv_cache_format::bf16, quantize_choice::none}},
    {"f16", {number_format::f16, kv_cache_format::f16, quantize_choice::none}},
    {"bf16, cache int8", {number_format::bf16, kv_cache_format::int8, quantize_choice::none}},
    {"bf16, weights w8a16", {number_format::bf16, kv_cache_format::bf16, quantize_choice::w8a16}}};

}  // namespace

void visit_precision(guide& g, findings& f) {
  constexpr std::size_t texts = 4;
  // What bf16 may do to a stage, for all of them: who does more is named.
  budgets const may = budgets_of(g.asked(), number_format::bf16, kv_cache_format::bf16);
  table& t = f.add_table(figures::exact, {"setting", "first stage beyond " + number("%.0e", may.stage), "worst stage",
                                          "its relative error", "p99 ulp", "KL, nats per token"});
  for (setting const& s : settings) {
    auto const tested = g.open(s.as);
    alignment  all;
    for (std::size_t i = 0; i < std::min(texts, g.unseen().size()); ++i)
      align_text(*tested, g.reference(), g.unseen()[i], g.scoring(), s.as.numbers, all);
    stage_error const* const first = first_divergent(all, may);
    auto const worst = std::max_element(all.stages.begin(), all.stages.end(), [](auto const& a, auto const& b) {
      return a.isolated.rel_l2() < b.isolated.rel_l2();
    });
    t.rows.push_back({s.name, first ? first->name : "none", worst->name, number("%.1e", worst->isolated.rel_l2()),
                      number(worst->isolated.ulp_quantile(.99)), number("%.1e", distance(all.logits).kl)});
  }
}

}  // namespace tenon::engine::tour
