#include "engine/commands/model_size.hpp"

#include <tenon/quant/pack_weight.hpp>

#include <cstdio>

#include "engine/commands/setup.hpp"
#include "engine/model/quantized_linear.hpp"

namespace tenon::engine {

std::string bytes_text(std::uint64_t bytes) {
  char const* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double            value   = static_cast<double>(bytes);
  int               unit    = 0;
  while (value >= 1024 && unit < 4) value /= 1024, ++unit;
  char text[48];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.2f %s", value, units[unit]);
  return text;
}

namespace {

/// Weights of a layer's matrices.
std::uint64_t linear_parameters_of(model_config const& c, layer_shape const& s) {
  return static_cast<std::uint64_t>(c.hidden * (2 * (s.heads + s.kv_heads) * s.head_dim + 3 * s.intermediate));
}

}  // namespace

std::uint64_t parameters_of(model_config const& c) {
  auto const    u      = [](std::int64_t v) { return static_cast<std::uint64_t>(v); };
  auto const    hidden = u(c.hidden), norms = (c.norms_after ? 2 : 1) * hidden;  // of each half
  std::uint64_t sum = u(c.vocab_size) * hidden * (c.tie_word_embeddings ? 1 : 2) + hidden;
  for (layer_shape const& s : c.shapes) {
    auto const q = u(s.heads * s.head_dim), kv = u(s.kv_heads * s.head_dim), width = u(s.intermediate);
    sum += linear_parameters_of(c, s);
    if (q > 0)
      sum += norms + (c.qkv_bias ? q + 2 * kv : 0) + (c.output_bias ? hidden : 0) + (c.qk_norm ? 2 * u(s.head_dim) : 0);
    if (width > 0) sum += norms + (c.mlp_bias ? 2 * width + hidden : 0);
  }
  return sum;
}

std::optional<std::uint64_t> packed_bytes_of(options const& from, model_config const& c) {
  quantize_choice const choice = quantize_of(from);
  if (choice == quantize_choice::none && !c.quantization) return {};
  struct linear_shape {
    char const* name;
    index_t     outputs, inputs;
  };
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < c.shapes.size(); ++i) {
    layer_shape const& s = c.shapes[i];
    index_t const      q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
    linear_shape const linears[] = {
        {"self_attn.q_proj", q, c.hidden},           {"self_attn.k_proj", kv, c.hidden},
        {"self_attn.v_proj", kv, c.hidden},          {"self_attn.o_proj", c.hidden, q},
        {"mlp.gate_proj", s.intermediate, c.hidden}, {"mlp.up_proj", s.intermediate, c.hidden},
        {"mlp.down_proj", c.hidden, s.intermediate}};
    for (auto const& l : linears) {
      if (l.outputs == 0 || l.inputs == 0) continue;
      std::string const module = layer_prefix(i) + l.name;
      auto const        stored = choice == quantize_choice::none ? c.quantization->format_of(module) : std::nullopt;
      if (choice == quantize_choice::none && !stored) continue;
      weight_format const format = stored ? format_of(*stored) : format_of(choice, c.hidden);
      bytes += static_cast<std::uint64_t>(packed_layout_of(format, l.outputs, l.inputs, pack_order::pairs).bytes());
    }
  }
  return bytes;
}

std::uint64_t kv_bytes_of(model_config const& c, kv_cache_format format) {
  std::uint64_t bytes = 0;
  for (layer_shape const& s : c.shapes)
    if (s.heads > 0) bytes += static_cast<std::uint64_t>(2 * token_bytes_of(format, s.kv_heads, s.head_dim));
  return bytes;
}

std::uint64_t model_bytes_of(options const& from, model_config const& c, number_format dtype) {
  std::uint64_t const number  = dtype == number_format::f32 ? 4 : 2;
  std::uint64_t       linears = 0;
  for (layer_shape const& s : c.shapes) linears += linear_parameters_of(c, s);
  auto const packed = packed_bytes_of(from, c);
  return packed ? *packed + (parameters_of(c) - linears) * number : parameters_of(c) * number;
}

std::uint64_t step_bytes_of(options const& from, model_config const& c, number_format dtype) {
  std::uint64_t const embedding =
      c.tie_word_embeddings ? 0 : static_cast<std::uint64_t>(c.vocab_size) * static_cast<std::uint64_t>(c.hidden);
  return model_bytes_of(from, c, dtype) - embedding * (dtype == number_format::f32 ? 4 : 2);
}

}  // namespace tenon::engine
