//  The decoder against plain double-precision loops, on small random models of every shape that it reads: biases here and
//  there, tied and untied heads, a width that is no multiple of eight, one shard and several.
#include "engine/files/safetensors.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>

#include "program.hpp"

namespace {

using nlohmann::json;
using matrix = std::vector<double>;  // row-major

struct shape {
  char const* name;
  char const* model_type;
  int         heads, kv_heads, head_dim, intermediate;
  bool        tied, attention_bias, mlp_bias;
  int         shards;
};

std::ostream& operator<<(std::ostream& out, shape const& s) { return out << s.name; }

constexpr int hidden = 24, layers = 2, vocabulary = 37, length = 64;

class model {
 public:
  explicit model(shape const& of) : s(of) {
    int const  q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
    bool const qwen2 = std::string(s.model_type) == "qwen2";
    add("model.embed_tokens.weight", vocabulary, hidden);
    add("model.norm.weight", hidden, 1);
    if (!s.tied) add("lm_head.weight", vocabulary, hidden);
    for (int i = 0; i < layers; ++i) {
      std::string const p = "model.layers." + std::to_string(i) + ".";
      add(p + "input_layernorm.weight", hidden, 1);
      add(p + "post_attention_layernorm.weight", hidden, 1);
      linear(p + "self_attn.q_proj", q, hidden, qwen2 || s.attention_bias);
      linear(p + "self_attn.k_proj", kv, hidden, qwen2 || s.attention_bias);
      linear(p + "self_attn.v_proj", kv, hidden, qwen2 || s.attention_bias);
      linear(p + "self_attn.o_proj", hidden, q, s.attention_bias);
      linear(p + "mlp.gate_proj", s.intermediate, hidden, s.mlp_bias);
      linear(p + "mlp.up_proj", s.intermediate, hidden, s.mlp_bias);
      linear(p + "mlp.down_proj", hidden, s.intermediate, s.mlp_bias);
    }
  }

  void save(test::scratch_folder const& folder) const {
    json config = {{"architectures", {architecture()}},
                   {"model_type", s.model_type},
                   {"hidden_size", hidden},
                   {"num_hidden_layers", layers},
                   {"num_attention_heads", s.heads},
                   {"num_key_value_heads", s.kv_heads},
                   {"head_dim", s.head_dim},
                   {"intermediate_size", s.intermediate},
                   {"vocab_size", vocabulary},
                   {"max_position_embeddings", length},
                   {"rms_norm_eps", 1e-5},
                   {"rope_theta", 10000.0},
                   {"hidden_act", "silu"},
                   {"tie_word_embeddings", s.tied},
                   {"attention_bias", s.attention_bias},
                   {"mlp_bias", s.mlp_bias},
                   {"torch_dtype", "float32"},
                   {"eos_token_id", 0}};
    test::write_text(folder / "config.json", config.dump());
    std::vector<std::vector<tenon::engine::tensor_info>> files(static_cast<std::size_t>(s.shards));
    json                                                 map;
    auto const                                           file = [&](std::size_t i) {
      return s.shards == 1 ? std::string("model.safetensors") : "model-" + std::to_string(i) + ".safetensors";
    };
    std::size_t at = 0;
    for (auto const& [name, t] : tensors_) {
      std::size_t const i = at++ % files.size();
      files[i].push_back({name, tenon::engine::dtype::f32, t.shape, std::as_bytes(std::span(t.values))});
      map[name] = file(i);
    }
    for (std::size_t i = 0; i < files.size(); ++i) tenon::engine::write_safetensors(folder / file(i), files[i]);
    if (s.shards > 1)
      test::write_text(folder / "model.safetensors.index.json",
                       json{{"metadata", json::object()}, {"weight_map", map}}.dump());
  }

