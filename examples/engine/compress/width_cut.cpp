#include "engine/compress/width_cut.hpp"

#include <tenon/compress/gram.hpp>
#include <tenon/compress/width_scores.hpp>
#include <tenon/core/throw_if.hpp>

#include <cmath>
#include <utility>

#include "engine/compress/layer_stream.hpp"

namespace tenon::engine {

std::vector<width_cut> cut_mlp_width(editable_model& model, model_opener const& open, token_texts const& texts,
                                     scorer_options const& options, double share, unit_options const& how) {
  std::vector<width_cut> cuts;
  unit_scorer            score(how);
  layer_stream           stream(model, texts, options);
  for (std::size_t i = 0; i < model.layers(); ++i) {
    index_t const width = model.config().shapes[i].intermediate;
    auto const    keep  = static_cast<index_t>(std::llround(static_cast<double>(width) * (1 - share)));
    if (keep < width) {
      editable_model::tensor const down = model.matrix(i, "mlp.down_proj");
      auto const                   w    = dense(down.values.data(), down.shape[0], down.shape[1]);
      gram_accumulator             rows;
      stream.look(model, i, open, [&](tap_site const& s, std::vector<float>& values) {
        if (s.what == stage::gated)
          throw_if(rows.add(dense(std::as_const(values).data(), static_cast<index_t>(s.rows), width)));
        return false;
      });
      gram_statistics const gram = rows.take();
      std::vector<index_t>  kept;
      throw_if(choose_survivors(kept, score(w, gram, 1), keep));
      fitted_columns fit = fit_columns(w, {}, gram, kept, how.heal);
      model.keep_neurons(i, kept, std::move(fit.values));
      cuts.push_back({model.origin(i), static_cast<std::size_t>(width), kept.size(), fit.plain, fit.fitted});
    }
    if (i + 1 < model.layers()) stream.pass(model, i, open);
  }
  return cuts;
}

}  // namespace tenon::engine
