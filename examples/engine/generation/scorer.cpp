#include "engine/generation/scorer.hpp"

#include <tenon/core/throw_if.hpp>

#include <algorithm>
#include <cmath>

#include "engine/error.hpp"

namespace tenon::engine {

std::int64_t pages_for(std::size_t tokens, scorer_options const& options) {
  auto const page = static_cast<std::size_t>(options.block_size);
  return static_cast<std::int64_t>((tokens + page - 1) / page);
}

void feed(step_batch& step, std::span<std::int32_t const> ids, std::size_t first, std::size_t count,
          scorer_options const& options, std::int64_t page) {
  step.clear();
  for (std::size_t i = 0; i < count; ++i) {
    step.ids.push_back(ids[first + i]);
    step.positions.push_back(static_cast<std::int32_t>(first + i));
    step.slots.push_back(page * options.block_size + static_cast<std::int64_t>(first + i));
    step.logit_rows.push_back(static_cast<std::int32_t>(i));
  }
  step.query_start = {0, static_cast<std::int32_t>(count)};
  step.kv_length   = {static_cast<std::int32_t>(first + count)};
  step.max_pages   = static_cast<std::int32_t>(pages_for(ids.size(), options));
  for (std::int32_t p = 0; p < step.max_pages; ++p) step.block_table.push_back(static_cast<std::int32_t>(page) + p);
}

void visit_logits(decoder& model, std::span<std::int32_t const> ids, scorer_options const& options,
                  std::function<void(std::size_t, std::span<float const>)> const& visit) {
  if (ids.size() > static_cast<std::size_t>(options.max_length))
    throw error("internal: a window is longer than the model");
  std::int64_t const pages = pages_for(ids.size(), options);
  if (pages > model.pages())
    throw error("--max-model-len: a text does not fit the KV cache: found " + std::to_string(pages) +
                " pages, expected at most " + std::to_string(model.pages()));
  step_batch         step;
  std::vector<float> logits;
  auto const         chunk = static_cast<std::size_t>(std::min(options.max_batched_tokens, options.max_rows));
  for (std::size_t first = 0; first < ids.size(); first += chunk) {
    std::size_t const count = std::min(chunk, ids.size() - first);
    feed(step, ids, first, count, options, 0);
    model.forward(step);
    model.read_logits(logits);
    std::size_t const vocabulary = logits.size() / count;
    for (std::size_t i = 0; i < count; ++i) visit(first + i, std::span(logits).subspan(i * vocabulary, vocabulary));
  }
}

double score::mean_nll() const { return tokens ? nll / static_cast<double>(tokens) : 0; }
double score::perplexity() const { return std::exp(mean_nll()); }

void score_text(decoder& model, decoder* reference, std::span<std::int32_t const> ids, scorer_options const& options,
                score& total, std::function<void(std::span<float const>)> const& on_logits) {
  auto const          length = static_cast<std::size_t>(options.max_length);
  std::vector<double> p;
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
      throw_if(total.against.add(std::span<float const>(expected).subspan(i * l.size(), l.size()), l, window[i + 1]));
    });
  }
}

}  // namespace tenon::engine
