#include "engine/compress/lora_adapter.hpp"

#include <tenon/compress/merge_lora.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/throw_if.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/files/safetensors.hpp"

namespace tenon::engine {

namespace {

namespace fs = std::filesystem;

/// Whether `module` is `name`, or ends with it behind a dot.
bool goes_by(std::string_view module, std::string_view name) {
  return module == name ||
         (module.size() > name.size() && module.ends_with(name) && module[module.size() - name.size() - 1] == '.');
}
bool goes_by_any(std::string_view module, std::vector<std::string> const& names) {
  return std::any_of(names.begin(), names.end(), [&](std::string const& n) { return goes_by(module, n); });
}

std::vector<std::string> texts_in(json_fields const& f, char const* key) {
  std::vector<std::string> texts;
  auto const*              list = f.find(key);
  if (list == nullptr) return texts;
  if (!list->is_array()) throw f.wrong(key, "wrong type", describe(*list), "an array of texts");
  for (auto const& one : *list) {
    if (!one.is_string() || one.get<std::string>().empty()) throw f.wrong(key, "wrong type", describe(one), "a text");
    texts.push_back(one.get<std::string>());
  }
  return texts;
}

/// Numbers of modules that are not the adapter's own: {"q_proj": 16}.
class pattern {
 public:
  pattern(json_fields const& f, char const* key, double low, double high) : subject_(f.file() + ": " + key) {
    if (!f.has(key)) return;
    json_fields const one = f.fields(key);
    for (auto const& [name, value] : one.object().items()) {
      if (name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") !=
                              std::string::npos)
        throw wrong(subject_, "has a regular expression", in_quotes(name), "names of modules");
      numbers_[name] = to_number(value, subject_ + "." + name, low, high);
    }
  }
  double of(std::string const& module, double otherwise) const {
    std::string found;
    for (auto const& [name, number] : numbers_) {
      if (!goes_by(module, name)) continue;
      if (!found.empty() && numbers_.at(found) != number)
        throw wrong(subject_, "has two numbers for " + module, found + " and " + name, "one");
      found = name;
    }
    return found.empty() ? otherwise : numbers_.at(found);
  }

 private:
  std::string                   subject_;
  std::map<std::string, double> numbers_;
};

constexpr double most_rank = 1 << 16, most_alpha = 1e6;

struct adapter_config {
  std::string              file;
  double                   rank = 0, alpha = 0;
  pattern                  ranks, alphas;
  bool                     rank_stabilised = false, directions = false;  // directions: DoRA
  std::vector<std::string> targets, whole;      // targets empty: by a regular expression, not checked
  bool                     everywhere = false;  // every module that goes by a target has an adapter
  bool                     stays_tied = false;

