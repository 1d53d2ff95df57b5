#include "engine/compress/editable_model.hpp"

#include <tenon/core/numeric.hpp>
#include <tenon/core/throw_if.hpp>
#include <tenon/quant/import_compressed_tensors.hpp>

#include <cmath>
#include <cstring>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/program/output.hpp"

namespace tenon::engine {

namespace {

namespace fs = std::filesystem;

template <class From>
std::vector<float> widened(std::span<std::byte const> bytes) {
  std::vector<float> values(bytes.size() / sizeof(From));
  for (std::size_t i = 0; i < values.size(); ++i) {
    From v;
    std::memcpy(&v, bytes.data() + i * sizeof v, sizeof v);
    values[i] = static_cast<float>(v);
  }
  return values;
}

std::vector<float> widened(dtype type, std::span<std::byte const> bytes) {
  switch (type) {
    case dtype::f16: return widened<f16>(bytes);
    case dtype::bf16: return widened<bf16>(bytes);
    default: return widened<float>(bytes);
  }
}

template <class To>
std::vector<std::byte> narrowed(std::vector<float> const& values) {
  std::vector<std::byte> to(values.size() * sizeof(To));
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto const v = static_cast<To>(values[i]);
    std::memcpy(to.data() + i * sizeof v, &v, sizeof v);
  }
  return to;
}

/// The tensors of a module that is codes; `prefix`: "model.layers.0.mlp.up_proj.".
void write_codes(editable_model::tensor_sink const& to, std::string const& prefix, quantized_weight const& q) {
  auto const add = [&](char const* name, dtype type, std::vector<std::int64_t> shape, auto const& values) {
    auto const bytes = std::as_bytes(std::span(values));
    to({prefix + name, type, std::move(shape), {}}, {bytes.begin(), bytes.end()});
  };
  switch (q.format.code) {
    case weight_code::int4: {
      pack_quantized_checkpoint<float> out;
      throw_if(export_pack_quantized(out, q));
      auto const t = out.tensors();
      add("weight_packed", dtype::i32, {t.weight_packed.extent[0], t.weight_packed.extent[1]}, out.weight_packed);
      add("weight_scale", dtype::f32, {q.rows, q.groups()}, out.weight_scale);
      if (q.format.zero_points)
        add("weight_zero_point", dtype::i32, {t.weight_zero_point.extent[0], t.weight_zero_point.extent[1]},
            out.weight_zero_point);
      add("weight_shape", dtype::i64, {2}, out.weight_shape);
      break;
    }
    case weight_code::fp8: {
      float_quantized_checkpoint<float> out;
      throw_if(export_float_quantized(out, q));
      add("weight", dtype::f8_e4m3, {q.rows, q.columns}, out.weight);
      add("weight_scale", dtype::f32, {q.scale_rows(), q.groups()}, out.weight_scale);
      break;
    }
    default: {
      int_quantized_checkpoint<float> out;
      throw_if(export_int_quantized(out, q));
      add("weight", dtype::i8, {q.rows, q.columns}, out.weight);
      add("weight_scale", dtype::f32, {q.rows, q.groups()}, out.weight_scale);
    }
  }
  if (q.input_scale) add("input_scale", dtype::f32, {1}, std::vector<float>{*q.input_scale});
}

/// Names of `modules` for a configuration: an expression for those of one kind, where none of `others` is of it.
json_value targets_of(std::vector<std::string> const& modules, std::vector<std::string> const& others) {
  auto const kind_of = [](std::string const& module) {  // "model.layers.0.mlp.down_proj" -> "mlp.down_proj"
    auto const last = module.rfind('.');
    return module.substr(module.rfind('.', last - 1) + 1);
  };
  std::set<std::string> mixed, targets;
  for (auto const& name : others) mixed.insert(kind_of(name));
  for (auto const& name : modules) {
    std::string const kind = kind_of(name);
    targets.insert(mixed.contains(kind)
                       ? name
                       : "re:.*" + kind.substr(0, kind.find('.')) + "[.]" + kind.substr(kind.find('.') + 1) + "$");
  }
  return targets;
}

}  // namespace

