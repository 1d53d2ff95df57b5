#include <algorithm>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/commands/model_size.hpp"
#include "engine/commands/requests.hpp"
#include "engine/commands/setup.hpp"
#include "engine/model/kv_cache_format.hpp"
#include "engine/program/output.hpp"

namespace tenon::engine {

int run_info(options const& from) {
  model_files const   files      = open_model(from, text_use::wanted);
  model_config const& c          = files.config;
  auto const          kv_bytes   = [&](kv_cache_format format) { return kv_bytes_of(c, format); };
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
  auto const without = [&](std::int64_t layer_shape::*part) {
    return std::count_if(c.shapes.begin(), c.shapes.end(), [&](layer_shape const& s) { return s.*part == 0; });
  };
  auto const no_attention = without(&layer_shape::heads), no_mlp = without(&layer_shape::intermediate);
  if (no_attention > 0) j["layers_without_attention"] = no_attention;
  if (no_mlp > 0) j["layers_without_mlp"] = no_mlp;
  j["tokenizer"] = files.text ? nlohmann::ordered_json(files.text->description()) : nlohmann::ordered_json(nullptr);

  result_writer out;
  if (from.output == output_format::json) {
    out.write(to_line(j));
  } else {
    auto const line = [&](std::string name, std::string const& value) {
      name.resize(18, ' ');
      out.write(name + value + "\n");
    };
    auto const n = [](std::int64_t v) { return std::to_string(v); };
    line("architecture", c.architecture + " (" + c.model_type + ")");
    line("shape", n(c.layers) + " layers, hidden " + n(c.hidden) + ", " + n(c.heads) + " heads of " + n(c.head_dim) +
                      " over " + n(c.kv_heads) + " kv heads, intermediate " + n(c.intermediate));
    if (no_attention + no_mlp > 0)
      line("pruned", n(no_attention) + " layers without attention, " + n(no_mlp) + " without an MLP");
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