  explicit adapter_config(json_fields const& f)
      : file(f.file()), ranks(f, "rank_pattern", 1, most_rank), alphas(f, "alpha_pattern", -most_alpha, most_alpha) {
    if (std::string const kind = f.text("peft_type"); kind != "LORA")
      throw f.wrong("peft_type", "unsupported", in_quotes(kind), "LORA");
    rank            = static_cast<double>(f.integer("r", 1, static_cast<std::int64_t>(most_rank)));
    alpha           = f.number("lora_alpha", -most_alpha, most_alpha);
    rank_stabilised = f.flag_or("use_rslora", false), directions = f.flag_or("use_dora", false);
    stays_tied = f.flag_or("ensure_weight_tying", false);

    // What is not linear in the weights of a linear layer, or not of these models. fan_in_fan_out is for GPT-2's matrices.
    for (char const* const key :
         {"fan_in_fan_out", "lora_bias", "use_qalora", "use_bdlora", "layer_replication", "target_parameters",
          "trainable_token_indices", "alora_invocation_tokens", "arrow_config", "megatron_config"})
      if (json_value const* const v = f.find(key); v != nullptr && *v != false && !(v->is_structured() && v->empty()))
        throw f.wrong(key, "unsupported", describe(*v), "none");
    std::string const bias = f.text_or("bias", "none");
    if (bias != "none" && bias != "all" && bias != "lora_only")
      throw f.wrong("bias", "unknown choice", in_quotes(bias), "none, all or lora_only");
    // Others (PiSSA, OLoRA, LoftQ) have changed the model's own weights when training began.
    if (json_value const* const v = f.find("init_lora_weights"); v != nullptr && !v->is_boolean())
      if (*v != "gaussian" && *v != "eva" && *v != "orthogonal")
        throw f.wrong("init_lora_weights", "belongs to other weights than the model's", describe(*v),
                      "true, false, gaussian, eva or orthogonal");

    whole = texts_in(f, "modules_to_save");
    if (json_value const* const t = f.find("target_modules"); t != nullptr && t->is_array())
      targets = texts_in(f, "target_modules");
    everywhere = !f.has("layers_to_transform") && !f.has("exclude_modules");
  }
};

template <class From>
std::vector<float> widened(std::span<std::byte const> bytes) {
  std::vector<float> values;
  values.reserve(bytes.size() / sizeof(From));
  for (std::size_t at = 0; at + sizeof(From) <= bytes.size(); at += sizeof(From)) {
    From v;
    std::memcpy(&v, bytes.data() + at, sizeof v);
    values.push_back(static_cast<float>(v));
  }
  return values;
}
std::vector<float> numbers_of(tensor_info const& t, std::string const& file) {
  switch (t.type) {
    case dtype::f32: return widened<float>(t.bytes);
    case dtype::f16: return widened<f16>(t.bytes);
    case dtype::bf16: return widened<bf16>(t.bytes);
    default:
      throw wrong(file + ": tensor " + in_quotes(t.name), "has an unsupported type", std::string(name_of(t.type)),
                  "F32, F16 or BF16");
  }
}

/// What the file has for one module; null: nothing.
struct parts {
  tensor_info const *a = nullptr, *b = nullptr, *magnitude = nullptr;
  bool               embedding = false;
};
struct adapter_tensors {
  std::map<std::string, parts>              low_rank;  // by module
  std::map<std::string, tensor_info const*> whole;     // by tensor of the model
};

adapter_tensors sorted_out(safetensors_file const& file) {
  constexpr std::string_view prefix = "base_model.model.";
  adapter_tensors            all;
  for (tensor_info const& t : file.tensors()) {
    std::string const subject = file.name() + ": tensor " + in_quotes(t.name);
    if (!t.name.starts_with(prefix)) throw wrong(subject, "is not one of an adapter", "no prefix", std::string(prefix));
    std::string const name = t.name.substr(prefix.size());
    auto const        at   = name.find(".lora_");
    if (at == std::string::npos) {
      std::string       to    = name;
      std::string const inner = ".base_layer";
      if (auto const b = to.find(inner + "."); b != std::string::npos) to.erase(b, inner.size());
      if (!all.whole.emplace(to, &t).second) throw wrong(subject, "comes twice", to, "it once");
      continue;
    }
    std::string const what = name.substr(at + 1);
    parts&            p    = all.low_rank[name.substr(0, at)];
    auto const        take = [&](tensor_info const*& to) {
      if (to != nullptr) throw wrong(subject, "comes twice", to->name, "it once");
      to = &t;
    };
    bool const embedding = what.starts_with("lora_embedding_");
    if (what == "lora_A.weight" || what == "lora_embedding_A") take(p.a);
    else if (what == "lora_B.weight" || what == "lora_embedding_B") take(p.b);
    else if (what == "lora_magnitude_vector" || what == "lora_magnitude_vector.weight") take(p.magnitude);
    else throw wrong(subject, "has no use here", what, "lora_A, lora_B or lora_magnitude_vector");
    if (what.starts_with("lora_magnitude")) continue;
    if (p.a != nullptr && p.b != nullptr && p.embedding != embedding)
      throw wrong(subject, "is of another kind than its partner", what, "both of an embedding, or none");
    p.embedding = embedding;
  }
  return all;
}

std::string text_of(std::vector<std::int64_t> const& shape) { return json_value(shape).dump(); }

void expect_shape(tensor_info const& t, std::vector<std::int64_t> const& shape, std::string const& file) {
  if (t.shape != shape)
    throw wrong(file + ": tensor " + in_quotes(t.name), "has the wrong shape", text_of(t.shape), text_of(shape));
}

/// v as the type holds it: rounded once.
float stored_as(dtype type, double v) {
  switch (type) {
    case dtype::f16: return static_cast<float>(fold::rounded<f16>(v));
    case dtype::bf16: return static_cast<float>(fold::rounded<bf16>(v));
    default: return fold::rounded<float>(v);
  }
}

merged_module merge(editable_model& model, std::string const& module, parts const& p, adapter_config const& config,
                    std::string const& file) {
  std::string const subject = file + ": adapter of " + in_quotes(module);
  auto const        w       = model.find(module + ".weight");
  if (!w || w->shape.size() != 2)
    throw wrong(subject, "is for a module that the model does not have", "none", module + ".weight");
  if (p.a == nullptr || p.b == nullptr)
    throw wrong(subject, "lacks its other half",
                p.a != nullptr   ? "A alone"
                : p.b != nullptr ? "B alone"
                                 : "neither",
                "A and B");
  if (!config.targets.empty() && !goes_by_any(module, config.targets))
    throw wrong(subject, "is for a module that target_modules do not name", module, "one of them");
  bool const table = module == "model.embed_tokens";
  if (p.embedding != table)
    throw wrong(subject, "is of the wrong kind", p.embedding ? "lora_embedding_A" : "lora_A",
                table ? "lora_embedding_A" : "lora_A");
  if (config.directions != (p.magnitude != nullptr) || (table && p.magnitude != nullptr))
    throw wrong(subject, "does not go with use_dora", p.magnitude != nullptr ? "lora_magnitude_vector" : "none",
                config.directions && !table ? "lora_magnitude_vector" : "none");

  auto const rank = static_cast<std::int64_t>(config.ranks.of(module, config.rank));
  // An embedding table is (inputs, outputs).
  std::int64_t const outputs = w->shape[table ? 1 : 0], inputs = w->shape[table ? 0 : 1];
  expect_shape(*p.a, {rank, inputs}, file), expect_shape(*p.b, {outputs, rank}, file);
  if (p.magnitude != nullptr) expect_shape(*p.magnitude, {outputs}, file);
  std::vector<float> const a = numbers_of(*p.a, file), b = numbers_of(*p.b, file),
                           m = p.magnitude != nullptr ? numbers_of(*p.magnitude, file) : std::vector<float>{};
  merge_lora_options o{.alpha           = config.alphas.of(module, config.alpha),
                       .rank_stabilised = config.rank_stabilised,
                       .fan_in_fan_out  = table};
  if (!m.empty()) o.magnitude = dense(m.data(), outputs);
  std::vector<double> meant(w->values.size());
  auto const          of_w = [&](auto* data) { return dense(data, w->shape[0], w->shape[1]); };
  if (status const s = merge_lora(of_w(meant.data()), of_w(w->values.data()), dense(a.data(), rank, inputs),
                                  dense(b.data(), outputs, rank), o);
      !s.ok())
    throw wrong(subject, "cannot be merged", describe(s), "finite numbers");

  std::vector<float> to;
  to.reserve(meant.size());
  double all = 0, moved = 0, lost = 0;
  for (std::size_t i = 0; i < meant.size(); ++i) {
    double const was = static_cast<double>(w->values[i]);
    to.push_back(stored_as(w->stored, meant[i]));
    double const now = static_cast<double>(to.back());
    if (!std::isfinite(now))
      throw wrong(subject, "makes a weight too large for its type", std::to_string(meant[i]),
                  "a " + std::string(name_of(w->stored)));
    all += was * was, moved += (meant[i] - was) * (meant[i] - was), lost += (now - meant[i]) * (now - meant[i]);
  }
  auto const r = static_cast<double>(rank);
  model.set_values(module + ".weight", std::move(to));
  return {module, rank, o.alpha / (config.rank_stabilised ? std::sqrt(r) : r), all > 0 ? std::sqrt(moved / all) : 0,
          moved > 0 ? std::sqrt(lost / moved) : 0};
}

/// Every module of the model that goes by a target has an adapter: one without would be as it was, and nobody would see it.
void expect_all(editable_model const& model, adapter_config const& config, adapter_tensors const& found) {
  std::string const end = ".weight";
  for (std::string const& name : model.names()) {
    if (!name.ends_with(end) || model.shape_of(name).size() != 2) continue;
    std::string const module = name.substr(0, name.size() - end.size());
    bool const        named  = goes_by_any(module, config.targets);
    if (named && !found.low_rank.contains(module) && !found.whole.contains(name))
      throw wrong(config.file + ": target_modules", "name a module that has no adapter in the file", "none", module);
  }
}

}  // namespace

merged_adapter merge_adapter(editable_model& model, std::string const& directory) {
  fs::path const       folder(directory), weights = folder / "adapter_model.safetensors";
  std::string const    config_file = (folder / "adapter_config.json").string();
  json_value const     tree        = read_json(config_file);
  adapter_config const config{json_fields(tree, config_file)};
  if (!fs::exists(weights))
    throw wrong(directory, "holds no adapter", fs::exists(folder / "adapter_model.bin") ? "adapter_model.bin" : "none",
                "adapter_model.safetensors");
  safetensors_file const file(weights);
  adapter_tensors const  found = sorted_out(file);
  if (config.everywhere) expect_all(model, config, found);

  editable_model merged = model;
  merged_adapter done;
  // A head that is the embedding: trained apart, each has its own numbers from now on.
  std::string const embedding = "model.embed_tokens", head = "lm_head";
  auto const        apart = [&](std::string const& module) {
    return found.low_rank.contains(module) ||
           (found.whole.contains(module + ".weight") && !config.stays_tied && goes_by_any(module, config.whole));
  };
  if (model.config().tie_word_embeddings) {
    if (apart(embedding) || apart(head)) {
      merged.untie(), done.untied = true;
    } else if (auto const h = found.whole.find(head + ".weight"); h != found.whole.end()) {
      auto const e = found.whole.find(embedding + ".weight");
      if (e == found.whole.end() || !std::ranges::equal(e->second->bytes, h->second->bytes))
        throw wrong(file.name() + ": tensor " + in_quotes(h->second->name), "is not the embedding that it is tied to",
                    "other numbers", "the same");
    }
  }
  for (auto const& [name, t] : found.whole) {
    if (name == head + ".weight" && merged.config().tie_word_embeddings) continue;  // the same as the embedding
    auto const to = merged.find(name);
    if (!to)
      throw wrong(file.name() + ": tensor " + in_quotes(t->name), "is for a tensor that the model does not have",
                  "none", name);
    expect_shape(*t, to->shape, file.name());
    std::vector<float> values = numbers_of(*t, file.name());
    for (float& v : values)
      if (v = stored_as(to->stored, static_cast<double>(v)); !std::isfinite(v))
        throw wrong(file.name() + ": tensor " + in_quotes(t->name), "holds what the model cannot", std::to_string(v),
                    "finite numbers of type " + std::string(name_of(to->stored)));
    merged.set_values(name, std::move(values));
    done.replaced.push_back(name);
  }
  for (auto const& [module, p] : found.low_rank) done.modules.push_back(merge(merged, module, p, config, file.name()));
  if (done.modules.empty() && done.replaced.empty())
    throw wrong(file.name(), "holds nothing to merge", "no tensors", "lora_A and lora_B of at least one module");
  model = std::move(merged);
  return done;
}

}  // namespace tenon::engine