  /// Logits of every position, (positions, vocabulary).
  matrix forward(std::vector<int> const& ids) const {
    std::size_t const n = ids.size();
    matrix            x(n * hidden);
    for (std::size_t t = 0; t < n; ++t)
      for (std::size_t h = 0; h < hidden; ++h)
        x[t * hidden + h] =
            tensors_.at("model.embed_tokens.weight").values[static_cast<std::size_t>(ids[t]) * hidden + h];
    for (int i = 0; i < layers; ++i) {
      std::string const p = "model.layers." + std::to_string(i) + ".";
      matrix const      h = norm(x, p + "input_layernorm.weight");
      matrix            q = apply(h, p + "self_attn.q_proj"), k = apply(h, p + "self_attn.k_proj");
      matrix const      v = apply(h, p + "self_attn.v_proj");
      rope(q, n, s.heads), rope(k, n, s.kv_heads);
      add_to(x, apply(attention(q, k, v, n), p + "self_attn.o_proj"));
      matrix const m = norm(x, p + "post_attention_layernorm.weight");
      matrix       g = apply(m, p + "mlp.gate_proj");
      matrix const u = apply(m, p + "mlp.up_proj");
      for (std::size_t e = 0; e < g.size(); ++e) g[e] = g[e] / (1 + std::exp(-g[e])) * u[e];
      add_to(x, apply(g, p + "mlp.down_proj"));
    }
    return apply(norm(x, "model.norm.weight"), s.tied ? "model.embed_tokens" : "lm_head");
  }

 private:
  struct tensor {
    std::vector<std::int64_t> shape;
    std::vector<float>        values;
  };

  std::string architecture() const {
    std::string const type = s.model_type;
    return type == "llama" ? "LlamaForCausalLM" : type == "mistral" ? "MistralForCausalLM" : "Qwen2ForCausalLM";
  }
  void add(std::string const& name, int rows, int columns) {
    tensor                          t;
    std::normal_distribution<float> normal(0, columns == 1 ? 0.3f : 1 / std::sqrt(static_cast<float>(columns)));
    t.shape = columns == 1 ? std::vector<std::int64_t>{rows} : std::vector<std::int64_t>{rows, columns};
    t.values.resize(static_cast<std::size_t>(rows * columns));
    bool const gain = name.find("norm.weight") != std::string::npos;
    for (float& v : t.values) v = normal(engine_) + (gain ? 1.f : 0.f);
    tensors_[name] = std::move(t);
  }
  void linear(std::string const& name, int outputs, int inputs, bool bias) {
    add(name + ".weight", outputs, inputs);
    if (bias) add(name + ".bias", outputs, 1);
  }

