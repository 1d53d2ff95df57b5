#pragma once
//  A low-rank adapter of PEFT (adapter_config.json, adapter_model.safetensors) into the model that it was trained on.
//
//    w' = w + alpha / r  B A         r and alpha of the module, alpha / sqrt(r) with use_rslora
//    DoRA: rows of that brought to the lengths in lora_magnitude_vector
//
//  Modules that were trained whole (modules_to_save, bias) replace those of the model. Whatever would make another function than
//  the adapter's own is refused: a module without its half of the adapter, a tensor without a use, a kind of adapter that is not
//  linear in the weights. Sums are in double and rounded once to the type of the model's tensor.
//
//  Format: huggingface/peft, LoraConfig and get_peft_model_state_dict. Papers: tenon/compress/merge_lora.hpp.
#include <cstdint>
#include <string>
#include <vector>

#include "engine/compress/editable_model.hpp"

namespace tenon::engine {

struct merged_module {
  std::string  name;  // "model.layers.0.self_attn.q_proj"
  std::int64_t rank     = 0;
  double       scale    = 0;  // of B A
  double       change   = 0;  // |w' - w| / |w|
  double       rounding = 0;  // what storing w' has lost of w' - w, as a part of it
};

struct merged_adapter {
  std::vector<merged_module> modules;
  std::vector<std::string>   replaced;        // tensors that were trained whole
  bool                       untied = false;  // the head was the embedding, and one of them has changed
};

/// Throws `error` and leaves the model as it was, where the adapter is not one of this model, is damaged, or of an unknown kind.
merged_adapter merge_adapter(editable_model& model, std::string const& directory);

}  // namespace tenon::engine
