#pragma once
//  What `tenon align` lets a model differ by.
#include "engine/commands/setup.hpp"
#include "engine/generation/alignment.hpp"

namespace tenon::engine {

/// What the tested model may differ by.
struct budgets {
  double stage = 0;  // relative error of one stage on good input
  double kl    = 0;  // nats per token
  double top1  = 0;  // share of tokens
  bool   passes(tensor_error const& e) const { return e.broken() == 0 && e.rel_l2() <= stage; }
  bool   passes(logits_error const& e) const {
      return e.broken() == 0 && e.mean_kl() <= kl && e.top1_agreement_but_ties() >= top1;
  }
};

/// As the formats allow, where the options do not say it.
[[nodiscard]] budgets budgets_of(options const& from, number_format stored, kv_cache_format kv);

/// The first stage that does more to good input than it may; null: none.
[[nodiscard]] stage_error const* first_divergent(alignment const& all, budgets const& may);

}  // namespace tenon::engine
