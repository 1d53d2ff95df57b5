#pragma once
//  Small random models of every shape that the decoder reads, as files and as plain double-precision loops.
#include "engine/files/safetensors.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <ostream>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "program.hpp"

namespace test {

using nlohmann::json;
using matrix = std::vector<double>;  // row-major

struct shape {
  char const* name;
  char const* model_type;
  int         heads, kv_heads, head_dim, intermediate;
  bool        tied, attention_bias, mlp_bias;
  int         shards;
  int         hidden    = 24;
  int         window[2] = {};  // tokens that a query of each layer sees; 0: all
  char const* gate      = "silu";
  // Gemma 2.
  double query_scalar = 0, attention_cap = 0, final_cap = 0;

  bool is(std::string_view type) const { return model_type == type; }
};

inline std::ostream& operator<<(std::ostream& out, shape const& s) { return out << s.name; }

/// A plain one, for tests of what is done with models.
inline shape const plain_llama{.name           = "small",
                               .model_type     = "llama",
                               .heads          = 2,
                               .kv_heads       = 1,
                               .head_dim       = 8,
                               .intermediate   = 40,
                               .tied           = false,
                               .attention_bias = false,
                               .mlp_bias       = false,
                               .shards         = 1};

inline constexpr int layers = 2, vocabulary = 37, length = 64;

class model {
 public:
  /// What a file holds of a tensor that is no plain matrix of f32.
  struct stored {
    tenon::engine::dtype      type;
    std::vector<std::int64_t> shape;
    std::vector<std::byte>    bytes;
  };

  json config_patch = json::object();  // merged into config.json

  /// What becomes of one head of one token's key or value in the cache, behind the rotation; empty: nothing.
  std::function<void(std::span<double> row)> store;

  /// Whether the queries of a kv head see a key that is not behind them; empty: they do.
  std::function<bool(int layer, std::size_t kv_head, std::size_t query, std::size_t key)> sees;

  explicit model(shape const& of) : s(of) {
    int const  q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
    bool const qwen2 = s.is("qwen2");
    add("model.embed_tokens.weight", vocabulary, hidden());
    add("model.norm.weight", hidden(), 1);
    if (!s.tied) add("lm_head.weight", vocabulary, hidden());
    for (int i = 0; i < layers; ++i) {
      std::string const p = "model.layers." + std::to_string(i) + ".";
      add(p + "input_layernorm.weight", hidden(), 1);
      add(p + "post_attention_layernorm.weight", hidden(), 1);
      if (s.is("gemma2"))
        for (char const* const norm : {"pre_feedforward_layernorm", "post_feedforward_layernorm"})
          add(p + norm + ".weight", hidden(), 1);
      if (s.is("qwen3"))
        for (char const* const norm : {"self_attn.q_norm", "self_attn.k_norm"})
          add(p + norm + ".weight", s.head_dim, 1);
      linear(p + "self_attn.q_proj", q, hidden(), qwen2 || s.attention_bias);
      linear(p + "self_attn.k_proj", kv, hidden(), qwen2 || s.attention_bias);
      linear(p + "self_attn.v_proj", kv, hidden(), qwen2 || s.attention_bias);
      linear(p + "self_attn.o_proj", hidden(), q, s.attention_bias);
      linear(p + "mlp.gate_proj", s.intermediate, hidden(), s.mlp_bias);
      linear(p + "mlp.up_proj", s.intermediate, hidden(), s.mlp_bias);
      linear(p + "mlp.down_proj", hidden(), s.intermediate, s.mlp_bias);
    }
  }

