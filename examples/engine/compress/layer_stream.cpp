#include "engine/compress/layer_stream.hpp"

#include <algorithm>
#include <utility>

namespace tenon::engine {

layer_stream::layer_stream(editable_model const& model, token_texts const& texts, scorer_options const& options)
    : options_(options) {
  for (auto const& ids : texts) {
    auto const rows = model.embedded(ids);
    stream_.insert(stream_.end(), rows.begin(), rows.end());
    texts_.emplace_back(ids.size());
  }
}

void layer_stream::look(editable_model const& model, std::size_t i, model_opener const& open, tap const& see) {
  run(model, i, open, see, false);
}
void layer_stream::pass(editable_model const& model, std::size_t i, model_opener const& open, tap const& see) {
  run(model, i, open, see, true);
}

void layer_stream::run(editable_model const& model, std::size_t i, model_opener const& open, tap const& see,
                       bool pass) {
  editable_model const one   = model.alone(i);
  auto const           layer = open(one);
  std::ptrdiff_t       at    = 0;  // of the stream
  std::vector<float>   behind;
  stage_reader const   tapped(*layer, [&](tap_site const& s, std::vector<float>& values) {
    bool changed = s.what == stage::embedding;
    if (changed) std::copy_n(stream_.begin() + at, values.size(), values.begin());
    else if (see) changed = see(s, values);
    if (pass && is_stream(s.what)) behind = values;
    return changed;
  });
  each_step(texts_, options_, [&](step_batch const& step, bool) {
    step_batch silent = step;
    silent.logit_rows.clear();
    layer->forward(silent);
    if (pass) std::copy(behind.begin(), behind.end(), stream_.begin() + at);
    at += static_cast<std::ptrdiff_t>(step.ids.size()) * static_cast<std::ptrdiff_t>(model.config().hidden);
  });
}

}  // namespace tenon::engine