editable_model::editable_model(std::string const& directory, model_config config, checkpoint const& files)
    : source_(directory), config_(std::move(config)) {
  if (config_.quantization)
    throw wrong("--model", "is quantised already", config_.quantization->method(), "a model of 16 or 32 bits");
  for (std::string const& name : files.names()) {
    tensor_info const& t = files.at(name);
    if (t.type != dtype::f32 && t.type != dtype::f16 && t.type != dtype::bf16)
      throw wrong(files.name() + ": tensor " + name, "has an unsupported type", std::string(name_of(t.type)),
                  "F32, F16 or BF16");
    mapped_[name] = {t.type, t.shape, t.bytes, {}};
  }
  for (std::size_t i = 0; i < layers(); ++i) origin_.push_back(i);
}

std::vector<float> editable_model::mapped_tensor::numbers() const { return values ? *values : widened(stored, bytes); }

bool editable_model::has(std::size_t i, layer_half half) const {
  layer_shape const& s = config_.shapes[i];
  return half == layer_half::attention ? s.heads > 0 : s.intermediate > 0;
}

std::uint64_t editable_model::parameters() const {
  std::uint64_t sum = 0;
  for (auto const& [name, t] : mapped_) {
    std::uint64_t all = 1;
    for (std::int64_t const extent : t.shape) all *= static_cast<std::uint64_t>(extent);
    sum += all;
  }
  return sum;
}

void editable_model::set_codes(std::size_t i, std::string const& module, quantized_weight codes,
                               quantize_choice choice) {
  std::string const name = layer_prefix(i) + module;
  set_matrix(i, module, codes.dequantized());
  forms_[name] = {codes.format, codes.input_scale.has_value()};
  codes_[name] = std::move(codes), choice_ = choice;
}

void editable_model::set_kv_scales(cache_scales const& scales) {
  for (char const* const name : {"k_scale", "v_scale", "k_proj.k_scale", "v_proj.v_scale"})
    mapped_.erase(layer_prefix(scales.layer) + "self_attn." + name);
  kv_scales_[scales.layer] = scales;
}

checkpoint editable_model::as_checkpoint() const {
  std::vector<tensor_info> list;
  for (auto const& [name, t] : mapped_)
    if (t.values) list.push_back({name, dtype::f32, t.shape, std::as_bytes(std::span(*t.values))});
    else list.push_back({name, t.stored, t.shape, t.bytes});
  return {source_, std::move(list)};
}

std::vector<float> editable_model::embedded(std::span<std::int32_t const> ids) const {
  auto const at = mapped_.find("model.embed_tokens.weight");
  if (at == mapped_.end()) throw wrong(source_, "has no such matrix", "none", "model.embed_tokens.weight");
  mapped_tensor const& t     = at->second;
  auto const           width = static_cast<std::size_t>(config_.hidden);
  std::size_t const    bytes = width * bytes_of(t.stored);
  float const          scale = config_.scaled_embedding ? std::sqrt(static_cast<float>(config_.hidden)) : 1.f;
  if (t.shape != std::vector<std::int64_t>{config_.vocab_size, config_.hidden})
    throw wrong(source_ + ": tensor model.embed_tokens.weight", "has the wrong shape", json_value(t.shape).dump(),
                json_value({config_.vocab_size, config_.hidden}).dump());
  std::vector<float> rows;
  rows.reserve(ids.size() * width);
  for (std::int32_t const id : ids) {
    if (id < 0 || id >= config_.vocab_size)
      throw wrong("calibration text", "holds an id outside of the vocabulary", std::to_string(id),
                  "less than " + std::to_string(config_.vocab_size));
    auto const from = static_cast<std::size_t>(id);
    if (t.values) {
      auto const row = t.values->begin() + static_cast<std::ptrdiff_t>(from * width);
      rows.insert(rows.end(), row, row + static_cast<std::ptrdiff_t>(width));
    } else {
      auto const row = widened(t.stored, t.bytes.subspan(from * bytes, bytes));
      rows.insert(rows.end(), row.begin(), row.end());
    }
  }
  for (float& v : rows) v *= scale;
  return rows;
}

