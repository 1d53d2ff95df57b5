#pragma once
//  Fewer layers: whole ones, or their attention or MLP alone, each time what costs least, measured.
//
//  A cut is followed by healing (stream_heal.hpp): the residual stream behind the gap is again what the uncut model has there, as
//  near as can be. Which cut costs least is asked after healing, which changes the order. Scores that predict the answer are
//  reported beside it; they are not trusted.
//
//  Sources. Greedy by measured loss: Song et al., SLEB, 2024. Block influence: Men et al., ShortGPT, 2024. Angular distance:
//  Gromov et al., The unreasonable ineffectiveness of the deeper layers, 2024. Healing a dropped run of blocks by a fitted map:
//  Shopkhoev et al., ReplaceMe, 2025.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/compress/calibration_pass.hpp"
#include "engine/compress/editable_model.hpp"
#include "engine/generation/scorer.hpp"
#include "engine/model/decoder.hpp"

namespace tenon::engine {

enum class cut_kind : std::uint8_t { layer, attention, mlp };

/// What dropping one part costs: divergence from the uncut model in nats per token.
struct cut_candidate {
  std::size_t           layer = 0;  // of the uncut model
  double                plain = 0;  // nothing fitted
  std::optional<double> healed;     // none: nothing could be fitted, or should be

  double cost() const { return std::min(plain, healed.value_or(plain)); }
};

struct cut_step {
  cut_kind                   kind  = cut_kind::layer;
  std::size_t                layer = 0;  // of the uncut model, that went
  std::vector<cut_candidate> candidates;
};

/// How little each layer does, as published scores see it, on the uncut model.
struct layer_influence {
  std::vector<double> block_influence;   // (layers) 1 - mean cosine of the stream in front and behind
  std::vector<double> angular_distance;  // (layers) of the last token of each text: arccos(cosine) / pi
};

class depth_cutter {
 public:
  /// `texts`: for healing and for measuring. The model as it is now is the uncut one.
  depth_cutter(editable_model const& uncut, model_opener open, token_texts texts, scorer_options const& options,
               bool heal);

  [[nodiscard]] layer_influence influence() const;
  /// Drops what costs least of what is there; throws `error` where nothing of that kind is left to drop.
  cut_step cut(editable_model& model, cut_kind kind) const;

 private:
  [[nodiscard]] std::vector<float> reference_logits(std::vector<std::int32_t> const& ids) const;
  [[nodiscard]] double             divergence(editable_model const& model) const;

  model_opener                    open_;
  std::unique_ptr<decoder>        reference_;
  token_texts                     texts_;
  scorer_options                  options_;
  bool                            heal_;
  std::vector<std::vector<float>> expected_;  // the reference's logits of each text; empty: too many to keep
};

}  // namespace tenon::engine