  void save(test::scratch_folder const& folder) const {
    json config = {{"architectures", {architecture()}},
                   {"model_type", s.model_type},
                   {"hidden_size", hidden()},
                   {"num_hidden_layers", layers},
                   {"num_attention_heads", s.heads},
                   {"num_key_value_heads", s.kv_heads},
                   {"head_dim", s.head_dim},
                   {"intermediate_size", s.intermediate},
                   {"vocab_size", vocabulary},
                   {"max_position_embeddings", length},
                   {"rms_norm_eps", 1e-5},
                   {"rope_theta", 10000.0},
                   {"hidden_act", s.gate},
                   {"tie_word_embeddings", s.tied},
                   {"attention_bias", s.attention_bias},
                   {"mlp_bias", s.mlp_bias},
                   {"torch_dtype", "float32"},
                   {"eos_token_id", 0}};
    if (s.is("gemma2")) {
      config["query_pre_attn_scalar"]  = s.query_scalar;
      config["attn_logit_softcapping"] = s.attention_cap, config["final_logit_softcapping"] = s.final_cap;
    }
    if (int const window = std::max(s.window[0], s.window[1])) {
      config["sliding_window"] = window;
      bool const qwen          = s.is("qwen2") || s.is("qwen3");
      if (qwen) config["use_sliding_window"] = true, config["max_window_layers"] = s.window[0] ? 0 : 1;
      // Where the architecture's own rule says something else, by layers.
      bool const own = qwen             ? s.window[1] > 0
                       : s.is("gemma2") ? s.window[0] && !s.window[1]
                                        : s.window[0] == s.window[1];
      if (!own)
        for (int const w : s.window) config["layer_types"].push_back(w ? "sliding_attention" : "full_attention");
    }
    config.merge_patch(config_patch);
    test::write_text(folder / "config.json", config.dump());
    std::vector<std::vector<tenon::engine::tensor_info>> files(static_cast<std::size_t>(s.shards));
    json                                                 map;
    auto const                                           file = [&](std::size_t i) {
      return s.shards == 1 ? std::string("model.safetensors") : "model-" + std::to_string(i) + ".safetensors";
    };
    std::size_t at  = 0;
    auto const  add = [&](tenon::engine::tensor_info const& t) {
      std::size_t const i = at++ % files.size();
      files[i].push_back(t);
      map[t.name] = file(i);
    };
    for (auto const& [name, t] : tensors_)
      if (!t.replaced) add({name, tenon::engine::dtype::f32, t.shape, std::as_bytes(std::span(t.values))});
    for (auto const& [name, t] : stored_) add({name, t.type, t.shape, t.bytes});
    for (std::size_t i = 0; i < files.size(); ++i) tenon::engine::write_safetensors(folder / file(i), files[i]);
    if (s.shards > 1)
      test::write_text(folder / "model.safetensors.index.json",
                       json{{"metadata", json::object()}, {"weight_map", map}}.dump());
  }

  /// Every linear layer of the decoder: "model.layers.0.mlp.down_proj".
  std::vector<std::string> modules() const {
    std::vector<std::string> names;
    for (auto const& [name, t] : tensors_)
      if (name.ends_with("_proj.weight")) names.push_back(name.substr(0, name.size() - 7));
    return names;
  }
  /// Every element of a tensor.
  void fill(std::string const& name, float value) {
    for (float& v : tensors_.at(name).values) v = value;
  }
  std::vector<float>&       values(std::string const& name) { return tensors_.at(name).values; }
  std::vector<float> const& weight(std::string const& module) const { return tensors_.at(module + ".weight").values; }
  std::pair<int, int>       extents(std::string const& module) const {
          auto const& shape = tensors_.at(module + ".weight").shape;
          return {static_cast<int>(shape[0]), static_cast<int>(shape[1])};
  }
  /// The module's weight is what `tensors` stand for: `values`.
  void replace(std::string const& module, std::vector<float> values, std::map<std::string, stored> tensors) {
    auto& t  = tensors_.at(module + ".weight");
    t.values = std::move(values), t.replaced = true;
    for (auto& [name, one] : tensors) stored_[module + "." + name] = std::move(one);
  }
  std::map<std::string, stored>& stored_tensors() { return stored_; }
  /// What becomes of the inputs of every linear layer, row by row.
  std::function<void(std::vector<double>& row)> quantize_inputs;

