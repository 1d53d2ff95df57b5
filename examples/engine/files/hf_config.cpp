#include "engine/files/hf_config.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "engine/error.hpp"
#include "engine/files/json.hpp"

namespace tenon::engine {
namespace {

namespace fs = std::filesystem;

struct architecture_entry {
  char const* name;
  char const* model_type;
};
constexpr std::array<architecture_entry, 5> architectures = {{{"LlamaForCausalLM", "llama"},
                                                              {"MistralForCausalLM", "mistral"},
                                                              {"Qwen2ForCausalLM", "qwen2"},
                                                              {"Qwen3ForCausalLM", "qwen3"},
                                                              {"Gemma2ForCausalLM", "gemma2"}}};

constexpr std::int64_t largest_vocabulary = std::int64_t{1} << 24;
constexpr std::int64_t largest_position   = std::int64_t{1} << 30;

architecture_entry read_architecture(json_fields const& f) {
  std::string known;
  for (auto const& a : architectures) known.append(known.empty() ? "one of " : ", ").append(a.name);
  std::string name;
  if (auto const* list = f.find("architectures")) {
    if (!list->is_array() || list->empty() || !list->front().is_string())
      throw f.wrong("architectures", "wrong type", describe(*list), "an array with " + known);
    name = list->front().get<std::string>();
    for (auto const& a : architectures)
      if (name == a.name) return a;
    throw f.wrong("architectures", "unknown architecture", in_quotes(name), known);
  }
  name = f.text("model_type");
  for (auto const& a : architectures)
    if (name == a.model_type) return a;
  throw f.wrong("model_type", "unknown architecture", in_quotes(name), known + " (as `architectures`)");
}

/// Gemma 2 goes by hidden_activation, whatever hidden_act says.
activation_kind read_activation(json_fields const& f, bool gemma2) {
  char const* const key  = gemma2 ? "hidden_activation" : "hidden_act";
  std::string const name = f.text_or(key, gemma2 ? "gelu_pytorch_tanh" : "silu");
  if (name == "silu" || name == "swish") return activation_kind::silu;
  if (name == "gelu") return activation_kind::gelu_erf;
  if (name == "gelu_new" || name == "gelu_fast" || name == "gelu_pytorch_tanh") return activation_kind::gelu_tanh;
  if (name == "quick_gelu") return activation_kind::gelu_quick;
  throw f.wrong(key, "unknown activation", in_quotes(name),
                "one of silu, gelu, gelu_new, gelu_pytorch_tanh, quick_gelu");
}

rope_scaling_config read_scaling(json_fields const& f, std::int64_t max_position) {
  rope_scaling_config s;
  std::string const   kind = f.has("rope_type") ? f.text("rope_type") : f.text_or("type", "default");
  if (kind == "default") return s;
  if (kind == "linear") s.kind = rope_scaling_kind::linear;
  else if (kind == "llama3") s.kind = rope_scaling_kind::llama3;
  else if (kind == "yarn") s.kind = rope_scaling_kind::yarn;
  else
    throw f.wrong(f.has("rope_type") ? "rope_type" : "type", "unsupported", in_quotes(kind),
                  "one of default, linear, llama3, yarn");
  s.factor = f.number("factor", 1, 1e6);
  if (s.kind == rope_scaling_kind::llama3) {
    s.low_freq_factor  = f.number("low_freq_factor", 1e-6, 1e6);
    s.high_freq_factor = f.number("high_freq_factor", 1e-6, 1e6);
    if (s.high_freq_factor < s.low_freq_factor)
      throw f.wrong("high_freq_factor", "out of range", describe(*f.find("high_freq_factor")),
                    "at least low_freq_factor, " + describe(*f.find("low_freq_factor")));
    s.original_max_position = f.integer("original_max_position_embeddings", 1, largest_position);
  }
  if (s.kind == rope_scaling_kind::yarn) {
    s.original_max_position = f.integer_or("original_max_position_embeddings", 1, largest_position, max_position);
    s.beta_fast             = f.number_or("beta_fast", 1e-6, 1e6, 32);
    s.beta_slow             = f.number_or("beta_slow", 1e-6, 1e6, 1);
    if (f.has("attention_factor")) s.attention_factor = f.number("attention_factor", 1e-6, 1e6);
    s.mscale         = f.number_or("mscale", 0, 1e6, 0);
    s.mscale_all_dim = f.number_or("mscale_all_dim", 0, 1e6, 0);
    s.truncate       = f.flag_or("truncate", true);
  }
  return s;
}

/// The window of each layer: sliding_window, none where it is null, 4096 where the file says nothing (transformers' default).
/// Which layers have it: layer_types, else sliding_window_pattern, else what the architecture does.
std::vector<std::int64_t> read_windows(json_fields const& f, std::string const& type, std::int64_t layers) {
  std::vector<std::int64_t> windows(static_cast<std::size_t>(layers), 0);
  bool const                qwen = type == "qwen2" || type == "qwen3", gemma2 = type == "gemma2";
  if (type == "llama" || (qwen && !f.flag_or("use_sliding_window", false))) return windows;
  if (f.object().contains("sliding_window") && !f.has("sliding_window")) return windows;
  std::int64_t const window = f.integer_or("sliding_window", 1, largest_position, 4096);
  if (auto const* types = f.find("layer_types")) {
    if (!types->is_array() || types->size() != windows.size())
      throw f.wrong("layer_types", "wrong type", describe(*types), "an array of num_hidden_layers texts");
    for (std::size_t i = 0; i < windows.size(); ++i) {
      auto const& kind = (*types)[i];
      if (kind == "sliding_attention") windows[i] = window;
      else if (kind != "full_attention")
        throw f.wrong("layer_types", "unsupported", describe(kind), "full_attention or sliding_attention");
    }
    return windows;
  }
  bool const         patterned = gemma2 || f.has("sliding_window_pattern");
  std::int64_t const pattern   = f.integer_or("sliding_window_pattern", 1, 4096, 2);
  std::int64_t const from      = qwen ? f.integer_or("max_window_layers", 0, 4096, 28) : 0;
  for (std::int64_t i = 0; i < layers; ++i)
    if (patterned ? (i + 1) % pattern != 0 : i >= from) windows[static_cast<std::size_t>(i)] = window;
  return windows;
}

/// `tenon_layers`, one object for each layer of a pruned model: the fields of the whole that are its own, 0 for a half that is
/// gone. Absent: all layers are alike.
std::vector<layer_shape> read_shapes(json_fields const& f, model_config const& c) {
  layer_shape const        usual{c.heads, c.kv_heads, c.head_dim, c.intermediate};
  std::vector<layer_shape> shapes(static_cast<std::size_t>(c.layers), usual);
  auto const*              list = f.find("tenon_layers");
  if (list == nullptr) return shapes;
  if (!list->is_array() || list->size() != shapes.size())
    throw f.wrong("tenon_layers", "wrong type", describe(*list), "an array of num_hidden_layers objects");
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    json_fields const one((*list)[i], f.file(), "tenon_layers[" + std::to_string(i) + "]");
    layer_shape&      s = shapes[i];
    s.heads             = one.integer_or("num_attention_heads", 0, 4096, usual.heads);
    s.kv_heads          = one.integer_or("num_key_value_heads", 0, 4096, s.heads == 0 ? 0 : usual.kv_heads);
    s.intermediate      = one.integer_or("intermediate_size", 0, 1 << 22, usual.intermediate);
    if ((s.heads == 0) != (s.kv_heads == 0) || (s.heads > 0 && s.heads % s.kv_heads != 0))
      throw one.wrong("num_key_value_heads", "does not divide the heads", std::to_string(s.kv_heads),
                      "a divisor of num_attention_heads, " + std::to_string(s.heads));
  }
  return shapes;
}

/// A cap of logits: null or 0 for none; `fallback` where the file says nothing.
double read_soft_cap(json_fields const& f, char const* key, double fallback) {
  return f.number_or(key, 0, 1e6, f.object().contains(key) ? 0 : fallback);
}

void read_eos(json_fields const& f, std::int64_t vocabulary, std::vector<std::int32_t>& ids) {
  auto const* value = f.find("eos_token_id");
  if (value == nullptr) return;
  auto const read = [&](json_value const& v) {
    ids.push_back(static_cast<std::int32_t>(to_integer(v, f.file() + ": eos_token_id", 0, vocabulary - 1)));
  };
  if (!value->is_array()) return read(*value);
  if (value->size() > 1024)
    throw f.wrong("eos_token_id", "too many ids", std::to_string(value->size()), "at most 1024");
  for (auto const& v : *value) read(v);
}

std::optional<std::int32_t> read_bos(json_fields const& f, std::int64_t vocabulary) {
  auto const* value = f.find("bos_token_id");
  if (value == nullptr) return {};
  if (value->is_array() && !value->empty()) value = &value->front();
  return static_cast<std::int32_t>(to_integer(*value, f.file() + ": bos_token_id", 0, vocabulary - 1));
}

}  // namespace

