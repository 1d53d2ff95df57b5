#pragma once
//  The calibration texts on their way through a model, one layer at a time.
//
//  Of the whole model only one layer is a decoder at any time: the layer by itself, whose embedding stage gives way to the stream
//  that the layers in front of it have left. What its stages show are the bits of a pass through all layers. So calibrating costs
//  as many layers as the model has, and memory for one of them and for the stream.
#include <cstddef>
#include <vector>

#include "engine/compress/calibration_pass.hpp"
#include "engine/compress/editable_model.hpp"
#include "engine/model/tap.hpp"

namespace tenon::engine {

class layer_stream {
 public:
  /// In front of the first layer.
  layer_stream(editable_model const& model, token_texts const& texts, scorer_options const& options);

  /// All texts through layer i of the model as it is now; `see` gets its stages, of every step. The stream stays where it is.
  void look(editable_model const& model, std::size_t i, model_opener const& open, tap const& see);
  /// The same, and the stream is then the one behind the layer.
  void pass(editable_model const& model, std::size_t i, model_opener const& open, tap const& see = {});

 private:
  void run(editable_model const& model, std::size_t i, model_opener const& open, tap const& see, bool pass);

  token_texts        texts_;  // of zeros: only their lengths matter
  scorer_options     options_;
  std::vector<float> stream_;  // (tokens of all texts, hidden)
};

}  // namespace tenon::engine
