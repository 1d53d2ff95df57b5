#pragma once
//  Healing a cut: the last matrix in front of a place in the residual stream is fitted again, in closed form, so that the stream is
//  there what the uncut model has (tenon/compress/least_squares.hpp).
//
//  Models that norm what a half adds (Gemma 2) are not healed: no matrix adds to their stream.
//  Source: Shopkhoev et al., ReplaceMe, 2025, which fits a map behind the matrix instead.
#include <cstddef>
#include <memory>

#include "engine/compress/calibration_pass.hpp"
#include "engine/compress/editable_model.hpp"
#include "engine/generation/scorer.hpp"

namespace tenon::engine {

class stream_healer {
 public:
  /// All by reference.
  stream_healer(decoder& uncut, model_opener const& open, token_texts const& texts, scorer_options const& options)
      : uncut_(uncut), open_(open), texts_(texts), options_(options) {}

  /// Fits the last matrix of layers 0 to `last` of the cut model, so that the stream behind it is the one behind layer `origin` of
  /// the uncut model. Whether there is such a matrix.
  bool heal(editable_model& model, std::size_t last, std::size_t origin) const;

 private:
  decoder&              uncut_;
  model_opener const&   open_;
  token_texts const&    texts_;
  scorer_options const& options_;
};

}  // namespace tenon::engine
