#pragma once
//  A model's weights in the layout that the kernels read: q, k and v fused by rows, gate and up interleaved by eights.
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/throw_if.hpp>
#include <tenon/gemm/interleave.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/files/hf_config.hpp"
#include "engine/files/safetensors.hpp"
#include "engine/model/memory.hpp"

namespace tenon::engine::inline TENON_TARGET {

/// y = x W^T + bias
template <class T>
struct linear {
  array<T> weight;  // (outputs, inputs)
  array<T> bias;    // (outputs) or empty
  index_t  outputs = 0;
  index_t  inputs  = 0;

  auto view() const { return weight.view(outputs, inputs); }
  auto bias_view() const { return bias.view(static_cast<index_t>(bias.size())); }
};

/// What one layer is. Layers of a model may differ, and either half may be absent.
struct layer_shape {
  index_t heads        = 0;  // 0: no attention
  index_t kv_heads     = 0;
  index_t head_dim     = 0;
  index_t intermediate = 0;  // 0: no MLP
};

template <class T>
struct layer_weights {
  layer_shape  shape;
  array<float> attention_norm;  // (hidden)
  linear<T>    qkv;             // q heads, then k, then v: ((heads + 2 * kv_heads) * head_dim, hidden)
  linear<T>    attention_out;   // (hidden, heads * head_dim)
  array<float> mlp_norm;        // (hidden)
  linear<T>    gate_up;         // groups of 8 gate and 8 up rows: (2 * round_up(intermediate, 8), hidden)
  linear<T>    down;            // (hidden, intermediate)
};

template <class T>
struct model_weights {
  array<T>                      embedding;  // (vocabulary, hidden)
  std::vector<layer_weights<T>> layers;
  array<float>                  final_norm;  // (hidden)
  linear<T>                     head;        // (vocabulary, hidden); empty where it is the embedding
};

/// Tensors by name: a checkpoint's, or random ones that a seed fixes.
class weight_source {
 public:
  weight_source(checkpoint const* files, std::uint64_t seed) : files_(files), seed_(seed) {}

  bool has(std::string const& name) const { return files_ && files_->find(name) != nullptr; }

  /// Row-major (rows, columns), converted to T. A vector has one column.
  template <class T>
  std::vector<T> read(std::string const& name, index_t rows, index_t columns = 1, bool norm = false) const {
    auto const count = static_cast<std::size_t>(rows * columns);
    return files_ ? read_file<T>(name, rows, columns, count) : invent<T>(name, count, norm);
  }

 private:
  template <class T>
  std::vector<T> read_file(std::string const& name, index_t rows, index_t columns, std::size_t count) const {
    tensor_info const*         info   = files_->find(name);
    std::vector<index_t> const wanted = columns == 1 ? std::vector<index_t>{rows} : std::vector<index_t>{rows, columns};
    if (!info)
      throw error(files_->name() + ": tensor " + name + " is missing: found none, expected shape " +
                  shape_text(wanted));
    if (!std::equal(info->shape.begin(), info->shape.end(), wanted.begin(), wanted.end()))
      throw error(files_->name() + ": tensor " + name + " has the wrong shape: found " + shape_text(info->shape) +
                  ", expected " + shape_text(wanted));
    std::vector<T> values(count);
    switch (info->type) {
      case dtype::f32: convert<float>(values, info->bytes.data()); break;
      case dtype::f16: convert<f16>(values, info->bytes.data()); break;
      case dtype::bf16: convert<bf16>(values, info->bytes.data()); break;
      default:
        throw error(files_->name() + ": tensor " + name + " has an unsupported type: found " +
                    std::string(name_of(info->type)) + ", expected F32, F16 or BF16");
    }
    return values;
  }

  template <class From, class T>
  static void convert(std::vector<T>& values, std::byte const* bytes) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      From v;
      std::memcpy(&v, bytes + i * sizeof(From), sizeof(From));
      if constexpr (std::is_same_v<From, T>) values[i] = v;
      else values[i] = static_cast<T>(static_cast<float>(v));
    }
  }

  template <class T>
  std::vector<T> invent(std::string const& name, std::size_t count, bool norm) const {
    std::vector<T> values(count);
    std::uint64_t  state = seed_ * 0x9e3779b97f4a7c15u;
    for (char const c : name) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    for (auto& v : values) {  // SplitMix64 (Steele, Lea, Flood, 2014), uniform with the standard deviation 0.02
      std::uint64_t z = state += 0x9e3779b97f4a7c15u;
      z               = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z               = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      float const u   = static_cast<float>((z ^ (z >> 31)) >> 40) * 0x1p-24f;
      v               = static_cast<T>((norm ? 1.f : 0.f) + (u - 0.5f) * 0.0692820323f);
    }
    return values;
  }

  static std::string shape_text(std::vector<index_t> const& shape) {
    std::string s = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) s += (i ? ", " : "") + std::to_string(shape[i]);
    return s + "]";
  }

  checkpoint const* files_;
  std::uint64_t     seed_;
};

