#include "engine/model/weight_loader.hpp"

#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/op/epilogue_pipeline.hpp>

#include <algorithm>
#include <cstring>
#include <limits>

#include "engine/error.hpp"
#include "engine/model/parallel_for.hpp"

namespace tenon::engine {
namespace {

using bytes = std::vector<std::byte>;

std::size_t size_of(number_format f) { return f == number_format::f32 ? 4 : 2; }

std::string shape_text(std::vector<index_t> const& shape) {
  std::string s = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + "]";
}

template <class To, class From>
void convert(std::byte* to, std::byte const* from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    From v;
    std::memcpy(&v, from + i * sizeof v, sizeof v);
    To const t = static_cast<To>(static_cast<float>(v));
    std::memcpy(to + i * sizeof t, &t, sizeof t);
  }
}
template <class From>
bytes converted(std::byte const* from, std::size_t count, number_format format) {
  bytes to(count * size_of(format));
  switch (format) {
    case number_format::f32: convert<float, From>(to.data(), from, count); break;
    case number_format::bf16: convert<bf16, From>(to.data(), from, count); break;
    case number_format::f16: convert<f16, From>(to.data(), from, count); break;
  }
  return to;
}
bytes converted(std::vector<float> const& from, number_format format) {
  return converted<float>(reinterpret_cast<std::byte const*>(from.data()), from.size(), format);
}

/// The numbers of a tensor of the file `file`.
bytes converted(tensor_info const& info, std::string const& file, number_format format) {
  auto const count = static_cast<std::size_t>(info.elements());
  switch (info.type) {
    case dtype::f32: return converted<float>(info.bytes.data(), count, format);
    case dtype::f16: return converted<f16>(info.bytes.data(), count, format);
    case dtype::bf16: return converted<bf16>(info.bytes.data(), count, format);
    default:
      throw error(file + ": tensor " + info.name + " has an unsupported type: found " +
                  std::string(name_of(info.type)) + ", expected F32, F16 or BF16");
  }
}

/// Uniform with the standard deviation 0.02, around 1 for norms. SplitMix64 (Steele, Lea, Flood, 2014).
std::vector<float> invented(std::string const& name, std::uint64_t seed, std::size_t count, bool norm) {
  std::vector<float> values(count);
  std::uint64_t      state = seed * 0x9e3779b97f4a7c15u;
  for (char const c : name) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  for (auto& v : values) {
    std::uint64_t z = state += 0x9e3779b97f4a7c15u;
    z               = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z               = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    float const u   = static_cast<float>((z ^ (z >> 31)) >> 40) * 0x1p-24f;
    v               = (norm ? 1.f : 0.f) + (u - 0.5f) * 0.0692820323f;
  }
  return values;
}

/// Groups of eight rows of each in turn (tenon/gemm/interleave.hpp), for rows of any bytes; zeros where there are none.
bytes interleaved_rows(bytes const& gate, bytes const& up, index_t rows, std::size_t row_bytes) {
  bytes both(static_cast<std::size_t>(paired_rows(rows)) * row_bytes);
  for (index_t row = 0; row < rows; ++row)
    for (auto const& [from, at] : {std::pair{&gate, gate_row(row)}, std::pair{&up, up_row(row)}})
      std::memcpy(both.data() + static_cast<std::size_t>(at) * row_bytes,
                  from->data() + static_cast<std::size_t>(row) * row_bytes, row_bytes);
  return both;
}

}  // namespace

/// One module as it was read: plain numbers, or codes and scales.
struct weight_loader::loaded_module {
  std::string                     name;
  index_t                         outputs = 0, inputs = 0;
  bytes                           weight;
  std::optional<quantized_linear> codes;
  bytes                           bias;  // empty: none

  /// In the form of the device.
  host_linear finished() && {
    host_linear l;
    l.outputs = outputs, l.inputs = inputs, l.bias = std::move(bias);
    if (codes) l.packed = pack(*codes, name), l.order = std::move(codes->weight.order);
    else l.weight = std::move(weight);
    return l;
  }
};

layer_shape weight_loader::shape(std::size_t layer) const { return config_.shapes.at(layer); }