  /// Logits of every position, (positions, vocabulary).
  matrix forward(std::vector<int> const& ids) const {
    std::size_t const n      = ids.size();
    bool const        gemma2 = s.is("gemma2");
    matrix            x(n * width());
    for (std::size_t t = 0; t < n; ++t)
      for (std::size_t h = 0; h < width(); ++h)
        x[t * width() + h] =
            tensors_.at("model.embed_tokens.weight").values[static_cast<std::size_t>(ids[t]) * width() + h] *
            (gemma2 ? std::sqrt(double(hidden())) : 1);
    for (int i = 0; i < layers; ++i) {
      std::string const p     = "model.layers." + std::to_string(i) + ".";
      auto const        added = [&](matrix const& y, char const* after) {
        add_to(x, gemma2 ? norm(y, p + after + ".weight") : y);
      };
      matrix const h = norm(x, p + "input_layernorm.weight");
      matrix       q = apply(h, p + "self_attn.q_proj"), k = apply(h, p + "self_attn.k_proj");
      matrix       v = apply(h, p + "self_attn.v_proj");
      if (s.is("qwen3"))
        q = norm(q, p + "self_attn.q_norm.weight", s.head_dim), k = norm(k, p + "self_attn.k_norm.weight", s.head_dim);
      rope(q, n, s.heads), rope(k, n, s.kv_heads);
      if (store)
        for (matrix* cached : {&k, &v})
          for (std::size_t first = 0; first < cached->size(); first += static_cast<std::size_t>(s.head_dim))
            store(std::span(*cached).subspan(first, static_cast<std::size_t>(s.head_dim)));
      added(apply(attention(q, k, v, n, i), p + "self_attn.o_proj"), "post_attention_layernorm");
      matrix const m = norm(x, p + (gemma2 ? "pre_feedforward_layernorm.weight" : "post_attention_layernorm.weight"));
      matrix       g = apply(m, p + "mlp.gate_proj");
      matrix const u = apply(m, p + "mlp.up_proj");
      for (std::size_t e = 0; e < g.size(); ++e) g[e] = gated(g[e]) * u[e];
      added(apply(g, p + "mlp.down_proj"), "post_feedforward_layernorm");
    }
    matrix logits = apply(norm(x, "model.norm.weight"), s.tied ? "model.embed_tokens" : "lm_head");
    if (s.final_cap > 0)
      for (double& l : logits) l = s.final_cap * std::tanh(l / s.final_cap);
    return logits;
  }

 private:
  struct tensor {
    std::vector<std::int64_t> shape;
    std::vector<float>        values;
    bool                      replaced = false;  // by others, in the file
  };

  int         hidden() const { return s.hidden; }
  std::size_t width() const { return static_cast<std::size_t>(s.hidden); }

  std::string architecture() const {
    std::map<std::string, std::string> const names = {{"llama", "LlamaForCausalLM"},
                                                      {"mistral", "MistralForCausalLM"},
                                                      {"qwen2", "Qwen2ForCausalLM"},
                                                      {"qwen3", "Qwen3ForCausalLM"},
                                                      {"gemma2", "Gemma2ForCausalLM"}};
    return names.at(s.model_type);
  }
  void add(std::string const& name, int rows, int columns) {
    tensor                          t;
    std::normal_distribution<float> normal(0, columns == 1 ? 0.3f : 1 / std::sqrt(static_cast<float>(columns)));
    t.shape = columns == 1 ? std::vector<std::int64_t>{rows} : std::vector<std::int64_t>{rows, columns};
    t.values.resize(static_cast<std::size_t>(rows * columns));
    bool const gain = name.find("norm.weight") != std::string::npos && !s.is("gemma2");  // Gemma's are 1 + weight
    for (float& v : t.values) v = normal(engine_) + (gain ? 1.f : 0.f);
    tensors_[name] = std::move(t);
  }
  void linear(std::string const& name, int outputs, int inputs, bool bias) {
    add(name + ".weight", outputs, inputs);
    if (bias) add(name + ".bias", outputs, 1);
  }

