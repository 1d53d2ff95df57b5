#include "engine/tour/guide.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "engine/compress/model_saver.hpp"
#include "engine/compress/self_text.hpp"
#include "engine/error.hpp"
#include "engine/files/scratch_folder.hpp"
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

distance::distance(logits_error const& of)
    : kl(of.mean_kl()), kl_error(of.kl_standard_error()), top1(of.top1_agreement()) {
  if (of.broken() > 0)
    throw wrong("the model", "has logits that are not finite", std::to_string(of.broken()) + " positions", "none");
}

std::string distance::kl_text() const {
  int const digits = kl_error > 0 ? std::clamp(static_cast<int>(std::ceil(-std::log10(kl_error))), 1, 9) : 1;
  char      text[64];
  std::snprintf(text, sizeof text, "%.*f ± %.*f", digits, kl, digits, kl_error);
  return text;
}

std::vector<completion> answers_of(generator& engine, std::function<void(std::string_view)> const& on_text) {
  std::vector<completion> done;
  auto const              show = [&](std::size_t, std::string const& piece) {
    if (on_text) on_text(piece);
  };
  while (!engine.idle()) (void)engine.step(show, [&](completion&& c) { done.push_back(std::move(c)); });
  std::sort(done.begin(), done.end(),
            [](completion const& a, completion const& b) { return a.asked.index < b.asked.index; });
  for (completion const& c : done)
    if (c.reason == finish::invalid)
      throw wrong("the model", "has logits that are not finite", "request " + std::to_string(c.asked.index), "none");
  return done;
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

void guide::need_positions(int tokens) {
  if (scoring().max_length < tokens)
    throw wrong(from_.model, "is for shorter texts", std::to_string(scoring().max_length) + " positions",
                "at least " + std::to_string(tokens));
}

distance guide::distance_of(decoder& tested) {
  score s;
  for (auto const& ids : unseen()) score_text(tested, &reference(), ids, scoring(), s);
  return distance(s.against);
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
  return story + answers_of(engine).front().text;
}

}  // namespace tenon::engine::tour
