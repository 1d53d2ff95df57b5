#include "engine/compress/logits_change.hpp"

#include <tenon/core/throw_if.hpp>
#include <tenon/precision/logits_error.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace tenon::engine {

logits_change change_of(decoder& before, decoder& after, token_texts const& texts, scorer_options const& options) {
  constexpr float    tie = 1e-4f;
  logits_change      change;
  logits_error       error;
  double             off = 0, all = 0;
  std::vector<float> expected;
  for (auto const& ids : texts) {
    expected.clear();
    visit_logits(before, ids, options,
                 [&](std::size_t, std::span<float const> l) { expected.insert(expected.end(), l.begin(), l.end()); });
    visit_logits(after, ids, options, [&](std::size_t at, std::span<float const> l) {
      auto const was = std::span(expected).subspan(at * l.size(), l.size());
      for (std::size_t i = 0; i < l.size(); ++i) {
        double const x = static_cast<double>(was[i]), d = static_cast<double>(l[i]) - x;
        off += d * d, all += x * x;
      }
      auto const best = std::max_element(was.begin(), was.end());
      auto const now  = was[static_cast<std::size_t>(std::max_element(l.begin(), l.end()) - l.begin())];
      change.other_choices += *best - now > tie;
      ++change.positions;
      throw_if(error.add(was, l));
    });
  }
  change.relative_l2 = all > 0 ? std::sqrt(off / all) : off;
  change.kl          = error.broken() > 0 ? std::numeric_limits<double>::infinity() : error.mean_kl();
  return change;
}

}  // namespace tenon::engine