namespace detail {

template <class T>
array<T> to_device(std::vector<T> const& values) {
  array<T> a(values.size());
  a.upload(values);
  return a;
}

/// Linears stacked by rows: one weight, one bias (zeros for a part that has none).
template <class T>
linear<T> stack(weight_source const& source, std::vector<std::pair<std::string, index_t>> const& parts, index_t inputs,
                bool bias) {
  linear<T>      l;
  std::vector<T> weight, biases;
  for (auto const& [name, outputs] : parts) bias = bias || source.has(name + ".bias");
  for (auto const& [name, outputs] : parts) {
    auto const w = source.read<T>(name + ".weight", outputs, inputs);
    weight.insert(weight.end(), w.begin(), w.end());
    if (bias) {
      auto const b = source.read<T>(name + ".bias", outputs);
      biases.insert(biases.end(), b.begin(), b.end());
    }
    l.outputs += outputs;
  }
  l.inputs = inputs;
  l.weight = to_device(weight);
  l.bias   = to_device(biases);
  return l;
}

/// Gate and up with their rows interleaved in groups of eight, as the pair mode of gemm wants them.
template <class T>
linear<T> stack_pair(weight_source const& source, std::string const& gate, std::string const& up, index_t outputs,
                     index_t inputs, bool bias) {
  linear<T> l;
  l.outputs  = 2 * round_up(outputs, index_t{8});
  l.inputs   = inputs;
  auto merge = [&](std::vector<T> const& g, std::vector<T> const& u, index_t columns) {
    std::vector<T> both(static_cast<std::size_t>(l.outputs * columns));
    throw_if(interleave(dense(both.data(), l.outputs, columns), dense(g.data(), outputs, columns),
                        dense(u.data(), outputs, columns)));
    return to_device(both);
  };
  l.weight =
      merge(source.read<T>(gate + ".weight", outputs, inputs), source.read<T>(up + ".weight", outputs, inputs), inputs);
  if (bias || source.has(gate + ".bias"))
    l.bias = merge(source.read<T>(gate + ".bias", outputs), source.read<T>(up + ".bias", outputs), 1);
  return l;
}

}  // namespace detail

template <class T>
model_weights<T> load_weights(model_config const& config, weight_source const& source) {
  model_weights<T> m;
  index_t const    hidden = config.hidden, vocabulary = config.vocab_size;
  auto norm = [&](std::string const& name) { return detail::to_device(source.read<float>(name, hidden, 1, true)); };

  m.embedding  = detail::to_device(source.read<T>("model.embed_tokens.weight", vocabulary, hidden));
  m.final_norm = norm("model.norm.weight");
  if (!config.tie_word_embeddings) m.head = detail::stack<T>(source, {{"lm_head", vocabulary}}, hidden, false);

  for (int i = 0; i < config.layers; ++i) {
    std::string const  prefix = "model.layers." + std::to_string(i) + ".";
    std::string const  attn = prefix + "self_attn.", mlp = prefix + "mlp.";
    layer_weights<T>   w;
    layer_shape const& s = w.shape = {config.heads, config.kv_heads, config.head_dim, config.intermediate};
    if (s.heads > 0) {
      index_t const q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
      w.attention_norm = norm(prefix + "input_layernorm.weight");
      w.qkv = detail::stack<T>(source, {{attn + "q_proj", q}, {attn + "k_proj", kv}, {attn + "v_proj", kv}}, hidden,
                               config.qkv_bias);
      w.attention_out = detail::stack<T>(source, {{attn + "o_proj", hidden}}, q, config.output_bias);
    }
    if (s.intermediate > 0) {
      w.mlp_norm = norm(prefix + "post_attention_layernorm.weight");
      w.gate_up =
          detail::stack_pair<T>(source, mlp + "gate_proj", mlp + "up_proj", s.intermediate, hidden, config.mlp_bias);
      w.down = detail::stack<T>(source, {{mlp + "down_proj", hidden}}, s.intermediate, config.mlp_bias);
    }
    m.layers.push_back(std::move(w));
  }
  return m;
}

}  // namespace tenon::engine::inline TENON_TARGET
