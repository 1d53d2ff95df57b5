#include "engine/generation/scorer.hpp"

#include <algorithm>
#include <cmath>

#include "engine/error.hpp"

namespace tenon::engine {

void visit_logits(decoder& model, std::span<std::int32_t const> ids, scorer_options const& options,
                  std::function<void(std::size_t, std::span<float const>)> const& visit) {
  if (ids.size() > static_cast<std::size_t>(options.max_length))
    throw error("internal: a window is longer than the model");
  auto const        page  = static_cast<std::size_t>(options.block_size);
  std::size_t const pages = (ids.size() + page - 1) / page;
  if (static_cast<std::int64_t>(pages) > model.pages())
    throw error("--max-model-len: a text does not fit the KV cache: found " + std::to_string(pages) +
                " pages, expected at most " + std::to_string(model.pages()));
  step_batch         step;
  std::vector<float> logits;
  auto const         chunk = static_cast<std::size_t>(std::min(options.max_batched_tokens, options.max_rows));
  for (std::size_t first = 0; first < ids.size(); first += chunk) {
    std::size_t const count = std::min(chunk, ids.size() - first);
    step.clear();
    for (std::size_t i = 0; i < count; ++i) {
      step.ids.push_back(ids[first + i]);
      step.positions.push_back(static_cast<std::int32_t>(first + i));
      step.slots.push_back(static_cast<std::int64_t>(first + i));  // pages 0, 1, 2, ... in order
      step.logit_rows.push_back(static_cast<std::int32_t>(i));
    }
    step.query_start = {0, static_cast<std::int32_t>(count)};
    step.kv_length   = {static_cast<std::int32_t>(first + count)};
    for (std::size_t p = 0; p < pages; ++p) step.block_table.push_back(static_cast<std::int32_t>(p));
    step.max_pages = static_cast<std::int32_t>(pages);
    model.forward(step);
    model.read_logits(logits);
    std::size_t const vocabulary = logits.size() / count;
    for (std::size_t i = 0; i < count; ++i) visit(first + i, std::span(logits).subspan(i * vocabulary, vocabulary));
  }
}

void log_softmax(std::span<float const> logits, std::vector<double>& out) {
  out.resize(logits.size());
  double const top = *std::max_element(logits.begin(), logits.end());
  double       sum = 0;
  for (float const v : logits) sum += std::exp(static_cast<double>(v) - top);
  double const shift = top + std::log(sum);
  for (std::size_t i = 0; i < logits.size(); ++i) out[i] = static_cast<double>(logits[i]) - shift;
}

double score::mean_nll() const { return tokens ? nll / static_cast<double>(tokens) : 0; }
double score::perplexity() const { return std::exp(mean_nll()); }
double score::mean_kl() const { return tokens ? kl / static_cast<double>(tokens) : 0; }
double score::kl_standard_error() const {
  if (tokens < 2) return 0;
  auto const n = static_cast<double>(tokens);
  return std::sqrt(std::max(0.0, kl_squares / n - mean_kl() * mean_kl()) / (n - 1));
}
double score::top1_agreement() const { return tokens ? agreed / static_cast<double>(tokens) : 0; }

void score_text(decoder& model, decoder* reference, std::span<std::int32_t const> ids, scorer_options const& options,
                score& total, std::function<void(std::span<float const>)> const& on_logits) {
  auto const          length = static_cast<std::size_t>(options.max_length);
  std::vector<double> p, q;
  std::vector<float>  expected;  // the reference's logits of one window, (positions, vocabulary)
  total.compared = total.compared || reference != nullptr;
  for (std::size_t first = 0; first + 1 < ids.size(); first += length) {
    auto const window = ids.subspan(first, std::min(length + 1, ids.size() - first));
    auto const fed    = window.first(window.size() - 1);
    expected.clear();
    if (reference)
      visit_logits(*reference, fed, options,
                   [&](std::size_t, std::span<float const> l) { expected.insert(expected.end(), l.begin(), l.end()); });
    visit_logits(model, fed, options, [&](std::size_t i, std::span<float const> l) {
      log_softmax(l, p);
      total.nll -= p[static_cast<std::size_t>(window[i + 1])];
      ++total.tokens;
      if (on_logits) on_logits(l);
      if (!reference) return;
      auto const e = std::span<float const>(expected).subspan(i * l.size(), l.size());
      log_softmax(e, q);
      double kl = 0;
      for (std::size_t v = 0; v < q.size(); ++v) kl += std::exp(q[v]) * (q[v] - p[v]);
      total.kl += kl, total.kl_squares += kl * kl;
      total.agreed +=
          std::max_element(l.begin(), l.end()) - l.begin() == std::max_element(e.begin(), e.end()) - e.begin();
    });
  }
}

}  // namespace tenon::engine
