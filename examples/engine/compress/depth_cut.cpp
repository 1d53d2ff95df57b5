#include "engine/compress/depth_cut.hpp"

#include <tenon/core/throw_if.hpp>
#include <tenon/precision/logits_error.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "engine/compress/stream_heal.hpp"
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

constexpr std::size_t most_logits = std::size_t{1} << 28;  // a gigabyte

}  // namespace

depth_cutter::depth_cutter(editable_model const& uncut, model_opener open, token_texts texts,
                           scorer_options const& options, bool heal)
    : open_(std::move(open)), reference_(open_(uncut)), texts_(std::move(texts)), options_(options), heal_(heal) {
  std::size_t tokens = 0;
  for (auto const& ids : texts_) tokens += ids.size();
  if (tokens > most_logits / static_cast<std::size_t>(uncut.config().vocab_size)) return;
  for (auto const& ids : texts_) expected_.push_back(reference_logits(ids));
}

std::vector<float> depth_cutter::reference_logits(std::vector<std::int32_t> const& ids) const {
  std::vector<float> all;
  visit_logits(*reference_, ids, options_,
               [&](std::size_t, std::span<float const> l) { all.insert(all.end(), l.begin(), l.end()); });
  return all;
}

layer_influence depth_cutter::influence() const {
  layer_influence     r;
  std::vector<double> cosines, angles;
  std::size_t         tokens = 0;
  std::vector<rows>   streams;
  std::size_t         width = 0;
  stage_reader const  look(*reference_, [&](tap_site const& s, rows& values) {
    if (!is_stream(s.what)) return false;
    if (s.what == stage::embedding) streams.clear(), width = s.width;
    streams.resize(static_cast<std::size_t>(s.layer + 2));  // [0] is the embedding
    streams.back() = values;
    return false;
  });
  each_step(texts_, options_, [&](step_batch const& step, bool last) {
    reference_->forward(step);
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
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    rows const  again    = expected_.empty() ? reference_logits(texts_[i]) : rows{};
    rows const& expected = expected_.empty() ? again : expected_[i];
    visit_logits(*tested, texts_[i], options_, [&](std::size_t at, std::span<float const> l) {
      throw_if(error.add(std::span(expected).subspan(at * l.size(), l.size()), l));
    });
  }
  return error.broken() > 0 ? std::numeric_limits<double>::infinity() : error.mean_kl();
}

cut_step depth_cutter::cut(editable_model& model, cut_kind kind) const {
  cut_step            step{kind, 0, {}};
  stream_healer const healer(*reference_, open_, texts_, options_);
  editable_model      best  = model;
  double              least = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < model.layers(); ++i) {
    bool const may = kind == cut_kind::layer       ? model.layers() > 1
                     : kind == cut_kind::attention ? model.has(i, layer_half::attention)
                                                   : model.has(i, layer_half::mlp);
    if (!may) continue;
    editable_model candidate = model;
    if (kind == cut_kind::layer) candidate.drop_layer(i);
    else candidate.drop_half(i, kind == cut_kind::attention ? layer_half::attention : layer_half::mlp);
    cut_candidate c;
    c.layer               = model.origin(i);
    c.plain               = divergence(candidate);
    editable_model fitted = candidate;
    bool const     in_front =
        kind != cut_kind::layer || i > 0;  // there is a layer in front of the gap, or what is left of this one
    if (heal_ && in_front && healer.heal(fitted, kind == cut_kind::layer ? i - 1 : i, model.origin(i))) {
      c.healed = divergence(fitted);
      if (*c.healed < c.plain) candidate = std::move(fitted);
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
