#pragma once
//  What the stops of the tour have in common: the model, texts that it says, and how far another model is from it. Everything
//  is made when it is first asked for. The tour runs on the host, in f32 where a stop does not say otherwise.
#include <tenon/precision/logits_error.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/commands/setup.hpp"
#include "engine/commands/workbench.hpp"
#include "engine/compress/calibration_pass.hpp"
#include "engine/compress/editable_model.hpp"
#include "engine/generation/generator.hpp"

namespace tenon::engine::tour {

/// What another model's predictions are off by. Throws `error` where logits are not finite: nothing can be said then.
struct distance {
  explicit distance(logits_error const& of);

  double kl = 0, kl_error = 0;  // nats per token, and the standard error
  double top1 = 0;              // share of the most likely tokens that stay the same

  /// "0.0016 ± 0.0002": to the digit in which the error begins.
  [[nodiscard]] std::string kl_text() const;
};

/// A model as `tenon compress` writes it, read again. Its folder is gone already: the files stay mapped.
struct written_model {
  explicit written_model(editable_model const& m);

  std::uint64_t             bytes = 0;  // of all tensors
  model_config              config;
  std::optional<checkpoint> weights;
};

/// All that the engine has to do, in the order of the requests. `on_text` gets text as it comes; it may be empty. Throws `error`
/// where the model's logits are not finite.
std::vector<completion> answers_of(generator& engine, std::function<void(std::string_view)> const& on_text = {});

class guide {
 public:
  explicit guide(options const& from) : from_(from) {}

  static constexpr char const* story         = "Once upon a time";
  static constexpr int         text_length   = 128;  // of a calibration text
  static constexpr int         text_count    = 40;
  static constexpr int         greedy_tokens = 32;

  [[nodiscard]] options const& asked() const { return from_; }
  [[nodiscard]] int            threads() const { return static_cast<int>(from_.threads.value_or(0)); }

  [[nodiscard]] model_files const&    files();
  [[nodiscard]] editable_model const& original();
  [[nodiscard]] decoder&              reference();  // the original in f32

  /// What the model says at temperature 1: to calibrate with, and as much with other seeds to judge by.
  [[nodiscard]] token_texts const& calibration();
  [[nodiscard]] token_texts const& unseen();

  /// Decoders for all texts of a kind at once.
  [[nodiscard]] workbench const&         bench();
  [[nodiscard]] scorer_options           scoring() { return bench().scoring(); }
  [[nodiscard]] std::unique_ptr<decoder> open(written_model const& m) { return bench().open(m.config, *m.weights); }
  [[nodiscard]] std::unique_ptr<decoder> open(decoder_formats const& as = {});  // the original

  /// On the unseen texts.
  [[nodiscard]] distance distance_of(decoder& tested);

  /// Throws `error` where the model, or this tour, has no room for texts of so many tokens.
  void need_positions(int tokens);

  /// The prompt as this tour begins every text, and what the model has to add: its most likely tokens.
  [[nodiscard]] std::string greedy_text(decoder& model);

  [[nodiscard]] generator_options generation(int sequences);

 private:
  token_texts sampled(std::uint64_t seed);

  options                       from_;
  std::optional<model_files>    files_;
  std::optional<workbench>      bench_;
  std::optional<editable_model> original_;
  std::unique_ptr<decoder>      reference_;
  std::optional<token_texts>    calibration_, unseen_;
};

}  // namespace tenon::engine::tour
