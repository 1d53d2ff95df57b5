#include "engine/compress/width_cut.hpp"

#include <tenon/compress/gram.hpp>
#include <tenon/compress/least_squares.hpp>
#include <tenon/compress/width_scores.hpp>
#include <tenon/core/throw_if.hpp>

#include <cmath>
#include <utility>

#include "engine/compress/layer_stream.hpp"

namespace tenon::engine {

namespace {

/// Of layer i only `keep` neurons, by what `gram` says of its down_proj's inputs.
width_cut cut_layer(editable_model& model, std::size_t i, gram_statistics const& gram, index_t keep, bool heal) {
  editable_model::tensor const down   = model.matrix(i, "mlp.down_proj");
  index_t const                hidden = down.shape[0], width = down.shape[1];
  auto const                   w = dense(down.values.data(), hidden, width);
  std::vector<double>          scores;
  std::vector<index_t>         kept;
  throw_if(width_scores(scores, w, gram, width_score::flap));
  throw_if(choose_survivors(kept, scores, keep));

  std::vector<float> fitted(static_cast<std::size_t>(hidden * keep));
  refit_report       report;
  throw_if(refit_survivors(dense(fitted.data(), hidden, keep), {}, w, gram, kept, {.fit = heal}, &report));
  double const whole = output_error(gram, std::vector<double>(down.values.begin(), down.values.end()));
  auto const   part  = [&](double e) { return whole > 0 ? std::sqrt(e / whole) : 0; };
  model.keep_neurons(i, kept, std::move(fitted));
  return {model.origin(i), static_cast<std::size_t>(width), kept.size(), part(report.before), part(report.after)};
}

}  // namespace

std::vector<width_cut> cut_mlp_width(editable_model& model, model_opener const& open, token_texts const& texts,
                                     scorer_options const& options, double share, bool heal) {
  std::vector<width_cut> cuts;
  layer_stream           stream(model, texts, options);
  for (std::size_t i = 0; i < model.layers(); ++i) {
    index_t const width = model.config().shapes[i].intermediate;
    auto const    keep  = static_cast<index_t>(std::llround(static_cast<double>(width) * (1 - share)));
    if (keep < width) {
      gram_accumulator rows;
      stream.look(model, i, open, [&](tap_site const& s, std::vector<float>& values) {
        if (s.what == stage::gated)
          throw_if(rows.add(dense(std::as_const(values).data(), static_cast<index_t>(s.rows), width)));
        return false;
      });
      cuts.push_back(cut_layer(model, i, rows.take(), keep, heal));
    }
    if (i + 1 < model.layers()) stream.pass(model, i, open);
  }
  return cuts;
}

}  // namespace tenon::engine
