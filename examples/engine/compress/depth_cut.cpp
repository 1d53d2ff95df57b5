#include "engine/compress/depth_cut.hpp"

#include <tenon/compress/gram.hpp>
#include <tenon/compress/least_squares.hpp>
#include <tenon/core/throw_if.hpp>
#include <tenon/precision/logits_error.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <utility>

#include "engine/error.hpp"

namespace tenon::engine {

namespace {

using rows = std::vector<float>;

double cosine(float const* a, float const* b, std::size_t n) {
  double aa = 0, bb = 0, ab = 0;
  for (std::size_t i = 0; i < n; ++i) {
    double const x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    aa += x * x, bb += y * y, ab += x * y;
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

/// The part that ends in front of the gap: where a matrix can be fitted.
struct seam {
  std::size_t layer;
  layer_half  half;
};
std::optional<seam> seam_before(editable_model const& model, std::size_t gap) {
  for (std::size_t i = std::min(gap + 1, model.layers()); i-- > 0;)
    for (layer_half const half : {layer_half::mlp, layer_half::attention})
      if (model.has(i, half)) return seam{i, half};
  return {};
}

}  // namespace

depth_cutter::depth_cutter(editable_model const& uncut, model_opener open, token_texts texts,
                           scorer_options const& options, bool heal)
    : open_(std::move(open)), reference_(open_(uncut)), texts_(std::move(texts)), options_(options), heal_(heal) {
  std::size_t tokens = 0;
  for (auto const& ids : texts_) tokens += ids.size();
  if (tokens > (std::size_t{1} << 28) / static_cast<std::size_t>(uncut.config().vocab_size)) return;
  for (auto const& ids : texts_)
    visit_logits(*reference_, ids, options_,
                 [&](std::size_t, std::span<float const> l) { expected_.insert(expected_.end(), l.begin(), l.end()); });
}

layer_influence depth_cutter::influence() const {
  layer_influence     r;
  std::vector<double> cosines, angles;
  std::size_t         tokens = 0;
  std::vector<rows>   streams;
  std::size_t         width = 0;
  stage_reader        reader(*reference_, [&](tap_site const& s, rows& values) {
    std::string_view const name = s.name;
    if (name == "embedding") streams.assign(1, values), width = s.width;
    if (name == "attention_residual" || name == "mlp_residual") {
      if (streams.size() < static_cast<std::size_t>(s.layer) + 2) streams.push_back(values);
      else streams.back() = values;
    }
    return false;
  });
  each_step(texts_, options_, [&](step_batch const& step, bool last) {
    reader.feed(step);
    std::size_t const n = step.ids.size();
    cosines.resize(streams.size() - 1), angles.resize(streams.size() - 1);
    for (std::size_t i = 0; i + 1 < streams.size(); ++i) {
      for (std::size_t t = 0; t < n; ++t)
        cosines[i] += cosine(&streams[i][t * width], &streams[i + 1][t * width], width);
      if (last)
        angles[i] += std::acos(std::clamp(cosine(&streams[i][(n - 1) * width], &streams[i + 1][(n - 1) * width], width),
                                          -1., 1.)) /
                     std::numbers::pi;
    }
    tokens += n;
  });
  for (double const c : cosines) r.block_influence.push_back(1 - c / static_cast<double>(tokens));
  for (double const a : angles) r.angular_distance.push_back(a / static_cast<double>(texts_.size()));
  return r;
}

double depth_cutter::divergence(editable_model const& model) const {
  auto const   tested = open_(model);
  logits_error error;
  std::size_t  at = 0;
  for (auto const& ids : texts_) {
    std::vector<float> again;
    if (expected_.empty())
      visit_logits(*reference_, ids, options_,
                   [&](std::size_t, std::span<float const> l) { again.insert(again.end(), l.begin(), l.end()); });
    std::span<float const> const expected = expected_.empty() ? again : expected_;
    if (expected_.empty()) at = 0;
    visit_logits(*tested, ids, options_, [&](std::size_t, std::span<float const> l) {
      throw_if(error.add(expected.subspan(at, l.size()), l));
      at += l.size();
    });
  }
  return error.broken() > 0 ? std::numeric_limits<double>::infinity() : error.mean_kl();
}

/// Fits the seam in front of layer `gap` of the cut model, whose stream there was the one behind layer `origin` of the uncut one.
bool depth_cutter::heal(editable_model& model, std::size_t gap, std::size_t origin) const {
  auto const at = seam_before(model, gap);
  if (!at) return false;
  auto const  cut         = open_(model);
  bool const  after_mlp   = at->half == layer_half::mlp;
  char const* inputs_name = after_mlp ? "gated" : "attention";
  rows inputs, stream, before;  // of the seam: what its matrix gets, the stream so far, that in front of the seam
  std::size_t       width = 0;
  rows              target;
  gram_accumulator  gram;
  cross_accumulator cross;
  {
    stage_reader uncut(*reference_, [&](tap_site const& s, rows& values) {
      std::string_view const name = s.name;
      if (s.layer == static_cast<int>(origin) && (name == "attention_residual" || name == "mlp_residual"))
        target = values;
      return false;
    });
    stage_reader reader(*cut, [&](tap_site const& s, rows& values) {
      std::string_view const name = s.name;
      if (s.layer == static_cast<int>(at->layer) && name == inputs_name)
        inputs = values, before = stream, width = s.width;
      if (name == "embedding" || name == "attention_residual" || name == "mlp_residual") stream = values;
      return false;
    });
    each_step(texts_, options_, [&](step_batch const& step, bool) {
      uncut.feed(step), reader.feed(step);
      auto const n = static_cast<index_t>(step.ids.size()), hidden = static_cast<index_t>(model.config().hidden);
      for (std::size_t i = 0; i < target.size(); ++i) target[i] -= before[i];
      auto const a = dense(std::as_const(inputs).data(), n, static_cast<index_t>(width));
      throw_if(gram.add(a));
      throw_if(cross.add(a, dense(std::as_const(target).data(), n, hidden)));
    });
  }
  editable_model::tensor& w          = model.last_matrix(at->layer, at->half);
  auto const              view       = dense(w.values.data(), w.shape[0], w.shape[1]);
  auto const              rows_gram  = gram.take();
  auto const              rows_cross = cross.take();
  throw_if(refit(view, as_const(view), rows_gram, rows_cross));
  return true;
}

cut_step depth_cutter::cut(editable_model& model, cut_kind kind) const {
  cut_step       step{kind, 0, {}};
  editable_model best  = model;
  double         least = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < model.layers(); ++i) {
    bool const may = kind == cut_kind::layer       ? model.layers() > 1
                     : kind == cut_kind::attention ? model.has(i, layer_half::attention)
                                                   : model.has(i, layer_half::mlp);
    if (!may) continue;
    editable_model candidate = model;
    // Behind a layer that goes, the stream is the one behind the layer in front.
    if (kind == cut_kind::layer) candidate.drop_layer(i);
    else candidate.drop_half(i, kind == cut_kind::attention ? layer_half::attention : layer_half::mlp);
    cut_candidate c;
    c.layer = model.origin(i);
    c.plain = c.healed      = divergence(candidate);
    editable_model fitted   = candidate;
    bool const     in_front = kind != cut_kind::layer || i > 0;
    if (heal_ && in_front && heal(fitted, kind == cut_kind::layer ? i - 1 : i, model.origin(i))) {
      c.can_heal = true;
      c.healed   = divergence(fitted);
      if (c.healed < c.plain) candidate = std::move(fitted);
    }
    step.candidates.push_back(c);
    if (c.cost() < least) least = c.cost(), best = std::move(candidate), step.layer = c.layer;
  }
  if (!(least < std::numeric_limits<double>::infinity()))
    throw wrong(kind == cut_kind::layer       ? "--drop-layers"
                : kind == cut_kind::attention ? "--drop-attention"
                                              : "--drop-mlp",
                "leaves nothing to drop", std::to_string(model.layers()) + " layers", "at least one that may go");
  model = std::move(best);
  return step;
}

}  // namespace tenon::engine