  /// Every run of `columns` by itself; 0: rows of the hidden size.
  matrix norm(matrix const& x, std::string const& name, int columns = 0) const {
    auto const   n   = static_cast<std::size_t>(columns ? columns : hidden());
    double const one = s.is("gemma2") ? 1 : 0;
    matrix       y(x.size());
    for (std::size_t first = 0; first < x.size(); first += n) {
      double squares = 0;
      for (std::size_t h = 0; h < n; ++h) squares += x[first + h] * x[first + h];
      for (std::size_t h = 0; h < n; ++h)
        y[first + h] = x[first + h] / std::sqrt(squares / double(n) + 1e-5) * (one + tensors_.at(name).values[h]);
    }
    return y;
  }
  double gated(double g) const {
    std::string const kind = s.is("gemma2") ? "gelu_pytorch_tanh" : s.gate;
    if (kind == "quick_gelu") return g / (1 + std::exp(-1.702 * g));
    if (kind == "gelu_pytorch_tanh") return g / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g)));
    return g / (1 + std::exp(-g));
  }
  matrix apply(matrix const& x, std::string const& name) const {
    tensor const&     w       = tensors_.at(name + ".weight");
    auto const        outputs = static_cast<std::size_t>(w.shape[0]), inputs = static_cast<std::size_t>(w.shape[1]);
    auto const        bias = tensors_.find(name + ".bias");
    std::size_t const n    = x.size() / inputs;
    matrix            y(n * outputs);
    for (std::size_t t = 0; t < n; ++t) {
      matrix row(x.begin() + static_cast<std::ptrdiff_t>(t * inputs),
                 x.begin() + static_cast<std::ptrdiff_t>((t + 1) * inputs));
      if (quantize_inputs && w.replaced) quantize_inputs(row);
      for (std::size_t o = 0; o < outputs; ++o) {
        double sum = bias == tensors_.end() ? 0 : bias->second.values[o];
        for (std::size_t i = 0; i < inputs; ++i) sum += row[i] * w.values[o * inputs + i];
        y[t * outputs + o] = sum;
      }
    }
    return y;
  }
  void rope(matrix& x, std::size_t n, int heads) const {
    auto const d = static_cast<std::size_t>(s.head_dim), all = static_cast<std::size_t>(heads);
    for (std::size_t t = 0; t < n; ++t)
      for (std::size_t h = 0; h < all; ++h)
        for (std::size_t i = 0; i < d / 2; ++i) {
          double const angle  = double(t) * std::pow(10000.0, -2.0 * double(i) / double(d));
          double&      a      = x[(t * all + h) * d + i];
          double&      b      = x[(t * all + h) * d + d / 2 + i];
          double const turned = a * std::cos(angle) - b * std::sin(angle);
          b                   = b * std::cos(angle) + a * std::sin(angle);
          a                   = turned;
        }
  }
  matrix attention(matrix const& q, matrix const& k, matrix const& v, std::size_t n, int layer) const {
    int const  window = s.window[layer];
    auto const d = static_cast<std::size_t>(s.head_dim), heads = static_cast<std::size_t>(s.heads),
               kv_heads = static_cast<std::size_t>(s.kv_heads);
    double const scale  = 1 / std::sqrt(s.query_scalar > 0 ? s.query_scalar : double(d));
    matrix       o(q.size());
    for (std::size_t t = 0; t < n; ++t)
      for (std::size_t h = 0; h < heads; ++h) {
        std::size_t const first =
            window > 0 && t + 1 > static_cast<std::size_t>(window) ? t + 1 - static_cast<std::size_t>(window) : 0;
        std::size_t const   g = h / (heads / kv_heads);
        std::vector<double> p(t + 1);
        double              sum = 0;
        for (std::size_t j = first; j <= t; ++j) {
          if (sees && !sees(layer, g, t, j)) continue;
          double dot = 0;
          for (std::size_t i = 0; i < d; ++i) dot += q[(t * heads + h) * d + i] * k[(j * kv_heads + g) * d + i];
          dot *= scale;
          if (s.attention_cap > 0) dot = s.attention_cap * std::tanh(dot / s.attention_cap);
          sum += p[j] = std::exp(dot);
        }
        for (std::size_t j = first; j <= t; ++j)
          for (std::size_t i = 0; i < d; ++i) o[(t * heads + h) * d + i] += p[j] / sum * v[(j * kv_heads + g) * d + i];
      }
    return o;
  }
  static void add_to(matrix& x, matrix const& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  shape const                   s;
  std::mt19937                  engine_{7};
  std::map<std::string, tensor> tensors_;
  std::map<std::string, stored> stored_;
};

/// A model whose logits are no numbers: so is the gain of its last norm.
inline void save_broken_model(scratch_folder const& folder) {
  model m({.name           = "broken",
           .model_type     = "llama",
           .heads          = 4,
           .kv_heads       = 2,
           .head_dim       = 8,
           .intermediate   = 40,
           .tied           = false,
           .attention_bias = false,
           .mlp_bias       = false,
           .shards         = 1});
  m.fill("model.norm.weight", std::numeric_limits<float>::quiet_NaN());
  m.save(folder);
}

}  // namespace test