editable_model editable_model::alone(std::size_t i) const {
  editable_model    one;
  std::string const prefix = layer_prefix(i);
  one.source_ = source_, one.config_ = config_, one.origin_ = {origin_[i]};
  one.config_.layers = one.config_.vocab_size = 1, one.config_.tie_word_embeddings = true;
  one.config_.shapes = {config_.shapes[i]}, one.config_.windows = {config_.windows[i]};
  for (auto at = mapped_.lower_bound(prefix); at != mapped_.end() && at->first.starts_with(prefix); ++at)
    one.mapped_[layer_prefix(0) + at->first.substr(prefix.size())] = at->second;
  std::vector<float> const zeros(static_cast<std::size_t>(config_.hidden));
  one.mapped_["model.embed_tokens.weight"] = {dtype::f32, {1, config_.hidden}, {}, zeros};
  one.mapped_["model.norm.weight"]         = {dtype::f32, {config_.hidden}, {}, zeros};
  return one;
}

void editable_model::write(std::string const& name, mapped_tensor const& t, tensor_sink const& to) const {
  if (!t.values) return to({name, t.stored, t.shape, t.bytes}, {});
  switch (t.stored) {
    case dtype::f16: return to({name, t.stored, t.shape, {}}, narrowed<f16>(*t.values));
    case dtype::bf16: return to({name, t.stored, t.shape, {}}, narrowed<bf16>(*t.values));
    default: return to({name, t.stored, t.shape, {}}, narrowed<float>(*t.values));
  }
}

void editable_model::write_layer(std::size_t i, tensor_sink const& to) const {
  std::string const prefix = layer_prefix(i);
  for (auto at = mapped_.lower_bound(prefix); at != mapped_.end() && at->first.starts_with(prefix); ++at) {
    auto const& name   = at->first;
    bool const  weight = name.ends_with(".weight");
    auto const  codes  = weight ? codes_.find(name.substr(0, name.size() - 7)) : codes_.end();
    if (codes == codes_.end()) write(name, at->second, to);
    else write_codes(to, codes->first + ".", codes->second);
  }
  if (auto const scales = kv_scales_.find(i); scales != kv_scales_.end())
    for (auto const& [name, v] : {std::pair{"k_scale", scales->second.k}, std::pair{"v_scale", scales->second.v}})
      to({prefix + "self_attn." + name, dtype::f32, {1}, {}}, narrowed<float>({v}));
}

void editable_model::write_rest(tensor_sink const& to) const {
  for (auto const& [name, t] : mapped_) {
    bool in_layer = false;
    for (std::size_t i = 0; i < layers() && !in_layer; ++i) in_layer = name.starts_with(layer_prefix(i));
    if (!in_layer) write(name, t, to);
  }
}

void editable_model::forget(std::size_t i) {
  std::string const prefix = layer_prefix(i);
  for (auto at = mapped_.lower_bound(prefix); at != mapped_.end() && at->first.starts_with(prefix); ++at)
    at->second.values.reset();
  std::erase_if(codes_, [&](auto const& entry) { return entry.first.starts_with(prefix); });
}

