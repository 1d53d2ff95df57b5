#include <algorithm>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <tenon/quant/pack_weight.hpp>

#include "engine/commands/setup.hpp"
#include "engine/model/kv_cache_format.hpp"
#include "engine/model/quantized_linear.hpp"
#include "engine/program/output.hpp"

namespace tenon::engine {

namespace {

std::string bytes_text(std::uint64_t bytes) {
  char const* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double            value   = static_cast<double>(bytes);
  int               unit    = 0;
  while (value >= 1024 && unit < 4) value /= 1024, ++unit;
  char text[48];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.2f %s", value, units[unit]);
  return text;
}

/// Elements of the tensors that the shape calls for; what a dummy model has.
std::uint64_t parameters_of(model_config const& c) {
  auto const u = [](std::int64_t v) { return static_cast<std::uint64_t>(v); };
  auto const q = u(c.heads * c.head_dim), kv = u(c.kv_heads * c.head_dim), hidden = u(c.hidden);
  auto const attention = hidden * (2 * q + 2 * kv) + (c.qkv_bias ? q + 2 * kv : 0) + (c.output_bias ? hidden : 0);
  auto const mlp       = 3 * hidden * u(c.intermediate) + (c.mlp_bias ? 2 * u(c.intermediate) + hidden : 0);
  auto const norms     = (c.norms_after ? 4 : 2) * hidden + (c.qk_norm ? 2 * u(c.head_dim) : 0);
  auto const ends      = u(c.vocab_size) * hidden * (c.tie_word_embeddings ? 1 : 2) + hidden;
  return u(c.layers) * (attention + mlp + norms) + ends;
}

/// What the linear layers take in memory, packed as the files or --quantize say; none where they are plain numbers. Modules
/// are counted one by one: joining them pads less.
std::optional<std::uint64_t> packed_bytes_of(options const& from, model_config const& c) {
  quantize_choice const choice = quantize_of(from);
  if (choice == quantize_choice::none && !c.quantization) return {};
  index_t const q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  struct linear_shape {
    char const* name;
    index_t     outputs, inputs;
  };
  linear_shape const linears[] = {
      {"self_attn.q_proj", q, c.hidden},           {"self_attn.k_proj", kv, c.hidden},
      {"self_attn.v_proj", kv, c.hidden},          {"self_attn.o_proj", c.hidden, q},
      {"mlp.gate_proj", c.intermediate, c.hidden}, {"mlp.up_proj", c.intermediate, c.hidden},
      {"mlp.down_proj", c.hidden, c.intermediate}};
  std::uint64_t bytes = 0;
  for (std::int64_t i = 0; i < c.layers; ++i)
    for (auto const& l : linears) {
      std::string const module = "model.layers." + std::to_string(i) + "." + l.name;
      auto const        stored = choice == quantize_choice::none ? c.quantization->format_of(module) : std::nullopt;
      if (choice == quantize_choice::none && !stored) continue;
      weight_format const format = stored ? format_of(*stored) : format_of(choice, c.hidden);
      bytes += static_cast<std::uint64_t>(packed_layout_of(format, l.outputs, l.inputs, pack_order::pairs).bytes());
    }
  return bytes;
}

}  // namespace

int run_info(options const& from) {
  model_files const   files = open_model(from, text_use::wanted);
  model_config const& c     = files.config;
  // Keys and values of every layer, scales among them: what one token of context costs.
  auto const kv_bytes = [&](kv_cache_format format) {
    return static_cast<std::uint64_t>(2 * c.layers * token_bytes_of(format, c.kv_heads, c.head_dim));
  };
  std::uint64_t const parameters = files.weights ? files.weights->parameters() : parameters_of(c);

  nlohmann::ordered_json j;
  j["architecture"] = c.architecture, j["model_type"] = c.model_type, j["layers"] = c.layers,
  j["hidden_size"] = c.hidden;
  j["heads"] = c.heads, j["kv_heads"] = c.kv_heads, j["head_dim"] = c.head_dim, j["intermediate_size"] = c.intermediate;
  j["vocab_size"] = c.vocab_size, j["max_position"] = c.max_position, j["rope_theta"] = c.rope_theta;
  j["tie_word_embeddings"] = c.tie_word_embeddings, j["parameters"] = parameters;
  auto& bytes = j["bytes_by_dtype"] = nlohmann::ordered_json::object();
  if (files.weights)
    for (auto const& [type, count] : files.weights->bytes_by_dtype()) bytes[std::string(name_of(type))] = count;
  auto const        packed = packed_bytes_of(from, c);
  std::string const format = c.quantization ? c.quantization->description() : from.quantize;
  j["quantization"]        = packed ? nlohmann::ordered_json(format) : nlohmann::ordered_json(nullptr);
  if (packed) j["packed_bytes"] = *packed;
  for (kv_cache_format const f : kv_cache_formats) j["kv_bytes_per_token"][std::string(name_of(f))] = kv_bytes(f);
  if (c.has_windows()) j["sliding_windows"] = c.windows;
  j["tokenizer"] = files.text ? nlohmann::ordered_json(files.text->description()) : nlohmann::ordered_json(nullptr);

  result_writer out;
  if (from.output == output_format::json) {
    out.write(j.dump() + "\n");
  } else {
    auto const line = [&](std::string name, std::string const& value) {
      name.resize(18, ' ');
      out.write(name + value + "\n");
    };
    auto const n = [](std::int64_t v) { return std::to_string(v); };
    line("architecture", c.architecture + " (" + c.model_type + ")");
    line("shape", n(c.layers) + " layers, hidden " + n(c.hidden) + ", " + n(c.heads) + " heads of " + n(c.head_dim) +
                      " over " + n(c.kv_heads) + " kv heads, intermediate " + n(c.intermediate));
    line("vocabulary", n(c.vocab_size) + (c.tie_word_embeddings ? ", head tied to the embedding" : ", own head"));
    line("length",
         n(c.max_position) + " tokens, rope theta " + std::to_string(static_cast<std::int64_t>(c.rope_theta)));
    line("parameters", std::to_string(parameters));
    if (files.weights)
      for (auto const& [type, count] : files.weights->bytes_by_dtype())
        line("weights " + std::string(name_of(type)), bytes_text(count));
    if (packed) line("quantised", format), line("linear layers", bytes_text(*packed) + " packed");
    if (c.has_windows())
      line("windows", n(*std::max_element(c.windows.begin(), c.windows.end())) + " tokens in " +
                          n(std::count_if(c.windows.begin(), c.windows.end(), [](std::int64_t w) { return w > 0; })) +
                          " of " + n(c.layers) + " layers");
    std::string kv;
    for (kv_cache_format const f : kv_cache_formats)
      if (f != kv_cache_format::f16)  // as bf16
        kv += (kv.empty() ? "" : ", ") + bytes_text(kv_bytes(f)) + " in " +
              (f == kv_cache_format::bf16 ? "bf16 or f16" : std::string(name_of(f)));
    line("KV per token", kv);
    line("tokenizer", files.text ? files.text->description() : "none found");
  }
  out.flush();
  return 0;
}

}  // namespace tenon::engine
