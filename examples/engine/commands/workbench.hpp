#pragma once
//  Decoders of models that are being changed, and of what came of them, on the host.
#include <cstdint>
#include <memory>

#include "engine/commands/setup.hpp"
#include "engine/compress/calibration_pass.hpp"
#include "engine/compress/editable_model.hpp"

namespace tenon::engine {

/// How a decoder keeps its numbers.
struct decoder_formats {
  number_format   numbers  = number_format::f32;
  kv_cache_format kv       = kv_cache_format::f32;
  quantize_choice quantize = quantize_choice::none;
};

/// `texts` together of up to `length` tokens each, or as many as the model has positions.
class workbench {
 public:
  workbench(options const& from, model_config const& config, int texts, std::int64_t length);

  [[nodiscard]] std::unique_ptr<decoder> open(model_config const& config, checkpoint const& weights,
                                              decoder_formats const& as = {}) const;
  [[nodiscard]] std::unique_ptr<decoder> open(editable_model const& m) const;

  /// Of models in f32; as long as the workbench is there.
  [[nodiscard]] model_opener opener() const {
    return [this](editable_model const& m) { return open(m); };
  }

  /// What score_text needs to feed these decoders.
  [[nodiscard]] scorer_options scoring() const;

 private:
  decoder_options o_;
};

/// What begins a text that the model makes up.
[[nodiscard]] std::int32_t first_token(model_files const& files);

}  // namespace tenon::engine