/// As compressed-tensors says it.
json_value editable_model::quantization() const {
  bool const               four = choice_ == quantize_choice::w4a16;
  bool const               fp8  = choice_ == quantize_choice::fp8 || choice_ == quantize_choice::fp8_block;
  weight_format            format;
  std::vector<std::string> fixed, found;  // modules by where their inputs' scales are from
  for (auto const& [name, form] : forms_) format = form.format, (form.fixed_inputs ? fixed : found).push_back(name);

  json_value weights = {{"num_bits", four ? 4 : 8},
                        {"type", fp8 ? "float" : "int"},
                        {"symmetric", !format.zero_points},
                        {"strategy", format.block_rows > 1 ? "block"
                                     : format.group > 0    ? "group"
                                                           : "channel"},
                        {"dynamic", false}};
  if (format.block_rows > 1) weights["block_structure"] = {format.block_rows, format.group};
  else if (format.group > 0) weights["group_size"] = format.group;
  auto const inputs = [&](bool in_file) -> json_value {
    if (choice_ != quantize_choice::w8a8 && !fp8) return nullptr;
    json_value j  = {{"num_bits", 8}, {"type", fp8 ? "float" : "int"}, {"symmetric", true}};
    j["strategy"] = in_file ? "tensor" : format.block_rows > 1 ? "group" : "token";
    if (format.block_rows > 1) j["group_size"] = format.group;
    j["dynamic"] = !in_file;
    return j;
  };
  json_value groups;
  groups["group_0"] = {{"targets", {"Linear"}}, {"weights", weights}, {"input_activations", inputs(!fixed.empty())}};
  if (!fixed.empty() && !found.empty())
    groups["group_1"] = {
        {"targets", targets_of(found, fixed)}, {"weights", weights}, {"input_activations", inputs(false)}};
  json_value all = {{"quant_method", "compressed-tensors"},
                    {"format", four  ? "pack-quantized"
                               : fp8 ? "float-quantized"
                                     : "int-quantized"},
                    {"quantization_status", "compressed"},
                    {"ignore", {"lm_head"}},
                    {"config_groups", groups}};
  if (!kv_scales_.empty())
    all["kv_cache_scheme"] = {
        {"num_bits", 8}, {"type", "float"}, {"symmetric", true}, {"strategy", "tensor"}, {"dynamic", false}};
  return all;
}

void editable_model::write_description(fs::path const& directory) const {
  for (auto const& entry : fs::directory_iterator(source_)) {
    std::string const name = entry.path().filename().string();
    bool const        text = name.starts_with("tokenizer") || name.starts_with("special_tokens") ||
                      name == "generation_config.json" || name == "vocab.json" || name == "merges.txt";
    if (text && entry.is_regular_file())
      fs::copy_file(entry.path(), directory / name, fs::copy_options::overwrite_existing);
  }

  // The configuration comes last: a folder without one is no model.
  json_value config           = read_json((fs::path(source_) / "config.json").string());
  config["num_hidden_layers"] = config_.layers;
  config.erase("tenon_layers");
  json_value  uneven;
  bool        alike = true;
  auto const& first = config_.shapes.front();
  for (layer_shape const& s : config_.shapes) {
    alike = alike && s.heads == first.heads && s.kv_heads == first.kv_heads && s.intermediate == first.intermediate;
    uneven.push_back(
        {{"num_attention_heads", s.heads}, {"num_key_value_heads", s.kv_heads}, {"intermediate_size", s.intermediate}});
  }
  if (alike && first.heads > 0 && first.intermediate > 0) {  // an ordinary model
    config["intermediate_size"] = first.intermediate;
    if (first.heads != config_.heads || first.kv_heads != config_.kv_heads) {
      config["num_attention_heads"] = first.heads, config["num_key_value_heads"] = first.kv_heads;
      config["head_dim"] = first.head_dim;  // no longer the hidden size over the heads
    }
  } else {
    config["tenon_layers"] = uneven;
  }
  if (!config_.tie_word_embeddings && config.value("tie_word_embeddings", config_.model_type == "gemma2"))
    config["tie_word_embeddings"] = false;  // untied
  if (choice_ != quantize_choice::none) config["quantization_config"] = quantization();
  if (config_.has_windows()) {  // which layers have one no longer follows from a pattern
    json_value types;
    for (std::int64_t const w : config_.windows) types.push_back(w > 0 ? "sliding_attention" : "full_attention");
    config["layer_types"] = types;
  } else {
    config.erase("layer_types");
  }
  result_file file((directory / "config.json").string());
  file.write(config.dump(2) + "\n");
}

}  // namespace tenon::engine
