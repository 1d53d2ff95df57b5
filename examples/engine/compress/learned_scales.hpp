#pragma once
//  Codes for a model whose scales training has learned: a checkpoint of plain weights, of 16 or 32 bits, with tensors
//  beside them.
//
//    NAME.weight_scale                 used bit for bit: one, one per row, or one per row and group of columns
//    NAME.weight_quantizer._amax       what becomes the largest code, as ModelOpt has it: scale = amax / 127, 7 or 448
//    NAME.input_scale                  one scale of all inputs, or NAME.input_quantizer._amax
//    self_attn.k_scale, .v_scale       of an 8-bit cache, also as k_proj.k_scale, v_proj.v_scale: kept under the first
//
//  Nothing is calibrated: these scales are what training saw. Where weights lie on the grid of their scales, their
//  codes are read off and nothing is lost. Else they are master weights, and are rounded as training rounded them.
#include <tenon/quant/quantize_on_grid.hpp>
#include <tenon/quant/weight_format.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "engine/compress/editable_model.hpp"
#include "engine/files/safetensors.hpp"
#include "engine/model/decoder.hpp"

namespace tenon::engine {

struct learned_module {
  std::string name;  // "model.layers.0.mlp.up_proj"
  grid_report grid;
  bool        fixed_inputs = false;  // its inputs have a learned scale, too
};

struct learned_layers {
  weight_format               format;  // of all of them
  std::vector<learned_module> modules;
  std::vector<std::string>    kept;        // modules without a scale: they stay as they are
  std::vector<std::string>    ignored;     // scales that nothing here takes
  std::size_t                 caches = 0;  // layers with scales of a cache
};

/// Part of a matrix's weights that has to be on the grid for its codes to count as read off.
inline constexpr double on_grid_part = 0.999;
/// Part of a matrix's weights that may lie beyond the last code. Learned scales clip a percent or so.
inline constexpr double most_saturated = 0.05;

/// Whether a checkpoint has scales beside a weight of 16 or 32 bits.
[[nodiscard]] bool has_learned_scales(checkpoint const& files);

/// The tensors of `files` without those of scales, which keep their place in `files`. Scales of caches stay.
[[nodiscard]] checkpoint without_learned_scales(checkpoint const& files);

/// Every linear layer that has scales in `files` becomes codes of `choice`, in the model whose weights these are.
/// `done(i)` is called when layer i is as it will be. Throws `error` where no module has scales, their shape or values
/// are none, modules differ in format, inputs were smoothed (pre_quant_scale), or scales cannot be those of the
/// weights: more than a twentieth of a matrix saturates, or no integer goes beyond an eighth of the range.
learned_layers quantize_with_learned_scales(editable_model& model, checkpoint const& files, quantize_choice choice,
                                            std::function<void(std::size_t)> const& done = {});

}  // namespace tenon::engine
