#include "engine/compress/editable_model.hpp"

#include <tenon/core/numeric.hpp>
#include <tenon/core/throw_if.hpp>
#include <tenon/quant/import_compressed_tensors.hpp>

#include <cstring>
#include <deque>
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

template <class To>
std::vector<To> narrowed(std::vector<float> const& values) {
  std::vector<To> to;
  to.reserve(values.size());
  for (float const v : values) to.emplace_back(v);
  return to;
}

/// The tensors of a module that is codes: add(name, type, shape, values) for each; `prefix`: "model.layers.0.mlp.up_proj.".
template <class Add>
void add_codes(Add const& add, std::string const& prefix, quantized_weight const& q) {
  switch (q.format.code) {
    case weight_code::int4: {
      pack_quantized_checkpoint<float> out;
      throw_if(export_pack_quantized(out, q));
      auto const t = out.tensors();
      add(prefix + "weight_packed", dtype::i32, {t.weight_packed.extent[0], t.weight_packed.extent[1]},
          out.weight_packed);
      add(prefix + "weight_scale", dtype::f32, {q.rows, q.groups()}, out.weight_scale);
      add(prefix + "weight_shape", dtype::i64, {2}, out.weight_shape);
      break;
    }
    case weight_code::fp8: {
      float_quantized_checkpoint<float> out;
      throw_if(export_float_quantized(out, q));
      add(prefix + "weight", dtype::f8_e4m3, {q.rows, q.columns}, out.weight);
      add(prefix + "weight_scale", dtype::f32, {q.rows, q.groups()}, out.weight_scale);
      break;
    }
    default: {
      int_quantized_checkpoint<float> out;
      throw_if(export_int_quantized(out, q));
      add(prefix + "weight", dtype::i8, {q.rows, q.columns}, out.weight);
      add(prefix + "weight_scale", dtype::f32, {q.rows, q.groups()}, out.weight_scale);
    }
  }
  if (q.input_scale) add(prefix + "input_scale", dtype::f32, {1}, std::vector<float>{*q.input_scale});
}

/// As compressed-tensors says it.
json_value quantization_of(quantize_choice choice, quantized_weight const& example) {
  bool const four = choice == quantize_choice::w4a16, fp8 = choice == quantize_choice::fp8;
  json_value weights = {{"num_bits", four ? 4 : 8},
                        {"type", fp8 ? "float" : "int"},
                        {"symmetric", true},
                        {"strategy", example.format.group > 0 ? "group" : "channel"},
                        {"dynamic", false}};
  if (example.format.group > 0) weights["group_size"] = example.format.group;
  json_value inputs = nullptr;
  if (choice == quantize_choice::w8a8 || fp8)
    inputs = {{"num_bits", 8},
              {"type", fp8 ? "float" : "int"},
              {"symmetric", true},
              {"strategy", example.input_scale ? "tensor" : "token"},
              {"dynamic", !example.input_scale}};
  return {
      {"quant_method", "compressed-tensors"},
      {"format", four  ? "pack-quantized"
                 : fp8 ? "float-quantized"
                       : "int-quantized"},
      {"quantization_status", "compressed"},
      {"ignore", {"lm_head"}},
      {"config_groups", {{"group_0", {{"targets", {"Linear"}}, {"weights", weights}, {"input_activations", inputs}}}}}};
}

std::string prefix_of(std::size_t layer) { return "model.layers." + std::to_string(layer) + "."; }

/// What a half's tensors are called behind the layer's prefix.
bool belongs_to(std::string const& rest, layer_half half, bool norms_after) {
  if (half == layer_half::attention)
    return rest.starts_with("self_attn.") || rest.starts_with("input_layernorm.") ||
           (norms_after && rest.starts_with("post_attention_layernorm."));
  return rest.starts_with("mlp.") || rest.starts_with("pre_feedforward_layernorm.") ||
         rest.starts_with("post_feedforward_layernorm.") ||
         (!norms_after && rest.starts_with("post_attention_layernorm."));
}

}  // namespace

editable_model::editable_model(std::string const& directory, model_config config, checkpoint const& files)
    : source_(directory), config_(std::move(config)) {
  if (config_.quantization)
    throw wrong("--model", "is quantised already", config_.quantization->method(), "a model of 16 or 32 bits");
  for (std::string const& name : files.names()) {
    tensor_info const& t = files.at(name);
    tensor             to{t.type, t.shape, {}};
    switch (t.type) {
      case dtype::f32: to.values = widened<float>(t.bytes); break;
      case dtype::f16: to.values = widened<f16>(t.bytes); break;
      case dtype::bf16: to.values = widened<bf16>(t.bytes); break;
      default:
        throw wrong(files.name() + ": tensor " + name, "has an unsupported type", std::string(name_of(t.type)),
                    "F32, F16 or BF16");
    }
    tensors_[name] = std::move(to);
  }
  for (std::size_t i = 0; i < layers(); ++i) origin_.push_back(i);
}

bool editable_model::has(std::size_t i, layer_half half) const {
  layer_shape const& s = config_.shapes[i];
  return half == layer_half::attention ? s.heads > 0 : s.intermediate > 0;
}

void editable_model::drop_layer(std::size_t i) {
  std::map<std::string, tensor> left;
  for (auto& [name, t] : tensors_) {
    std::string to = name;
    for (std::size_t j = i; j < layers(); ++j)
      if (std::string const prefix = prefix_of(j); name.starts_with(prefix))
        to = j == i ? std::string() : prefix_of(j - 1) + name.substr(prefix.size());
    if (!to.empty()) left[to] = std::move(t);
  }
  tensors_      = std::move(left);
  auto const at = static_cast<std::ptrdiff_t>(i);
  config_.shapes.erase(config_.shapes.begin() + at), config_.windows.erase(config_.windows.begin() + at);
  origin_.erase(origin_.begin() + at);
  --config_.layers;
}

