#pragma once
//  Gains of norms into the matrices that read them: the norms then only normalise.
//
//  A matrix that is forgotten reads a norm without its gain, and nothing says so. So readers are counted in the file, apart from
//  the list of those that the architecture has, and the model that comes out is compared with the one that went in, logits by
//  logits. In f32 both are the same but for rounding. Weights of 16 bits are rounded again, which is a loss, and reported.
//
//  Norms of q and k stay, and those behind a half of a layer (Gemma 2): no matrix reads them. A head that is the embedding is
//  untied first, where the last norm has a gain.
//  Source: Ashkboos et al., SliceGPT, 2024; tenon/compress/fold_norm_gain.hpp.
#include <tenon/compress/fold_report.hpp>

#include <cstddef>
#include <string>
#include <vector>

#include "engine/compress/depth_cut.hpp"
#include "engine/compress/editable_model.hpp"
#include "engine/compress/logits_change.hpp"

namespace tenon::engine {

struct folded_norms {
  std::vector<std::string> folded;          // names of their gains; those without effect are in no list
  std::vector<std::string> left;            // gains that nothing can take over
  bool                     untied = false;  // the head was the embedding
  fold_report              weights;         // of all matrices, as they are stored
  logits_change            fold;            // in f32: rounding of the arithmetic alone
  logits_change            stored;          // in the types of the tensors
};

/// Throws `error` where a matrix reads a norm and the architecture knows nothing of it, a result does not fit its type, or the
/// logits change by more than rounding does (1e-4, relative).
folded_norms fold_norms(editable_model& model, model_opener const& open, token_texts const& texts,
                        scorer_options const& options);

}  // namespace tenon::engine