bytes weight_loader::read(std::string const& name, index_t rows, index_t columns, number_format format,
                          bool norm) const {
  auto const count = static_cast<std::size_t>(rows * columns);
  if (!files_) return converted(invented(name, seed_, count, norm), format);
  tensor_info const*         info   = files_->find(name);
  std::vector<index_t> const wanted = columns == 1 ? std::vector<index_t>{rows} : std::vector<index_t>{rows, columns};
  if (!info)
    throw error(files_->name() + ": tensor " + name + " is missing: found none, expected shape " + shape_text(wanted));
  if (!std::equal(info->shape.begin(), info->shape.end(), wanted.begin(), wanted.end()))
    throw error(files_->name() + ": tensor " + name + " has the wrong shape: found " + shape_text(info->shape) +
                ", expected " + shape_text(wanted));
  return converted(*info, files_->name(), format);
}

/// What a norm multiplies with.
std::vector<float> weight_loader::read_norm(std::string const& name, index_t width) const {
  bytes const        from = read(name, width, 1, number_format::f32, !config_.norm_from_one);
  std::vector<float> to(from.size() / sizeof(float));
  std::memcpy(to.data(), from.data(), from.size());
  if (config_.norm_from_one)
    for (float& v : to) v += 1;
  return to;
}

bytes weight_loader::embedding() const {
  return read("model.embed_tokens.weight", config_.vocab_size, config_.hidden, format_);
}
bytes weight_loader::head() const {
  return config_.tie_word_embeddings ? bytes{} : read("lm_head.weight", config_.vocab_size, config_.hidden, format_);
}
std::vector<float> weight_loader::final_norm() const { return read_norm("model.norm.weight", config_.hidden); }
std::vector<float> weight_loader::norm(std::size_t layer, layer_norm which) const {
  bool const  after = config_.norms_after, head = which == layer_norm::q || which == layer_norm::k;
  auto const* name = [&] {
    switch (which) {
      case layer_norm::before_attention: return "input_layernorm";
      case layer_norm::after_attention: return "post_attention_layernorm";
      // Where nothing is normed behind the attention, the norm before the MLP has the name.
      case layer_norm::before_mlp: return after ? "pre_feedforward_layernorm" : "post_attention_layernorm";
      case layer_norm::after_mlp: return "post_feedforward_layernorm";
      case layer_norm::q: return "self_attn.q_norm";
      case layer_norm::k: return "self_attn.k_norm";
    }
    return "";
  }();
  return read_norm(layer_prefix(layer) + name + ".weight", head ? config_.head_dim : config_.hidden);
}

std::vector<float> weight_loader::kv_scales(std::size_t layer) const {
  std::vector<float> scales;
  for (std::string const kind : {"k", "v"}) {
    std::string const prefix = layer_prefix(layer) + "self_attn.";
    std::string       name   = prefix + kind + "_scale";
    if (!has(name)) name = prefix + kind + "_proj." + kind + "_scale";  // as ModelOpt has it
    if (!has(name)) continue;
    tensor_info const& info = *files_->find(name);
    if (info.elements() != 1)
      throw error(files_->name() + ": tensor " + name + " has the wrong shape: found " + shape_text(info.shape) +
                  ", expected one number");
    float scale = 0;
    std::memcpy(&scale, converted(info, files_->name(), number_format::f32).data(), sizeof scale);
    if (!(scale > 0 && scale <= std::numeric_limits<float>::max()))
      throw error(files_->name() + ": tensor " + name + " is no scale: found " + std::to_string(scale) +
                  ", expected a number above 0");
    scales.push_back(scale);
  }
  if (scales.size() == 1)
    throw error(files_->name() + ": layer " + std::to_string(layer) +
                " has half of a cache's scales: found one, expected k_scale and v_scale, or neither");
  return scales;
}

std::vector<weight_loader::loaded_module> weight_loader::load(names const& modules, index_t inputs, bool bias) const {
  std::vector<loaded_module> loaded;
  bool                       any = bias;
  for (auto const& [name, outputs] : modules) any = any || has(name + ".bias");
  for (auto const& [name, outputs] : modules) {
    loaded_module m;
    m.name = name, m.outputs = outputs, m.inputs = inputs;
    if (files_ && config_.quantization) m.codes = read_quantized(*files_, *config_.quantization, name, outputs, inputs);
    if (!m.codes && options_.quantize != quantize_choice::none) {
      bytes const w = read(name + ".weight", outputs, inputs, number_format::f32);
      m.codes       = quantize(options_.quantize, config_.hidden,
                               dense(reinterpret_cast<float const*>(w.data()), outputs, inputs), name);
    }
    if (!m.codes) {
      m.weight = read(name + ".weight", outputs, inputs, format_);
    } else if (options_.dequantize || !fit_to_layout(*m.codes)) {
      m.weight = converted(m.codes->weight.dequantized(), format_);
      m.codes.reset();
    }
    if (bias || has(name + ".bias")) m.bias = read(name + ".bias", outputs, 1, format_);
    else if (any) m.bias.resize(static_cast<std::size_t>(outputs) * size_of(format_));  // zeros
    loaded.push_back(std::move(m));
  }
  return loaded;
}

