#include "engine/files/quantization_config.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/text/pattern.hpp"

namespace tenon::engine {
namespace {

constexpr std::int64_t largest_group = 1 << 20;
constexpr std::size_t  most_modules  = 1 << 16;

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// -1 and 0 are whole rows.
int read_group(json_fields const& f, char const* key, std::int64_t fallback) {
  return static_cast<int>(std::max<std::int64_t>(0, f.integer_or(key, -1, largest_group, fallback)));
}

int read_bits(json_fields const& f, char const* key, std::initializer_list<int> known) {
  auto const  bits = f.integer(key, 1, 64);
  std::string list;
  for (int const b : known) list.append(list.empty() ? "" : ", ").append(std::to_string(b));
  if (std::find(known.begin(), known.end(), bits) == known.end())
    throw f.wrong(key, "unsupported", std::to_string(bits) + " bits", known.size() == 1 ? list : "one of " + list);
  return static_cast<int>(bits);
}

std::vector<std::string> read_names(json_fields const& f, char const* key) {
  std::vector<std::string> names;
  auto const*              list = f.find(key);
  if (list == nullptr) return names;
  if (!list->is_array() || list->size() > most_modules)
    throw f.wrong(key, "wrong type", describe(*list), "an array of module names");
  for (auto const& name : *list) {
    if (!name.is_string()) throw f.wrong(key, "wrong type", describe(name), "module names");
    names.push_back(name.get<std::string>());
  }
  return names;
}

module_name read_name(std::string const& text, std::string const& subject) {
  bool const expression = text.starts_with("re:");
  return {expression ? text.substr(3) : text, subject, expression};
}

/// `block_structure` and `weight_block_size`: rows and columns.
void read_block(json_fields const& f, char const* key, stored_format& to) {
  auto const& pair = f.at(key, "two integers");
  if (!pair.is_array() || pair.size() != 2) throw f.wrong(key, "wrong type", describe(pair), "two integers");
  to.block_rows = static_cast<int>(to_integer(pair[0], f.file() + ": " + key, 1, largest_group));
  to.group      = static_cast<int>(to_integer(pair[1], f.file() + ": " + key, 1, largest_group));
}

/// `input_activations` of a group.
void read_inputs(json_fields const& f, stored_format& to) {
  auto const        bits     = f.integer_or("num_bits", 1, 64, 8);
  std::string const type     = f.text_or("type", "int");
  std::string const strategy = f.text_or("strategy", "token");
  bool const        integers = type == "int";
  if ((!integers && type != "float") || bits != 8)
    throw f.wrong("num_bits", "unsupported", std::to_string(bits) + " bits of " + in_quotes(type),
                  "8 bits of \"int\" or \"float\"");
  if (integers && !f.flag_or("symmetric", true))
    throw f.wrong("symmetric", "unsupported", "inputs with zero points", "true");
  to.inputs = integers ? input_kind::int8 : input_kind::fp8;
  if (strategy == "group") to.input_group = read_group(f, "group_size", 128);
  else if (strategy != "token" && strategy != "tensor" && strategy != "channel")
    throw f.wrong("strategy", "unsupported", in_quotes(strategy), "one of token, tensor, group");
  auto const* dynamic = f.find("dynamic");
  to.static_input     = dynamic == nullptr || (dynamic->is_boolean() && !dynamic->get<bool>());
}

}  // namespace

module_name::module_name(std::string text, std::string const& subject, bool is_expression)
    : text_(std::move(text)), expression_(is_expression ? std::make_shared<pattern const>(text_, subject) : nullptr) {}

bool module_name::matches(std::string const& module) const {
  if (!expression_) return module == text_;
  auto const found = expression_->matches(module);
  return !found.empty() && found.front().begin == 0;
}

quantization_config::quantization_config(json_fields const& f) : file_(f.file()) {
  method_ = lower(f.text_or("quant_method", f.has("config_groups") ? "compressed-tensors" : "gptq"));
  if (method_ == "awq") read_awq(f);
  else if (method_ == "gptq") read_gptq(f);
  else if (method_ == "compressed-tensors") read_compressed_tensors(f);
  else if (method_ == "fp8") read_fp8(f);
  else throw f.wrong("quant_method", "unsupported", in_quotes(method_), "one of awq, gptq, compressed-tensors, fp8");
}

void quantization_config::add_parts(json_fields const& f, char const* key) {
  rule r;
  for (auto const& name : read_names(f, key)) r.modules.push_back({name, f.file() + ": " + key, false});
  r.parts = true;
  if (!r.modules.empty()) rules_.push_back(std::move(r));
}

void quantization_config::read_awq(json_fields const& f) {
  stored_format     s;
  std::string const version = lower(f.text_or("version", "gemm"));
  s.as                      = stored_weight::awq;
  s.bits                    = f.has("bits") ? read_bits(f, "bits", {4}) : read_bits(f, "w_bit", {4});
  s.group                   = read_group(f, f.has("group_size") ? "group_size" : "q_group_size", 128);
  if (version != "gemm" && version != "gemv")
    throw f.wrong("version", "unsupported", in_quotes(version), "gemm or gemv");
  s.along_input = version == "gemv";
  add_parts(f, "modules_to_not_convert");
  rules_.push_back({{}, s});
}

void quantization_config::read_gptq(json_fields const& f) {
  stored_format     s;
  std::string const format = lower(f.text_or("checkpoint_format", f.text_or("format", "gptq")));
  s.as                     = stored_weight::gptq;
  s.bits                   = read_bits(f, "bits", {2, 3, 4, 8});
  s.group                  = read_group(f, "group_size", 128);
  s.symmetric              = f.flag_or("sym", false);
  if (format != "gptq" && format != "gptq_v2")
    throw f.wrong("checkpoint_format", "unsupported", in_quotes(format), "gptq or gptq_v2");
  s.one_less = format == "gptq";
  if (f.flag_or("lm_head", false)) throw f.wrong("lm_head", "unsupported", "a quantised head", "false");
  // Modules of their own: "-:expression" are not quantised, others differ in some fields.
  if (f.has("dynamic")) {
    json_fields const dynamic = f.fields("dynamic");
    for (auto const& [key, value] : dynamic.object().items()) {
      bool const  skip = key.starts_with("-:");
      std::string name = skip || key.starts_with("+:") ? key.substr(2) : key;
      rule        r;
      r.modules.push_back({std::move(name), f.file() + ": dynamic", true});
      if (!skip) {
        json_fields const g   = dynamic.fields(key.c_str());
        stored_format     own = s;
        if (g.has("bits")) own.bits = read_bits(g, "bits", {2, 3, 4, 8});
        own.group     = read_group(g, "group_size", s.group);
        own.symmetric = g.flag_or("sym", s.symmetric);
        r.format      = own;
      }
      rules_.push_back(std::move(r));
    }
  }
  rules_.push_back({{}, s});
}

void quantization_config::read_compressed_tensors(json_fields const& f) {
  std::string const all = f.text_or("format", "pack-quantized");
  rule              ignored;
  for (auto const& name : read_names(f, "ignore")) ignored.modules.push_back(read_name(name, f.file() + ": ignore"));
  if (!ignored.modules.empty()) rules_.push_back(std::move(ignored));
  if (f.has("sparsity_config")) {
    auto const        sparsity = f.fields("sparsity_config");
    std::string const format   = sparsity.text_or("format", "dense");
    if (format != "dense") throw sparsity.wrong("format", "unsupported", in_quotes(format), "dense");
  }
  if (auto const* transforms = f.find("transform_config"); transforms != nullptr && !transforms->empty())
    throw f.wrong("transform_config", "unsupported", describe(*transforms), "none");

  json_fields const groups = f.fields("config_groups");
  std::vector<rule> everywhere;
  for (auto const& [key, value] : groups.object().items()) {
    json_fields const g        = groups.fields(key.c_str());
    json_fields const w        = g.fields("weights");
    std::string const format   = g.text_or("format", all);
    std::string const type     = w.text_or("type", "int");
    std::string const strategy = w.text_or("strategy", w.has("group_size") ? "group" : "channel");
    stored_format     s;
    if (format == "pack-quantized") {
      s.as   = stored_weight::pack_quantized;
      s.bits = read_bits(w, "num_bits", {2, 3, 4, 5, 6, 7, 8});
    } else if (format == "int-quantized" || (format == "naive-quantized" && type == "int")) {
      s.as   = stored_weight::int_quantized;
      s.bits = read_bits(w, "num_bits", {8});
    } else if (format == "float-quantized" || (format == "naive-quantized" && type == "float")) {
      s.as   = stored_weight::float_quantized;
      s.bits = read_bits(w, "num_bits", {8});
    } else if (format == "nvfp4-pack-quantized" || format == "mxfp4-pack-quantized") {
      s.as    = format.starts_with("nv") ? stored_weight::nvfp4 : stored_weight::mxfp4;
      s.bits  = read_bits(w, "num_bits", {4});
      s.group = s.as == stored_weight::nvfp4 ? 16 : 32;
    } else {
      throw f.wrong("format", "unsupported", in_quotes(format),
                    "one of pack-quantized, int-quantized, float-quantized, naive-quantized, nvfp4-pack-quantized, "
                    "mxfp4-pack-quantized");
    }
    bool const fp4         = s.as == stored_weight::nvfp4 || s.as == stored_weight::mxfp4;
    bool const wants_float = fp4 || s.as == stored_weight::float_quantized;
    if (type != (wants_float ? "float" : "int"))
      throw w.wrong("type", "does not fit the format", in_quotes(type), wants_float ? "float" : "int");
    s.symmetric = w.flag_or("symmetric", true);
    if (fp4) {
      if (auto const group = w.integer_or("group_size", 1, largest_group, s.group); group != s.group)
        throw w.wrong("group_size", "does not fit the format", std::to_string(group), std::to_string(s.group));
    } else if (strategy == "group") {
      s.group = static_cast<int>(w.integer("group_size", 1, largest_group));
    } else if (strategy == "block") {
      if (!wants_float) throw w.wrong("strategy", "unsupported", "blocks of integers", "one of tensor, channel, group");
      read_block(w, "block_structure", s);
    } else if (strategy != "channel" && strategy != "tensor") {
      throw w.wrong("strategy", "unsupported", in_quotes(strategy), "one of tensor, channel, group, block");
    }
    // Inputs of four bits stay plain: no product takes them.
    if (g.has("input_activations") && !fp4) read_inputs(g.fields("input_activations"), s);

    rule named{{}, s}, linears{{}, s};
    bool every = false;
    for (auto const& name : read_names(g, "targets")) {
      every = every || name == "Linear";
      if (name != "Linear") named.modules.push_back(read_name(name, f.file() + ": targets"));
    }
    if (!named.modules.empty()) rules_.push_back(std::move(named));
    if (every) everywhere.push_back(std::move(linears));
  }
  rules_.insert(rules_.end(), everywhere.begin(), everywhere.end());  // a name goes before a class
}

void quantization_config::read_fp8(json_fields const& f) {
  stored_format     s;
  std::string const format = lower(f.text_or("fmt", "e4m3")), scheme = lower(f.text_or("activation_scheme", "dynamic"));
  if (format != "e4m3") throw f.wrong("fmt", "unsupported", in_quotes(format), "e4m3");
  if (scheme != "dynamic" && scheme != "static")
    throw f.wrong("activation_scheme", "unsupported", in_quotes(scheme), "dynamic or static");
  s.as           = stored_weight::float_quantized;
  s.bits         = 8;
  s.inputs       = input_kind::fp8;
  s.static_input = scheme == "static";
  if (f.has("weight_block_size")) {
    read_block(f, "weight_block_size", s);
    s.as          = stored_weight::block_fp8;
    s.input_group = s.group;
  }
  add_parts(f, "modules_to_not_convert");
  add_parts(f, "ignored_layers");
  rules_.push_back({{}, s});
}

std::optional<stored_format> quantization_config::format_of(std::string const& module) const {
  for (auto const& r : rules_) {
    bool const here =
        r.modules.empty() || std::any_of(r.modules.begin(), r.modules.end(), [&](module_name const& name) {
          return r.parts ? module.find(name.text()) != std::string::npos : name.matches(module);
        });
    if (here) return r.format;
  }
  return {};
}

std::string quantization_config::description() const {
  std::string text = method_;
  for (auto const& r : rules_) {
    if (!r.format) continue;
    stored_format const& s = *r.format;
    text += "; " + std::to_string(s.bits) + " bits";
    if (s.block_rows > 1) text += ", blocks of " + std::to_string(s.block_rows) + " x " + std::to_string(s.group);
    else if (s.group > 0) text += ", groups of " + std::to_string(s.group);
    if (s.inputs != input_kind::plain) text += s.inputs == input_kind::int8 ? ", int8 inputs" : ", fp8 inputs";
  }
  return text;
}

}  // namespace tenon::engine
