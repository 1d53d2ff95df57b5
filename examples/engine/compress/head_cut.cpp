#include "engine/compress/head_cut.hpp"

#include <tenon/compress/gram.hpp>
#include <tenon/compress/width_scores.hpp>
#include <tenon/core/throw_if.hpp>

#include <string>
#include <utility>

#include "engine/compress/layer_stream.hpp"
#include "engine/compress/stream_heal.hpp"
#include "engine/error.hpp"

namespace tenon::engine {

namespace {

/// What layer `origin` of the uncut model has afterwards.
layer_shape shape_after(layer_shape s, head_cut_options const& how, std::size_t origin) {
  std::string const layer = "layer " + std::to_string(origin) + " of " + std::to_string(s.heads) + " heads over " +
                            std::to_string(s.kv_heads) + " kv heads";
  std::int64_t const group    = s.heads / s.kv_heads;
  std::int64_t const together = how.kv_heads + (group == 1 ? how.heads : 0);
  if (together >= s.kv_heads)
    throw wrong(how.kv_heads > 0 ? "--cut-kv-heads" : "--cut-heads", "leaves " + layer + " without heads",
                std::to_string(together), "at most " + std::to_string(s.kv_heads - 1));
  s.kv_heads -= together, s.heads = s.kv_heads * group;
  if (group == 1 || how.heads == 0) return s;
  if (how.heads % s.kv_heads != 0 || how.heads >= s.heads) {
    std::string const most = std::to_string(s.heads - s.kv_heads);
    throw wrong("--cut-heads", "do not go evenly from " + layer, std::to_string(how.heads),
                "a multiple of " + std::to_string(s.kv_heads) + ", a query head of every kv head, up to " + most);
  }
  s.heads -= how.heads;
  return s;
}

struct survivors {
  std::vector<index_t> heads, kv_heads;
};

/// The best kv heads by the mean of their query heads' scores, and of each of them the best query heads.
survivors choose(std::vector<double> const& scores, layer_shape const& before, layer_shape const& after) {
  index_t const       group = before.heads / before.kv_heads, left = after.heads / after.kv_heads;
  std::vector<double> of_kv(static_cast<std::size_t>(before.kv_heads));
  for (std::size_t h = 0; h < scores.size(); ++h) of_kv[h / static_cast<std::size_t>(group)] += scores[h];
  survivors s;
  throw_if(choose_survivors(s.kv_heads, of_kv, after.kv_heads));
  for (index_t const k : s.kv_heads) {
    auto const           first = scores.begin() + static_cast<std::ptrdiff_t>(k * group);
    std::vector<index_t> best;
    throw_if(choose_survivors(best, {first, first + static_cast<std::ptrdiff_t>(group)}, left));
    for (index_t const h : best) s.heads.push_back(k * group + h);
  }
  return s;
}

}  // namespace

void check_heads(editable_model const& model, head_cut_options const& how) {
  for (std::size_t i = 0; i < model.layers(); ++i)
    if (model.has(i, layer_half::attention)) (void)shape_after(model.config().shapes[i], how, model.origin(i));
}

std::vector<head_cut> cut_heads(editable_model& model, model_opener const& open, token_texts const& texts,
                                scorer_options const& options, head_cut_options const& how) {
  check_heads(model, how);
  std::vector<head_cut> cuts;
  unit_scorer           score(how.units);
  auto const            uncut = open(model);
  stream_healer const   healer(*uncut, open, texts, options);
  layer_stream          stream(model, texts, options);
  for (std::size_t i = 0; i < model.layers(); ++i) {
    layer_shape const before = model.config().shapes[i];
    layer_shape const after  = before.heads > 0 ? shape_after(before, how, model.origin(i)) : before;
    if (after.heads < before.heads) {
      editable_model::tensor const o = model.matrix(i, "self_attn.o_proj");
      auto const                   w = dense(o.values.data(), o.shape[0], o.shape[1]);
      gram_accumulator             rows;
      stream.look(model, i, open, [&](tap_site const& s, std::vector<float>& values) {
        if (s.what == stage::attention)
          throw_if(rows.add(dense(std::as_const(values).data(), static_cast<index_t>(s.rows), o.shape[1])));
        return false;
      });
      gram_statistics const gram = rows.take();
      survivors const       kept = choose(score(w, gram, before.head_dim), before, after);
      std::vector<float>    bias = model.bias(i, "self_attn.o_proj");
      auto const moved = bias.empty() ? tensor_view<float, 1>{} : dense(bias.data(), static_cast<index_t>(bias.size()));
      fitted_columns fit = fit_columns(w, moved, gram, columns_of_units(kept.heads, before.head_dim), how.units.heal);
      model.keep_heads(i, kept.heads, kept.kv_heads, std::move(fit.values));
      if (!bias.empty()) model.set_bias(i, "self_attn.o_proj", std::move(bias));
      if (how.units.heal) healer.heal(model, i, i);
      cuts.push_back({model.origin(i), before, after, kept.heads, fit.plain, fit.fitted});
    }
    if (i + 1 < model.layers()) stream.pass(model, i, open);
  }
  return cuts;
}

}  // namespace tenon::engine
