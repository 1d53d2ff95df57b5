//  Heads, whole tensors and the head of an editable_model.
#include "engine/compress/editable_model.hpp"

#include <string>
#include <utility>

#include "engine/error.hpp"

namespace tenon::engine {

namespace {

/// Runs of `unit` rows, in the order of `kept`.
std::vector<float> kept_rows(std::vector<float> const& from, std::vector<std::int64_t> const& kept, std::size_t unit) {
  std::vector<float> rows;
  rows.reserve(kept.size() * unit);
  for (std::int64_t const k : kept) {
    auto const first = from.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(k) * unit);
    rows.insert(rows.end(), first, first + static_cast<std::ptrdiff_t>(unit));
  }
  return rows;
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

void editable_model::keep_heads(std::size_t i, std::vector<std::int64_t> const& heads,
                                std::vector<std::int64_t> const& kv_heads, std::vector<float> output) {
  layer_shape&      s      = config_.shapes[i];
  auto const        dim    = static_cast<std::size_t>(s.head_dim);
  std::string const prefix = "model.layers." + std::to_string(i) + ".self_attn.";
  for (auto const& [module, kept] : {std::pair{"q_proj", &heads}, {"k_proj", &kv_heads}, {"v_proj", &kv_heads}})
    for (char const* const part : {".weight", ".bias"}) {
      auto const at = mapped_.find(prefix + module + part);
      if (at == mapped_.end()) continue;
      mapped_tensor&    t     = at->second;
      std::size_t const width = t.shape.size() > 1 ? static_cast<std::size_t>(t.shape[1]) : 1;
      t.values                = kept_rows(t.numbers(), *kept, dim * width);
      t.shape[0]              = static_cast<std::int64_t>(kept->size() * dim);
    }
  mapped_tensor& o = mapped_.at(prefix + "o_proj.weight");
  o.shape[1] = static_cast<std::int64_t>(heads.size() * dim), o.values = std::move(output);
  s.heads = static_cast<std::int64_t>(heads.size()), s.kv_heads = static_cast<std::int64_t>(kv_heads.size());
}

void editable_model::untie() {
  if (!config_.tie_word_embeddings) return;
  mapped_["lm_head.weight"]   = mapped_.at("model.embed_tokens.weight");
  config_.tie_word_embeddings = false;
}

}  // namespace tenon::engine
