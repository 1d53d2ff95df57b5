#pragma once
//  config.json, generation_config.json and quantize_config.json of a Hugging Face model directory, range-checked.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/files/quantization_config.hpp"

namespace tenon::engine {

enum class rope_scaling_kind { none, linear, llama3, yarn };

/// How rotary angles are stretched beyond the trained length; the fields that a kind does not use keep their defaults.
struct rope_scaling_config {
  rope_scaling_kind     kind                  = rope_scaling_kind::none;
  double                factor                = 1;   // linear, llama3, yarn
  double                low_freq_factor       = 1;   // llama3
  double                high_freq_factor      = 4;   // llama3
  std::int64_t          original_max_position = 0;   // llama3, yarn: trained length in tokens
  double                beta_fast             = 32;  // yarn
  double                beta_slow             = 1;   // yarn
  std::optional<double> attention_factor;            // yarn: factor of the cosines and sines where the file states it
  double                mscale         = 0;          // yarn, DeepSeek's pair of exponents; 0: not stated
  double                mscale_all_dim = 0;          // yarn
  bool                  truncate       = true;       // yarn: whole-number bounds of the ramp
};

/// What one layer is. Layers of a model may differ, and either half may be absent.
struct layer_shape {
  std::int64_t heads        = 0;  // 0: no attention
  std::int64_t kv_heads     = 0;
  std::int64_t head_dim     = 0;
  std::int64_t intermediate = 0;  // 0: no MLP
};

/// What the names of a layer's tensors begin with: "model.layers.3.".
[[nodiscard]] std::string layer_prefix(std::size_t layer);

enum class activation_kind { silu, gelu_erf, gelu_tanh, gelu_quick };

struct model_config {
  std::string file;          // as read, for messages
  std::string architecture;  // "LlamaForCausalLM"
  std::string model_type;    // "llama", "mistral", "qwen2", "qwen3", "gemma2"

  std::int64_t vocab_size   = 0;
  std::int64_t hidden       = 0;
  std::int64_t layers       = 0;
  std::int64_t heads        = 0;  // query heads
  std::int64_t kv_heads     = 0;
  std::int64_t head_dim     = 0;
  std::int64_t intermediate = 0;
  std::int64_t max_position = 0;  // tokens

  double              rms_eps         = 1e-6;
  double              rope_theta      = 10000;
  double              rotary_fraction = 1;  // of head_dim that is rotated
  rope_scaling_config rope_scaling;

  bool            tie_word_embeddings = false;
  bool            qkv_bias            = false;  // llama, qwen3 and gemma2 attention_bias, qwen2 always
  bool            output_bias         = false;  // of o_proj: llama, qwen3 and gemma2 attention_bias
  bool            mlp_bias            = false;
  activation_kind activation          = activation_kind::silu;

  std::vector<layer_shape>  shapes;   // (layers) as above, but where the file's `tenon_layers` says otherwise
  std::vector<std::int64_t> windows;  // (layers) tokens that a query sees, its own among them; 0: all before it

  double attention_scale    = 0;      // of q . k: gemma2's query_pre_attn_scalar^-1/2; 0: head_dim^-1/2
  double attention_soft_cap = 0;      // gemma2 attn_logit_softcapping; 0: none
  double final_soft_cap     = 0;      // gemma2 final_logit_softcapping; 0: none
  bool   scaled_embedding   = false;  // gemma2: embeddings times sqrt(hidden), a number of the decoder's format
  bool   norm_from_one      = false;  // gemma2: norms multiply with 1 + weight
  bool   norms_after        = false;  // gemma2: a norm behind each half of a layer, before its residual addition
  bool   qk_norm            = false;  // qwen3: RMS norm of every head of q and k, before the rotation

  std::optional<std::int32_t> bos_id;
  std::vector<std::int32_t>   eos_ids;  // of config.json and generation_config.json, sorted, each once
  std::string                 dtype;    // "float32", "bfloat16", "float16" or "" where not stated

  std::optional<quantization_config> quantization;  // of the weights in the files; none: they are plain numbers

  [[nodiscard]] std::int64_t rotary_dim() const;   ///< rotated elements of a head, even
  [[nodiscard]] bool         has_windows() const;  ///< in any layer
};

/// `path` is a model directory (config.json and, where it exists, generation_config.json) or a JSON file by itself.
[[nodiscard]] model_config read_model_config(std::string const& path);

}  // namespace tenon::engine