std::string layer_prefix(std::size_t layer) { return "model.layers." + std::to_string(layer) + "."; }

std::int64_t model_config::rotary_dim() const {
  return static_cast<std::int64_t>(std::floor(static_cast<double>(head_dim) * rotary_fraction + 1e-9)) / 2 * 2;
}

bool model_config::has_windows() const {
  return std::any_of(windows.begin(), windows.end(), [](std::int64_t w) { return w > 0; });
}

model_config read_model_config(std::string const& path) {
  std::error_code   ignored;
  bool const        directory = fs::is_directory(path, ignored);
  std::string const file      = directory ? (fs::path(path) / "config.json").string() : path;
  json_value const  tree      = read_json(file);
  json_fields const f(tree, file);

  model_config c;
  auto const   architecture = read_architecture(f);
  c.file                    = file;
  c.architecture            = architecture.name;
  c.model_type              = architecture.model_type;
  bool const qwen2 = c.model_type == "qwen2", llama = c.model_type == "llama";
  bool const qwen3 = c.model_type == "qwen3", gemma2 = c.model_type == "gemma2";

  // Shape.
  c.vocab_size   = f.integer("vocab_size", 1, largest_vocabulary);
  c.hidden       = f.integer("hidden_size", 1, 1 << 20);
  c.layers       = f.integer("num_hidden_layers", 1, 4096);
  c.heads        = f.integer("num_attention_heads", 1, 4096);
  c.kv_heads     = f.integer_or("num_key_value_heads", 1, 4096, c.heads);
  c.intermediate = f.integer("intermediate_size", 1, 1 << 22);
  c.max_position = f.integer_or("max_position_embeddings", 1, largest_position, 2048);
  if (c.heads % c.kv_heads != 0)
    throw f.wrong("num_key_value_heads", "does not divide the heads", std::to_string(c.kv_heads),
                  "a divisor of num_attention_heads, " + std::to_string(c.heads));
  std::int64_t const own_head_dim = qwen3 ? 128 : gemma2 ? 256 : 0;  // where the file says nothing; 0: hidden / heads
  if (!f.has("head_dim") && own_head_dim == 0 && c.hidden % c.heads != 0)
    throw f.wrong("num_attention_heads", "does not divide the hidden size", std::to_string(c.heads),
                  "a divisor of hidden_size, " + std::to_string(c.hidden) + ", or a head_dim");
  c.head_dim = f.integer_or("head_dim", 1, 1024, own_head_dim ? own_head_dim : c.hidden / c.heads);
  if (c.head_dim < 1 || c.head_dim > 1024)
    throw f.wrong("hidden_size", "out of range", "heads of " + std::to_string(c.head_dim), "at most 1024 each");

  // Rotary embedding; transformers 5 gathers its fields in rope_parameters.
  json_fields const rope = f.has("rope_parameters") ? f.fields("rope_parameters") : f;
  c.rope_theta           = rope.number_or("rope_theta", 1, 1e12, f.number_or("rope_theta", 1, 1e12, 10000));
  c.rotary_fraction      = rope.number_or("partial_rotary_factor", 0, 1, f.number_or("partial_rotary_factor", 0, 1, 1));
  if (f.has("rope_parameters")) c.rope_scaling = read_scaling(rope, c.max_position);
  else if (f.has("rope_scaling")) c.rope_scaling = read_scaling(f.fields("rope_scaling"), c.max_position);
  if (c.rotary_dim() < 2)
    throw f.wrong("head_dim", "leaves nothing to rotate", std::to_string(c.rotary_dim()) + " rotated elements",
                  "at least 2");

  // Arithmetic.
  c.rms_eps             = f.number_or("rms_norm_eps", 0, 1, 1e-6);
  c.activation          = read_activation(f, gemma2);
  c.tie_word_embeddings = f.flag_or("tie_word_embeddings", gemma2);
  c.output_bias         = (llama || qwen3 || gemma2) && f.flag_or("attention_bias", false);
  c.qkv_bias            = qwen2 || c.output_bias;
  c.mlp_bias            = llama && f.flag_or("mlp_bias", false);
  c.shapes              = read_shapes(f, c);
  c.windows             = read_windows(f, c.model_type, c.layers);
  c.qk_norm             = qwen3;
  if (gemma2) {
    c.scaled_embedding = c.norm_from_one = c.norms_after = true;
    c.attention_scale    = 1 / std::sqrt(f.number_or("query_pre_attn_scalar", 1e-6, 1e6, 256));
    c.attention_soft_cap = read_soft_cap(f, "attn_logit_softcapping", 50);
    c.final_soft_cap     = read_soft_cap(f, "final_logit_softcapping", 30);
  }

  // Ends and number format.
  c.bos_id = read_bos(f, c.vocab_size);
  read_eos(f, c.vocab_size, c.eos_ids);
  fs::path const generation = fs::path(path) / "generation_config.json";
  if (directory && fs::exists(generation, ignored)) {
    json_value const g = read_json(generation.string());
    read_eos(json_fields(g, generation.string()), c.vocab_size, c.eos_ids);
  }
  std::sort(c.eos_ids.begin(), c.eos_ids.end());
  c.eos_ids.erase(std::unique(c.eos_ids.begin(), c.eos_ids.end()), c.eos_ids.end());
  c.dtype = f.text_or(f.has("torch_dtype") ? "torch_dtype" : "dtype", "");
  if (!c.dtype.empty() && c.dtype != "float32" && c.dtype != "float16" && c.dtype != "bfloat16")
    throw f.wrong(f.has("torch_dtype") ? "torch_dtype" : "dtype", "unsupported", in_quotes(c.dtype),
                  "one of float32, float16, bfloat16");

  // Quantised weights; older GPTQ files say so in a file of their own.
  fs::path const quantize = fs::path(path) / "quantize_config.json";
  if (f.has("quantization_config")) {
    c.quantization.emplace(f.fields("quantization_config"));
  } else if (directory && fs::exists(quantize, ignored)) {
    json_value const q = read_json(quantize.string());
    c.quantization.emplace(json_fields(q, quantize.string()));
  }
  return c;
}

}  // namespace tenon::engine
