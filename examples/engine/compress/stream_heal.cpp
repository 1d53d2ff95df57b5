#include "engine/compress/stream_heal.hpp"

#include <tenon/compress/gram.hpp>
#include <tenon/compress/least_squares.hpp>
#include <tenon/core/throw_if.hpp>

#include <optional>
#include <utility>
#include <vector>

namespace tenon::engine {

namespace {

/// The half that ends the stream in front of a gap, whose last matrix can be fitted.
struct seam {
  std::size_t layer;
  stage       inputs;  // of the matrix
  char const* matrix;
};
/// The last one in layers 0 to `last`.
std::optional<seam> seam_up_to(editable_model const& model, std::size_t last) {
  if (model.config().norms_after) return {};
  for (std::size_t i = last + 1; i-- > 0;) {
    if (model.has(i, layer_half::mlp)) return seam{i, stage::gated, "mlp.down_proj"};
    if (model.has(i, layer_half::attention)) return seam{i, stage::attention, "self_attn.o_proj"};
  }
  return {};
}

}  // namespace

bool stream_healer::heal(editable_model& model, std::size_t last, std::size_t origin) const {
  auto const at = seam_up_to(model, last);
  if (!at) return false;
  auto const               cut  = open_(model);
  std::vector<float> const bias = model.bias(at->layer, at->matrix);
  std::vector<float>       target, inputs, stream, before;  // before: the stream that the seam adds to
  index_t                  width = 0;
  gram_accumulator         gram;
  cross_accumulator        cross;
  {
    stage_reader const uncut(uncut_, [&](tap_site const& s, std::vector<float>& values) {
      if (s.layer == static_cast<int>(origin) && is_stream(s.what)) target = values;
      return false;
    });
    stage_reader const look(*cut, [&](tap_site const& s, std::vector<float>& values) {
      if (s.layer == static_cast<int>(at->layer) && s.what == at->inputs)
        inputs = values, before = stream, width = static_cast<index_t>(s.width);
      if (is_stream(s.what)) stream = values;
      return false;
    });
    each_step(texts_, options_, [&](step_batch const& step, bool) {
      uncut_.forward(step), cut->forward(step);
      auto const n = static_cast<index_t>(step.ids.size()), hidden = static_cast<index_t>(model.config().hidden);
      for (std::size_t i = 0; i < target.size(); ++i)
        target[i] -= before[i] + (bias.empty() ? 0.f : bias[i % bias.size()]);
      auto const a = dense(std::as_const(inputs).data(), n, width);
      throw_if(gram.add(a));
      throw_if(cross.add(a, dense(std::as_const(target).data(), n, hidden)));
    });
  }
  editable_model::tensor const& w = model.matrix(at->layer, at->matrix);
  std::vector<float>            fitted(w.values.size());
  throw_if(refit(dense(fitted.data(), w.shape[0], w.shape[1]), dense(w.values.data(), w.shape[0], w.shape[1]),
                 gram.take(), cross.take()));
  model.set_matrix(at->layer, at->matrix, std::move(fitted));
  return true;
}

}  // namespace tenon::engine
