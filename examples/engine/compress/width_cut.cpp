#include "engine/compress/width_cut.hpp"

#include <tenon/compress/gram.hpp>
#include <tenon/compress/least_squares.hpp>
#include <tenon/compress/width_scores.hpp>
#include <tenon/core/throw_if.hpp>

#include <cmath>
#include <utility>

namespace tenon::engine {

std::vector<width_cut> cut_mlp_width(editable_model& model, model_opener const& open, token_texts const& texts,
                                     scorer_options const& options, double share, bool heal) {
  std::vector<width_cut> cuts;
  for (std::size_t i = 0; i < model.layers(); ++i) {
    if (!model.has(i, layer_half::mlp)) continue;
    editable_model::tensor const& down  = model.matrix(i, "mlp.down_proj");
    index_t const                 width = down.shape[1], hidden = down.shape[0];
    auto const                    keep = static_cast<index_t>(std::llround(static_cast<double>(width) * (1 - share)));
    if (keep == width) continue;

    gram_accumulator rows;
    {
      auto const         cut = open(model);
      stage_reader const look(*cut, [&](tap_site const& s, std::vector<float>& values) {
        if (s.layer == static_cast<int>(i) && s.what == stage::gated)
          throw_if(rows.add(dense(std::as_const(values).data(), static_cast<index_t>(s.rows), width)));
        return false;
      });
      each_step(texts, options, [&](step_batch const& step, bool) { cut->forward(step); });
    }
    gram_statistics const gram = rows.take();
    auto const            w    = dense(down.values.data(), hidden, width);
    std::vector<double>   scores;
    std::vector<index_t>  kept;
    throw_if(width_scores(scores, w, gram, width_score::flap));
    throw_if(choose_survivors(kept, scores, keep));

    std::vector<float> fitted(static_cast<std::size_t>(hidden * keep));
    refit_report       report;
    throw_if(refit_survivors(dense(fitted.data(), hidden, keep), {}, w, gram, kept, {.fit = heal}, &report));
    double const whole = output_error(gram, std::vector<double>(down.values.begin(), down.values.end()));
    auto const   part  = [&](double e) { return whole > 0 ? std::sqrt(e / whole) : 0; };
    cuts.push_back(
        {model.origin(i), static_cast<std::size_t>(width), kept.size(), part(report.before), part(report.after)});
    model.keep_neurons(i, kept, std::move(fitted));
  }
  return cuts;
}

}  // namespace tenon::engine
