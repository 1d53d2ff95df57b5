//  What cuts, folds and adapters do to an editable_model: tensors by name, layers, halves, heads and neurons that go.
#include <cstddef>
#include <string>
#include <utility>

#include "engine/compress/editable_model.hpp"
#include "engine/error.hpp"

namespace tenon::engine {

namespace {

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

std::vector<std::string> editable_model::names() const {
  std::vector<std::string> all;
  for (auto const& [name, t] : mapped_) all.push_back(name);
  return all;
}

std::optional<editable_model::tensor> editable_model::find(std::string const& name) const {
  auto const at = mapped_.find(name);
  if (at == mapped_.end()) return {};
  return tensor{at->second.stored, at->second.shape, at->second.numbers()};
}

std::vector<std::int64_t> editable_model::shape_of(std::string const& name) const {
  auto const at = mapped_.find(name);
  return at == mapped_.end() ? std::vector<std::int64_t>{} : at->second.shape;
}

void editable_model::set_values(std::string const& name, std::vector<float> values) {
  auto const at = mapped_.find(name);
  if (at == mapped_.end()) throw wrong(source_, "has no such tensor", "none", name);
  std::size_t count = 1;
  for (std::int64_t const extent : at->second.shape) count *= static_cast<std::size_t>(extent);
  if (count != values.size())
    throw wrong(name, "gets another number of values", std::to_string(values.size()), std::to_string(count));
  at->second.values = std::move(values);
}

editable_model::tensor editable_model::matrix(std::size_t i, std::string const& module) const {
  std::string const name = layer_prefix(i) + module + ".weight";
  auto              t    = find(name);
  if (!t || t->shape.size() != 2) throw wrong(source_, "has no such matrix", "none", name);
  return *std::move(t);
}
void editable_model::set_matrix(std::size_t i, std::string const& module, std::vector<float> values) {
  set_values(layer_prefix(i) + module + ".weight", std::move(values));
}

std::vector<float> editable_model::bias(std::size_t i, std::string const& module) const {
  auto t = find(layer_prefix(i) + module + ".bias");
  return t ? std::move(t->values) : std::vector<float>{};
}
void editable_model::set_bias(std::size_t i, std::string const& module, std::vector<float> values) {
  set_values(layer_prefix(i) + module + ".bias", std::move(values));
}

void editable_model::drop_layer(std::size_t i) {
  std::map<std::string, mapped_tensor> left;
  for (auto& [name, t] : mapped_) {
    std::string to = name;
    for (std::size_t j = i; j < layers(); ++j)
      if (std::string const prefix = layer_prefix(j); name.starts_with(prefix))
        to = j == i ? std::string() : layer_prefix(j - 1) + name.substr(prefix.size());
    if (!to.empty()) left[to] = std::move(t);
  }
  mapped_       = std::move(left);
  auto const at = static_cast<std::ptrdiff_t>(i);
  config_.shapes.erase(config_.shapes.begin() + at), config_.windows.erase(config_.windows.begin() + at);
  origin_.erase(origin_.begin() + at);
  --config_.layers;
}

void editable_model::drop_half(std::size_t i, layer_half half) {
  std::string const prefix = layer_prefix(i);
  std::erase_if(mapped_, [&](auto const& entry) {
    return entry.first.starts_with(prefix) && belongs_to(entry.first.substr(prefix.size()), half, config_.norms_after);
  });
  layer_shape& s = config_.shapes[i];
  if (half == layer_half::attention) s.heads = s.kv_heads = 0;
  else s.intermediate = 0;
}

/// Of a module's weight and bias only runs of `unit` rows.
void editable_model::keep_rows(std::string const& module, std::vector<std::int64_t> const& kept, std::int64_t unit) {
  for (char const* const part : {".weight", ".bias"}) {
    auto const at = mapped_.find(module + part);
    if (at == mapped_.end()) continue;
    mapped_tensor&           t   = at->second;
    std::vector<float> const all = t.numbers();
    auto const               run = unit * (t.shape.size() > 1 ? t.shape[1] : 1);
    std::vector<float>       rows;
    rows.reserve(kept.size() * static_cast<std::size_t>(run));
    for (std::int64_t const k : kept) rows.insert(rows.end(), all.begin() + k * run, all.begin() + (k + 1) * run);
    t.values = std::move(rows), t.shape[0] = static_cast<std::int64_t>(kept.size()) * unit;
  }
}

/// `fitted` becomes the module's weight, of so many columns.
void editable_model::set_columns(std::string const& module, std::int64_t columns, std::vector<float> fitted) {
  mapped_tensor& t = mapped_.at(module + ".weight");
  t.shape[1] = columns, t.values = std::move(fitted);
}

void editable_model::keep_neurons(std::size_t i, std::vector<std::int64_t> const& kept, std::vector<float> down) {
  std::string const mlp = layer_prefix(i) + "mlp.";
  keep_rows(mlp + "gate_proj", kept, 1), keep_rows(mlp + "up_proj", kept, 1);
  auto const count = static_cast<std::int64_t>(kept.size());
  set_columns(mlp + "down_proj", count, std::move(down));
  config_.shapes[i].intermediate = count;
}

void editable_model::keep_heads(std::size_t i, std::vector<std::int64_t> const& heads,
                                std::vector<std::int64_t> const& kv_heads, std::vector<float> output) {
  layer_shape&      s         = config_.shapes[i];
  std::string const attention = layer_prefix(i) + "self_attn.";
  keep_rows(attention + "q_proj", heads, s.head_dim);
  keep_rows(attention + "k_proj", kv_heads, s.head_dim), keep_rows(attention + "v_proj", kv_heads, s.head_dim);
  s.heads = static_cast<std::int64_t>(heads.size()), s.kv_heads = static_cast<std::int64_t>(kv_heads.size());
  set_columns(attention + "o_proj", s.heads * s.head_dim, std::move(output));
}

void editable_model::untie() {
  if (!config_.tie_word_embeddings) return;
  mapped_["lm_head.weight"]   = mapped_.at("model.embed_tokens.weight");
  config_.tie_word_embeddings = false;
}

}  // namespace tenon::engine
