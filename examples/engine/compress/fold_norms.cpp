#include "engine/compress/fold_norms.hpp"

#include <tenon/compress/fold_norm_gain.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/throw_if.hpp>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/compress/linear_sites.hpp"
#include "engine/error.hpp"

namespace tenon::engine {

namespace {

using tensor = editable_model::tensor;

/// A norm and the modules that read it.
struct reading {
  std::string              gain;
  std::vector<std::string> modules;
};

std::vector<reading> readings_of(editable_model const& model) {
  std::vector<reading> all;
  for (std::size_t i = 0; i < model.layers(); ++i) {
    for (linear_site const& site : linear_sites) {
      char const* const norm = norm_in_front(model.config(), site);
      if (norm == nullptr || !model.has(i, site.half())) continue;
      reading& r = all.emplace_back();
      r.gain     = layer_prefix(i) + norm + ".weight";
      for (char const* const module : site.modules()) r.modules.push_back(layer_prefix(i) + module);
    }
  }
  all.push_back({"model.norm.weight", {"lm_head"}});
  return all;
}

/// Matrices of the model that nobody has spoken for read a norm, as far as we know; which one, their names do not say for sure.
void refuse_strangers(editable_model const& model) {
  for (std::string const& name : model.names()) {
    if (model.shape_of(name).size() < 2) continue;
    bool known = name == "model.embed_tokens.weight" || name == "lm_head.weight";
    for (linear_site const& site : linear_sites)
      for (std::string const module : site.modules())
        known = known || (name.starts_with("model.layers.") && name.ends_with("." + module + ".weight"));
    if (!known)
      throw wrong("--fold-norms", "finds a matrix that may read a norm", name,
                  "only matrices of " + model.config().architecture);
  }
}

/// How many matrices of the file begin with the norm's half of a layer and read it; of the last norm: the heads.
index_t readers_in_file(editable_model const& model, reading const& r) {
  if (r.modules.front() == "lm_head") return static_cast<index_t>(!model.shape_of("lm_head.weight").empty());
  std::string const half  = r.modules.front().substr(0, r.modules.front().rfind('.') + 1);
  index_t           count = 0;
  for (std::string const& name : model.names())
    count += name.starts_with(half) && model.shape_of(name).size() > 1 && !name.ends_with(".o_proj.weight") &&
             !name.ends_with(".down_proj.weight");
  return count;
}

/// A matrix in the type that it is folded in.
struct working_copy {
  index_t            rows, columns;
  std::vector<float> f32;
  std::vector<f16>   half;
  std::vector<bf16>  brain;

  working_copy(tensor const& t, dtype type) : rows(t.shape.at(0)), columns(t.shape.at(1)) {
    switch (type) {
      case dtype::f16: half = std::vector<f16>(t.values.begin(), t.values.end()); break;
      case dtype::bf16: brain = std::vector<bf16>(t.values.begin(), t.values.end()); break;
      default: f32 = t.values;
    }
  }
  fold_matrix view() {
    if (!half.empty()) return dense(half.data(), rows, columns);
    if (!brain.empty()) return dense(brain.data(), rows, columns);
    return dense(f32.data(), rows, columns);
  }
  std::vector<float> values() const {
    if (!half.empty()) return {half.begin(), half.end()};
    if (!brain.empty()) return {brain.begin(), brain.end()};
    return f32;
  }
};

void add(fold_report& to, fold_report const& one) {
  to.values += one.values, to.rounded += one.rounded;
  to.largest_error = std::max(to.largest_error, one.largest_error);
}

/// Each gain in turn; matrices in their own types, or in f32.
folded_norms fold_all(editable_model& model, bool as_stored) {
  folded_norms done;
  double const nothing = model.config().norm_from_one ? 0 : 1;
  for (reading const& r : readings_of(model)) {
    auto gain = model.find(r.gain);
    if (!gain) throw wrong("--fold-norms", "misses a norm", "none", r.gain);
    if (std::all_of(gain->values.begin(), gain->values.end(),
                    [&](float g) { return static_cast<double>(g) == nothing; }))
      continue;
    if (r.modules.front() == "lm_head" && model.config().tie_word_embeddings) model.untie(), done.untied = true;

    std::vector<working_copy>  copies;
    std::vector<norm_consumer> consumers;
    for (std::string const& module : r.modules) {
      auto const w = model.find(module + ".weight");
      if (!w || w->shape.size() != 2) throw wrong("--fold-norms", "misses a matrix", "none", module + ".weight");
      copies.emplace_back(*w, as_stored ? w->stored : dtype::f32);
    }
    for (working_copy& c : copies) consumers.push_back({.w = c.view()});
    fold_report report;
    throw_if(fold_norm_gain(report, consumers, dense(gain->values.data(), static_cast<index_t>(gain->values.size())),
                            {.consumers = readers_in_file(model, r), .unit_offset = model.config().norm_from_one}));
    add(done.weights, report);
    for (std::size_t k = 0; k < copies.size(); ++k) model.set_values(r.modules[k] + ".weight", copies[k].values());
    model.set_values(r.gain, std::move(gain->values));
    done.folded.push_back(r.gain);
  }
  for (std::string const& name : model.names()) {
    bool const inside = name.ends_with(".q_norm.weight") || name.ends_with(".k_norm.weight");
    bool const after  = model.config().norms_after && (name.ends_with(".post_attention_layernorm.weight") ||
                                                      name.ends_with(".post_feedforward_layernorm.weight"));
    if (inside || after) done.left.push_back(name);
  }
  return done;
}

}  // namespace

folded_norms fold_norms(editable_model& model, model_opener const& open, token_texts const& texts,
                        scorer_options const& options) {
  constexpr double rounding = 1e-4;
  refuse_strangers(model);
  auto const     before = open(model);
  editable_model exact  = model;
  folded_norms   done   = fold_all(exact, false);
  done.fold             = change_of(*before, *open(exact), texts, options);
  if (!(done.fold.relative_l2 <= rounding)) {
    char found[40];
    std::snprintf(found, sizeof found, "%.2g of them", done.fold.relative_l2);
    throw wrong("--fold-norms", "changes the logits", found, "at most 1e-4, which rounding may");
  }
  editable_model stored = model;
  folded_norms   again  = fold_all(stored, true);
  done.weights          = again.weights;
  bool const same       = again.weights.lossy() == false;
  done.stored           = same ? done.fold : change_of(*before, *open(stored), texts, options);
  model                 = std::move(stored);
  return done;
}

}  // namespace tenon::engine
