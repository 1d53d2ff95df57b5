#pragma once
//  Narrower MLPs: the neurons that matter least go, and down_proj is fitted again on those that stay.
//
//  Layers are cut from the first to the last, each on the inputs that the layers cut before it give it.
#include <cstddef>
#include <vector>

#include "engine/compress/depth_cut.hpp"
#include "engine/compress/editable_model.hpp"
#include "engine/compress/unit_cut.hpp"

namespace tenon::engine {

struct width_cut {
  std::size_t layer = 0, before = 0, after = 0;  // neurons
  double      plain = 0, fitted = 0;  // relative error of the MLP's output on the texts, without and with the fit
};

/// Takes `share` of the neurons of every MLP.
std::vector<width_cut> cut_mlp_width(editable_model& model, model_opener const& open, token_texts const& texts,
                                     scorer_options const& options, double share, unit_options const& how);

}  // namespace tenon::engine
