#include "engine/generation/alignment.hpp"

#include <tenon/core/throw_if.hpp>

#include <algorithm>
#include <utility>

#include "engine/error.hpp"

namespace tenon::engine {

namespace {

struct recorded_stage {
  tap_site           site;
  std::vector<float> values;
};

float_spacing spacing_in(number_format f) {
  return f == number_format::bf16 ? spacing_of<bf16> : f == number_format::f16 ? spacing_of<f16> : spacing_of<float>;
}

/// Both ways of one chunk of tokens.
class chunk_alignment {
 public:
  chunk_alignment(decoder& tested, decoder& reference, number_format stored, alignment& total)
      : tested_(tested), reference_(reference), stored_(stored), total_(total) {}

  void record(step_batch const& step) {
    stages_.clear();
    stage_reader const look(reference_, [this](tap_site const& s, std::vector<float>& values) {
      stages_.push_back({s, values});
      return false;
    });
    reference_.forward(step);
    reference_.read_logits(logits_);
  }
  /// `next`: the tokens that follow those of the step.
  void propagate(step_batch const& step, std::span<std::int32_t const> next) {
    run(step, &stage_error::propagated, false);
    std::size_t const vocabulary = logits_.size() / next.size();
    auto const        row        = [&](std::vector<float> const& of, std::size_t i) {
      return std::span<float const>(of).subspan(i * vocabulary, vocabulary);
    };
    for (std::size_t i = 0; i < next.size(); ++i)
      throw_if(total_.logits.add(row(logits_, i), row(answer_, i), next[i]));
    total_.tokens += static_cast<std::int64_t>(next.size());
  }
  void isolate(step_batch const& step) { run(step, &stage_error::isolated, true); }

 private:
  /// One pass of the tested model, compared stage by stage.
  void run(step_batch const& step, tensor_error stage_error::*kind, bool replace) {
    std::size_t at = 0;
    {
      stage_reader const look(tested_, [&](tap_site const& s, std::vector<float>& values) {
        if (at == stages_.size() || text_of(s) != text_of(stages_[at].site))
          differ(text_of(s), at == stages_.size() ? "the logits" : text_of(stages_[at].site));
        recorded_stage const& good = stages_[at];
        throw_if((error_of(at, name_of(s), s.width, stored_).*kind)
                     .add(std::span<float const>(good.values), std::span<float const>(values)));
        ++at;
        if (replace) values = good.values;
        return replace;
      });
      tested_.forward(step);
    }
    if (at != stages_.size()) differ("the logits", text_of(stages_[at].site));
    tested_.read_logits(answer_);
    throw_if((error_of(at, "logits", logits_.size() / step.logit_rows.size(), number_format::f32).*kind)
                 .add(std::span<float const>(logits_), std::span<float const>(answer_)));
  }

  stage_error& error_of(std::size_t at, std::string const& name, std::size_t width, number_format stored) {
    if (at == total_.stages.size())
      total_.stages.push_back({name, width, tensor_error(spacing_in(stored)), tensor_error(spacing_in(stored))});
    return total_.stages[at];
  }

  static std::string text_of(tap_site const& s) { return name_of(s) + " of " + std::to_string(s.width); }

  [[noreturn]] static void differ(std::string const& found, std::string const& expected) {
    throw wrong("--against", "the models have different stages", found, expected);
  }

  decoder &                   tested_, &reference_;
  number_format               stored_;
  alignment&                  total_;
  std::vector<recorded_stage> stages_;
  std::vector<float>          logits_, answer_;  // the reference's, the tested model's
};

}  // namespace

void align_text(decoder& tested, decoder& reference, std::span<std::int32_t const> ids, scorer_options const& options,
                number_format stored, alignment& total) {
  auto const      length = static_cast<std::size_t>(options.max_length);
  auto const      chunk  = static_cast<std::size_t>(std::min(options.max_batched_tokens, options.max_rows));
  chunk_alignment both(tested, reference, stored, total);
  step_batch      step;
  for (std::size_t start = 0; start + 1 < ids.size(); start += length) {
    auto const window = ids.subspan(start, std::min(length + 1, ids.size() - start));
    auto const fed    = window.first(window.size() - 1);
    auto const pages  = pages_for(fed.size(), options);
    if (2 * pages > tested.pages() || pages > reference.pages())
      throw wrong("--max-model-len", "a text does not fit the KV cache twice", std::to_string(2 * pages) + " pages",
                  "at most " + std::to_string(tested.pages()));
    for (std::size_t first = 0; first < fed.size(); first += chunk) {
      std::size_t const count = std::min(chunk, fed.size() - first);
      feed(step, fed, first, count, options, 0);
      both.record(step);
      both.propagate(step, window.subspan(first + 1, count));
      feed(step, fed, first, count, options, pages);  // in pages of its own: its keys are the reference's
      both.isolate(step);
    }
  }
}

}  // namespace tenon::engine