void editable_model::drop_half(std::size_t i, layer_half half) {
  std::string const prefix = prefix_of(i);
  std::erase_if(tensors_, [&](auto const& entry) {
    return entry.first.starts_with(prefix) && belongs_to(entry.first.substr(prefix.size()), half, config_.norms_after);
  });
  layer_shape& s = config_.shapes[i];
  if (half == layer_half::attention) s.heads = s.kv_heads = 0;
  else s.intermediate = 0;
}

void editable_model::keep_neurons(std::size_t i, std::vector<std::int64_t> const& kept, std::vector<float> fitted) {
  auto const count = static_cast<std::int64_t>(kept.size());
  for (char const* const name : {"gate_proj.weight", "up_proj.weight", "gate_proj.bias", "up_proj.bias"}) {
    auto const at = tensors_.find(prefix_of(i) + "mlp." + name);
    if (at == tensors_.end()) continue;
    tensor&            t     = at->second;
    auto const         width = t.shape.size() > 1 ? static_cast<std::size_t>(t.shape[1]) : 1;
    std::vector<float> rows;
    for (std::int64_t const k : kept) {
      auto const row = t.values.begin() + static_cast<std::ptrdiff_t>(k) * static_cast<std::ptrdiff_t>(width);
      rows.insert(rows.end(), row, row + static_cast<std::ptrdiff_t>(width));
    }
    t.values = std::move(rows), t.shape[0] = count;
  }
  tensor& down  = tensors_.at(prefix_of(i) + "mlp.down_proj.weight");
  down.shape[1] = count, down.values = std::move(fitted);
  config_.shapes[i].intermediate = count;
}

std::uint64_t editable_model::parameters() const {
  std::uint64_t sum = 0;
  for (auto const& [name, t] : tensors_) sum += t.values.size();
  return sum;
}

editable_model::tensor const& editable_model::matrix(std::size_t i, std::string const& module) const {
  std::string const name = prefix_of(i) + module + ".weight";
  auto const        at   = tensors_.find(name);
  if (at == tensors_.end() || at->second.shape.size() != 2) throw wrong(source_, "has no such matrix", "none", name);
  return at->second;
}

std::vector<float> editable_model::bias(std::size_t i, std::string const& module) const {
  auto const at = tensors_.find(prefix_of(i) + module + ".bias");
  return at == tensors_.end() ? std::vector<float>{} : at->second.values;
}

void editable_model::set_matrix(std::size_t i, std::string const& module, std::vector<float> values) {
  tensors_.at(prefix_of(i) + module + ".weight").values = std::move(values);
}

void editable_model::set_codes(std::size_t i, std::string const& module, quantized_weight codes,
                               quantize_choice choice) {
  if (!codes_.empty() && codes_.begin()->second.input_scale.has_value() != codes.input_scale.has_value())
    throw wrong(source_ + ": " + prefix_of(i) + module, "inputs have a scale in some modules alone",
                codes.input_scale ? "one" : "none", "the same in all");
  set_matrix(i, module, codes.dequantized());
  codes_[prefix_of(i) + module + ".weight"] = std::move(codes), choice_ = choice;
}

checkpoint editable_model::as_checkpoint() const {
  std::vector<tensor_info> list;
  for (auto const& [name, t] : tensors_)
    list.push_back({name, dtype::f32, t.shape, std::as_bytes(std::span(t.values))});
  return {source_, std::move(list)};
}

std::uint64_t editable_model::save(fs::path const& directory) const {
  if (fs::exists(directory / "config.json"))
    throw wrong((directory / "config.json").string(), "is there already", "a model", "an empty folder, or none");
  std::error_code e;
  fs::create_directories(directory, e);
  if (e) throw wrong(directory.string(), "cannot be made", e.message(), "a writable folder");

  std::vector<tensor_info>           list;
  std::deque<std::vector<std::byte>> bytes;  // of the list
  auto const add = [&](std::string const& name, dtype type, std::vector<std::int64_t> shape, auto const& values) {
    auto const all = std::as_bytes(std::span(values));
    bytes.emplace_back(all.begin(), all.end());
    list.push_back({name, type, std::move(shape), bytes.back()});
  };
  for (auto const& [name, t] : tensors_) {
    if (auto const codes = codes_.find(name); codes != codes_.end()) {
      add_codes(add, name.substr(0, name.size() - std::string_view("weight").size()), codes->second);
    } else {
      switch (t.stored) {
        case dtype::f16: add(name, t.stored, t.shape, narrowed<f16>(t.values)); break;
        case dtype::bf16: add(name, t.stored, t.shape, narrowed<bf16>(t.values)); break;
        default: add(name, t.stored, t.shape, t.values);
      }
    }
  }
  write_safetensors(directory / "model.safetensors", list, {{"format", "pt"}});

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
  if (alike && first.heads == config_.heads && first.kv_heads == config_.kv_heads && first.intermediate > 0)
    config["intermediate_size"] = first.intermediate;  // an ordinary model
  else config["tenon_layers"] = uneven;
  if (choice_ != quantize_choice::none)
    config["quantization_config"] = quantization_of(choice_, codes_.begin()->second);
  if (config_.has_windows()) {  // which layers have one no longer follows from a pattern
    json_value types;
    for (std::int64_t const w : config_.windows) types.push_back(w > 0 ? "sliding_attention" : "full_attention");
    config["layer_types"] = types;
  } else {
    config.erase("layer_types");
  }
  result_file file((directory / "config.json").string());
  file.write(config.dump(2) + "\n");
  std::uint64_t sum = 0;
  for (auto const& b : bytes) sum += b.size();
  return sum;
}

}  // namespace tenon::engine
