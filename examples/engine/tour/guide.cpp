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

scorer_options guide::scoring() {
  return {.max_length         = static_cast<int>(std::min<std::int64_t>(longest, files().config.max_position)),
          .max_batched_tokens = step_tokens,
          .max_rows           = step_tokens,
          .block_size         = static_cast<int>(from_.block_size)};
}

std::unique_ptr<decoder> guide::open(model_config const& config, checkpoint const& weights, formats const& as) {
  scorer_options const s = scoring();
  decoder_options      o;
  o.dtype = as.numbers, o.kv_format = as.kv, o.load.quantize = as.quantize;
  o.threads = o.load.threads = threads();
  o.block_size = s.block_size, o.max_length = s.max_length;
  o.max_batched_tokens = s.max_batched_tokens, o.max_rows = s.max_rows;
  o.max_sequences = text_count;
  return make_decoder(config, &weights, 0, o);
}

decoder& guide::reference() {
  if (!reference_) reference_ = open(files().config, *files().weights);
  return *reference_;
}

token_texts guide::sampled(std::uint64_t seed) {
  auto const first = files().text->encode("");
  return self_sampled(reference(), first.empty() ? files().config.bos_id.value_or(0) : first.front(), text_count,
                      std::min(text_length, scoring().max_length), seed, scoring());
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
