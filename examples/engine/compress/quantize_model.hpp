#pragma once
//  Calibrated quantisation of all linear layers, from the first to the last, each on the inputs that the layers quantised before it
//  give it ("true sequential"). Embedding, head and norms stay as they are.
#include <string>
#include <vector>

#include "engine/compress/depth_cut.hpp"
#include "engine/compress/editable_model.hpp"

namespace tenon::engine {

enum class quantize_method : std::uint8_t { gptq, nearest };

struct quantized_module {
  std::string     name;
  quantize_method method       = quantize_method::gptq;  // nearest also where GPTQ found no way
  double          output_error = 0;                      // relative, on the calibration texts
  double          sqnr         = 0;                      // of the weights, dB
};

/// fp8 is rounded to nearest, whatever `method` says, and so is a matrix whose inputs GPTQ cannot use.
std::vector<quantized_module> quantize_model(editable_model& model, model_opener const& open, token_texts const& texts,
                                             scorer_options const& options, quantize_choice choice,
                                             quantize_method method);

}  // namespace tenon::engine
