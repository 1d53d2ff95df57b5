#include "engine/compress/head_cut.hpp"

#include <tenon/compress/gram.hpp>
#include <tenon/compress/least_squares.hpp>
#include <tenon/compress/width_scores.hpp>
#include <tenon/core/throw_if.hpp>

#include <cmath>
#include <random>
#include <string>
#include <utility>

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

/// Of the inputs of layer i's o_proj.
gram_statistics attended(editable_model const& model, std::size_t i, model_opener const& open, token_texts const& texts,
                         scorer_options const& options) {
  gram_accumulator   rows;
  auto const         now = open(model);
  stage_reader const look(*now, [&](tap_site const& s, std::vector<float>& values) {
    if (s.layer == static_cast<int>(i) && s.what == stage::attention)
      throw_if(
          rows.add(dense(std::as_const(values).data(), static_cast<index_t>(s.rows), static_cast<index_t>(s.width))));
    return false;
  });
  each_step(texts, options, [&](step_batch const& step, bool) { now->forward(step); });
  return rows.take();
}

}  // namespace

void check_heads(editable_model const& model, head_cut_options const& how) {
  for (std::size_t i = 0; i < model.layers(); ++i)
    if (model.has(i, layer_half::attention)) (void)shape_after(model.config().shapes[i], how, model.origin(i));
}

std::vector<head_cut> cut_heads(editable_model& model, model_opener const& open, token_texts const& texts,
                                scorer_options const& options, head_cut_options const& how) {
  std::vector<head_cut> cuts;
  std::mt19937_64       draw(how.seed);
  auto const            uncut = open(model);
  stream_healer const   healer(*uncut, open, texts, options);
  check_heads(model, how);
  for (std::size_t i = 0; i < model.layers(); ++i) {
    if (!model.has(i, layer_half::attention)) continue;
    head_cut cut;
    cut.layer = model.origin(i), cut.before = model.config().shapes[i];
    cut.after = shape_after(cut.before, how, cut.layer);
    if (cut.after.heads == cut.before.heads) continue;

    editable_model::tensor const& o      = model.matrix(i, "self_attn.o_proj");
    index_t const                 hidden = o.shape[0], width = o.shape[1], dim = cut.before.head_dim;
    gram_statistics const         gram = attended(model, i, open, texts, options);
    auto const                    w    = dense(o.values.data(), hidden, width);
    std::vector<double>           scores;
    throw_if(width_scores(scores, w, gram, width_score::flap, dim));
    if (how.choice == head_choice::random)
      for (double& s : scores) s = static_cast<double>(draw() >> 11);
    survivors const            kept    = choose(scores, cut.before, cut.after);
    std::vector<index_t> const columns = columns_of_units(kept.heads, dim);

    std::vector<float> fitted(static_cast<std::size_t>(hidden) * columns.size());
    std::vector<float> bias = model.bias(i, "self_attn.o_proj");
    auto const         moved =
        how.heal && !bias.empty() ? dense(bias.data(), hidden) : tensor_view<float, 1>{};  // takes what is constant
    refit_report report;
    throw_if(refit_survivors(dense(fitted.data(), hidden, static_cast<index_t>(columns.size())), moved, w, gram,
                             columns, {.fit = how.heal}, &report));
    double const whole = output_error(gram, std::vector<double>(o.values.begin(), o.values.end()));
    auto const   part  = [&](double e) { return whole > 0 ? std::sqrt(e / whole) : 0; };
    cut.plain = part(report.before), cut.fitted = part(report.after), cut.kept = kept.heads;
    model.keep_heads(i, kept.heads, kept.kv_heads, std::move(fitted));
    if (moved.data) model.set_values("model.layers." + std::to_string(i) + ".self_attn.o_proj.bias", std::move(bias));
    if (how.heal) healer.heal(model, i, i);
    cuts.push_back(std::move(cut));
  }
  return cuts;
}

}  // namespace tenon::engine