  matrix norm(matrix const& x, std::string const& name) const {
    matrix y(x.size());
    for (std::size_t t = 0; t < x.size() / hidden; ++t) {
      double squares = 0;
      for (std::size_t h = 0; h < hidden; ++h) squares += x[t * hidden + h] * x[t * hidden + h];
      for (std::size_t h = 0; h < hidden; ++h)
        y[t * hidden + h] = x[t * hidden + h] / std::sqrt(squares / hidden + 1e-5) * tensors_.at(name).values[h];
    }
    return y;
  }
  matrix apply(matrix const& x, std::string const& name) const {
    tensor const&     w       = tensors_.at(name + ".weight");
    auto const        outputs = static_cast<std::size_t>(w.shape[0]), inputs = static_cast<std::size_t>(w.shape[1]);
    auto const        bias = tensors_.find(name + ".bias");
    std::size_t const n    = x.size() / inputs;
    matrix            y(n * outputs);
    for (std::size_t t = 0; t < n; ++t)
      for (std::size_t o = 0; o < outputs; ++o) {
        double sum = bias == tensors_.end() ? 0 : bias->second.values[o];
        for (std::size_t i = 0; i < inputs; ++i) sum += x[t * inputs + i] * w.values[o * inputs + i];
        y[t * outputs + o] = sum;
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
  matrix attention(matrix const& q, matrix const& k, matrix const& v, std::size_t n) const {
    auto const d = static_cast<std::size_t>(s.head_dim), heads = static_cast<std::size_t>(s.heads),
               kv_heads = static_cast<std::size_t>(s.kv_heads);
    matrix o(q.size());
    for (std::size_t t = 0; t < n; ++t)
      for (std::size_t h = 0; h < heads; ++h) {
        std::size_t const   g = h / (heads / kv_heads);
        std::vector<double> p(t + 1);
        double              sum = 0;
        for (std::size_t j = 0; j <= t; ++j) {
          double dot = 0;
          for (std::size_t i = 0; i < d; ++i) dot += q[(t * heads + h) * d + i] * k[(j * kv_heads + g) * d + i];
          sum += p[j] = std::exp(dot / std::sqrt(double(d)));
        }
        for (std::size_t j = 0; j <= t; ++j)
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
};

class decoder : public testing::TestWithParam<shape> {};
INSTANTIATE_TEST_SUITE_P(shapes, decoder,
                         testing::Values(shape{"llama", "llama", 3, 1, 8, 32, true, false, false, 1},
                                         shape{"llama_untied_biases", "llama", 4, 4, 16, 20, false, true, true, 3},
                                         shape{"mistral", "mistral", 6, 2, 8, 40, false, false, false, 2},
                                         shape{"qwen2", "qwen2", 4, 2, 8, 20, false, false, false, 1},
                                         shape{"qwen2_tied", "qwen2", 5, 1, 24, 7, true, false, false, 1}),
                         [](auto const& s) { return std::string(s.param.name); });

TEST_P(decoder, logits_are_those_of_the_definition) {
  model const                m(GetParam());
  test::scratch_folder const folder;
  m.save(folder);
  std::vector<int> ids;
  for (int i = 0; i < 23; ++i) ids.push_back(i * 7 % vocabulary);
  test::write_text(folder / "ids.json", json{{"per_text", {{{"ids", ids}}}}}.dump());

  // In one piece and in pieces of five tokens, over pages of three: the cache must hold what it was given.
  for (char const* const batch : {"512", "5"}) {
    SCOPED_TRACE(std::string("at most ") + batch + " tokens per step");
    auto const r =
        test::run_program({"perplexity", "--model", folder.path().string(), "--ids", (folder / "ids.json").string(),
                           "--dtype", "f32", "--dump-logits", (folder / "logits.npy").string(), "--output", "json",
                           "--block-size", "3", "--max-num-batched-tokens", batch});
    ASSERT_EQ(r.status, 0) << r.err;
    std::string const npy      = test::read_text(folder / "logits.npy");
    matrix const      expected = m.forward({ids.begin(), ids.end() - 1});
    ASSERT_EQ(npy.size(), 128 + expected.size() * sizeof(float));
    double worst = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      float have;
      std::memcpy(&have, npy.data() + 128 + i * sizeof have, sizeof have);
      worst = std::max(worst, std::abs(double(have) - expected[i]));
    }
    EXPECT_LE(worst, 2e-5);
  }
}

// Greedy completions of ids alone: no tokenizer is there, and none is needed.
TEST_P(decoder, a_model_without_a_tokenizer_completes_ids) {
  model const                m(GetParam());
  test::scratch_folder const folder;
  m.save(folder);
  std::vector<int> ids = {3, 14, 15};
  auto const r = test::run_program({"generate", "--model", folder.path().string(), "--prompts", "-", "--temperature",
                                    "0", "--ignore-eos", "--max-tokens", "12", "--output", "json"},
                                   json{{"prompt_ids", ids}}.dump() + "\n");
  ASSERT_EQ(r.status, 0) << r.err;
  auto const got = r.lines().at(0);
  EXPECT_EQ(got["text"], "");
  for (int const id : got["ids"]) {
    matrix const logits = m.forward(ids);
    auto const   last   = logits.end() - vocabulary;
    EXPECT_EQ(id, std::max_element(last, logits.end()) - last);
    ids.push_back(id);
  }
  EXPECT_EQ(got["ids"].size(), 12u);
}

}  // namespace
