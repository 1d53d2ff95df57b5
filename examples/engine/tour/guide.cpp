#include "engine/tour/guide.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "engine/compress/model_saver.hpp"
#include "engine/compress/self_text.hpp"
#include "engine/error.hpp"
#include "engine/files/scratch_folder.hpp"
#include "engine/generation/generator.hpp"
#include "engine/generation/scorer.hpp"

namespace tenon::engine::tour {

namespace {

constexpr int longest      = 256;  // tokens of a text or a prompt with its completion
constexpr int step_tokens  = 256;
constexpr int unseen_seeds = 1000;  // apart from those of the calibration

}  // namespace

written_model::written_model(editable_model const& m) {
  scratch_folder const folder;
  bytes  = model_saver(folder.path()).finish(m);
  config = read_model_config(folder.path().string());
  weights.emplace(folder.path());
}

std::string distance::kl_text() const {
  int const digits = kl_error > 0 ? std::clamp(static_cast<int>(std::ceil(-std::log10(kl_error))), 1, 9) : 1;
  char      text[64];
  std::snprintf(text, sizeof text, "%.*f ± %.*f", digits, kl, digits, kl_error);
  return text;
}

model_files const& guide::files() {
  if (!files_) files_ = open_model(from_, text_use::needed);
  return *files_;
}

editable_model const& guide::original() {
  if (!original_) original_.emplace(from_.model, files().config, *files().weights);
  return *original_;
}

workbench const& guide::bench() {
  if (!bench_) bench_.emplace(from_, files().config, text_count, longest);
  return *bench_;
}

std::unique_ptr<decoder> guide::open(decoder_formats const& as) {
  return bench().open(files().config, *files().weights, as);
}

decoder& guide::reference() {
  if (!reference_) reference_ = open();
  return *reference_;
}

token_texts guide::sampled(std::uint64_t seed) {
  return self_sampled(reference(), first_token(files()), text_count, std::min(text_length, scoring().max_length), seed,
                      scoring());
}

token_texts const& guide::calibration() {
  if (!calibration_) calibration_ = sampled(0);
  return *calibration_;
}

token_texts const& guide::unseen() {
  if (!unseen_) unseen_ = sampled(unseen_seeds);
  return *unseen_;
}

distance guide::distance_of(decoder& tested) {
  score s;
  for (auto const& ids : unseen()) score_text(tested, &reference(), ids, scoring(), s);
  if (s.against.broken() > 0)
    throw wrong("the model", "has logits that are not finite", std::to_string(s.against.broken()) + " positions",
                "none");
  return {s.tokens, s.against.mean_kl(), s.against.kl_standard_error(), s.against.top1_agreement()};
}

generator_options guide::generation(int sequences) {
  run_limits limits;
  limits.max_length         = scoring().max_length;
  limits.max_sequences      = sequences;
  limits.max_batched_tokens = std::max(step_tokens, sequences);
  return generator_options_of(from_, limits, files());
}

std::string guide::greedy_text(decoder& model) {
  generator engine(model, files().text.get(), generation(1));
  request   r;
  r.prompt               = story;
  r.prompt_ids           = files().text->encode(r.prompt);
  r.max_tokens           = greedy_tokens;
  r.sampling.temperature = 0;
  engine.add(std::move(r));
  std::string text = story;
  while (!engine.idle()) {
    (void)engine.step([](std::size_t, std::string const&) {}, [&](completion&& c) { text += c.text; });
  }
  return text;
}

}  // namespace tenon::engine::tour