host_linear_set weight_loader::load_stack(names const& modules, index_t inputs, bool bias) const {
  auto            loaded = load(modules, inputs, bias);
  host_linear_set set;
  loaded_module   all;
  for (auto const& m : loaded) set.outputs += m.outputs;
  set.inputs = all.inputs = inputs, all.name = loaded.front().name, all.outputs = set.outputs;
  auto const join = [](auto& to, auto const& from) { to.insert(to.end(), from.begin(), from.end()); };
  std::vector<quantized_linear> codes;
  for (auto& m : loaded)
    if (m.codes) codes.push_back(std::move(*m.codes));
  bool joined = loaded.size() > 1;
  if (codes.empty()) {
    if (joined)
      for (auto const& m : loaded) join(all.weight, m.weight);
  } else if (quantized_linear q; joined && codes.size() == loaded.size() && stack(q, codes)) {
    all.codes = std::move(q);
  } else {
    joined = false;
    for (std::size_t i = 0, c = 0; i < loaded.size(); ++i)
      if (loaded[i].codes) loaded[i].codes = std::move(codes[c++]);
  }
  if (joined) {
    for (auto const& m : loaded) join(all.bias, m.bias);
    set.parts.push_back(std::move(all).finished());
  } else {
    for (auto& m : loaded) set.parts.push_back(std::move(m).finished());
  }
  return set;
}

host_linear_set weight_loader::load_pair(std::string const& gate, std::string const& up, index_t outputs,
                                         index_t inputs, bool bias) const {
  auto            loaded = load({{gate, outputs}, {up, outputs}}, inputs, bias);
  auto&           g      = loaded[0];
  auto&           u      = loaded[1];
  host_linear_set set;
  loaded_module   both;
  set.outputs = 2 * outputs, set.inputs = inputs, set.interleaved = true;
  both.name = gate, both.outputs = paired_rows(outputs), both.inputs = inputs;
  if (!g.codes && !u.codes) {
    both.weight = interleaved_rows(g.weight, u.weight, outputs, static_cast<std::size_t>(inputs) * size_of(format_));
  } else if (quantized_linear q; g.codes && u.codes && interleave_rows(q, *g.codes, *u.codes)) {
    both.codes = std::move(q);
  } else {
    set.interleaved = false;
    for (auto& m : loaded) set.parts.push_back(std::move(m).finished());
    return set;
  }
  if (!g.bias.empty()) both.bias = interleaved_rows(g.bias, u.bias, outputs, size_of(format_));
  set.parts.push_back(std::move(both).finished());
  return set;
}

void weight_loader::each_product(std::function<void(std::size_t, product, host_linear_set&&)> const& sink) const {
  auto const layers = static_cast<std::size_t>(config_.layers);
  auto const load   = [&](std::size_t task) {
    std::size_t const layer = task / 4;
    auto const        which = static_cast<product>(task % 4);
    layer_shape const s     = shape(layer);
    index_t const     q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim, hidden = config_.hidden;
    std::string const attn = layer_prefix(layer) + "self_attn.", mlp = layer_prefix(layer) + "mlp.";
    bool const        attends = which == product::qkv || which == product::attention_out;
    if ((attends ? s.heads : s.intermediate) == 0) return;
    switch (which) {
      case product::qkv:
        return sink(
              layer, which,
              load_stack({{attn + "q_proj", q}, {attn + "k_proj", kv}, {attn + "v_proj", kv}}, hidden, config_.qkv_bias));
      case product::attention_out:
        return sink(layer, which, load_stack({{attn + "o_proj", hidden}}, q, config_.output_bias));
      case product::gate_up:
        return sink(layer, which,
                      load_pair(mlp + "gate_proj", mlp + "up_proj", s.intermediate, hidden, config_.mlp_bias));
      case product::down:
        return sink(layer, which, load_stack({{mlp + "down_proj", hidden}}, s.intermediate, config_.mlp_bias));
    }
  };
  bool const codes = (files_ && config_.quantization) || options_.quantize != quantize_choice::none;
  parallel_for(4 * layers, codes ? options_.threads : 1, codes ? options_.progress : nullptr, load);
}

}  // namespace tenon::engine
