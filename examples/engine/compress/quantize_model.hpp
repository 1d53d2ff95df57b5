#pragma once
//  Calibrated quantisation of all linear layers, from the first to the last, each on the inputs that the layers quantised before it
//  give it ("true sequential"). Embedding, head and norms stay as they are.
//
//  A layer is opened by itself (compress/layer_stream.hpp): its inputs' statistics are gathered; factors of inputs are folded into
//  what writes them, by SmoothQuant or AWQ; fixed scales of inputs are found for what is then there; its matrices become codes; and
//  the layer hands on what it computes with them.
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/compress/calibration_pass.hpp"
#include "engine/compress/editable_model.hpp"
#include "engine/program/quantize_options.hpp"

namespace tenon::engine {

struct quantized_module {
  std::string name;
  code_method method       = code_method::gptq;  // nearest also where GPTQ found no way
  double      output_error = 0;                  // relative, on the calibration texts, with the inputs as they are
  double      sqnr         = 0;  // of the weights, dB; of those that factors have been folded into, where there are
  double      clip_share   = 0;  // of the weights: those beyond the range of their codes
};

/// The inputs of some matrices of a layer, and what was decided for them.
struct quantized_site {
  std::size_t           layer = 0;
  std::string           name;                 // "gated"
  std::optional<double> awq_ratio;            // -1: factors of 1 were the best
  std::optional<float>  scale;                // fixed; none: found as they come
  double error_dynamic = 0, error_fixed = 0;  // of the outputs, from the inputs' codes alone; 0: not measured
};

struct quantized_layers {
  std::vector<quantized_module> modules;
  std::vector<quantized_site>   sites;
  std::vector<cache_scales>     caches;
};

/// fp8 is rounded to nearest, whatever the method, and so is a matrix whose inputs GPTQ cannot use. `done(i)` is called when layer i is
/// as it will be and not needed any more.
quantized_layers quantize_model(editable_model& model, model_opener const& open, token_texts const& texts,
                                scorer_options const& options, quantize_choice choice, quantize_options const& how,
                                std::function<void(std::size_t)> const& done = {});

}  // namespace tenon::engine
