//  What is trained as several operators and runs as one: the same numbers, but for their last digits.
#include <tenon/compress/fold_rep_vgg.hpp>
#include <tenon/compress/merge_lora.hpp>
#include <tenon/conv/conv2d_ref.hpp>
#include <tenon/core/throw_if.hpp>
#include <tenon/precision/tensor_error.hpp>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "engine/compress/fold_norms.hpp"
#include "engine/tour/seeded_values.hpp"
#include "engine/tour/stops.hpp"

namespace tenon::engine::tour {

namespace {

std::vector<double> wide(std::vector<float> const& v) { return {v.begin(), v.end()}; }

/// y (out) = w x, in double; w (out, in).
std::vector<double> product(std::vector<double> const& w, std::vector<double> const& x) {
  std::vector<double> y(w.size() / x.size());
  for (std::size_t i = 0; i < y.size(); ++i)
    for (std::size_t j = 0; j < x.size(); ++j) y[i] += w[i * x.size() + j] * x[j];
  return y;
}

std::string relative_error(std::vector<double> const& expected, std::vector<double> const& got) {
  tensor_error e;
  throw_if(e.add(std::span(expected), std::span(got)));
  return number("%.1e", e.rel_l2());
}

/// w x + scale b (a x), against the merged matrix.
std::string lora_error(editable_model const& m) {
  constexpr index_t rank  = 8;
  constexpr double  alpha = 16;
  auto const&       w     = m.matrix(0, "self_attn.q_proj");
  index_t const     out = w.shape[0], in = w.shape[1];
  auto const a = normal_values(rank * in, 1, .05), b = normal_values(out * rank, 2, .05), x = normal_values(in, 3);
  std::vector<float> merged(w.values.size());
  throw_if(merge_lora(dense(merged.data(), out, in), dense(w.values.data(), out, in), dense(a.data(), rank, in),
                      dense(b.data(), out, rank), {.alpha = alpha}));
  auto       expected = product(wide(w.values), wide(x));
  auto const added    = product(wide(b), product(wide(a), wide(x)));
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += alpha / rank * added[i];
  return relative_error(expected, product(wide(merged), wide(x)));
}

/// Three branches with a BatchNorm each, against one convolution.
std::string rep_vgg_error() {
  constexpr index_t channels = 16, size = 12;
  struct values {
    explicit values(std::uint64_t seed)
        : gamma(normal_values(channels, seed)),
          beta(normal_values(channels, seed + 1)),
          mean(normal_values(channels, seed + 2)),
          variance(normal_values(channels, seed + 3)) {
      for (float& v : variance) v = .1f + v * v;
    }
    [[nodiscard]] batch_norm<float> view() const {
      auto const of = [](std::vector<float> const& v) { return dense(v.data(), channels); };
      return {of(gamma), of(beta), of(mean), of(variance), 1e-5};
    }
    [[nodiscard]] double operator()(double x, index_t c) const {
      auto const i  = static_cast<std::size_t>(c);
      auto const at = [i](std::vector<float> const& v) { return static_cast<double>(v[i]); };
      return at(beta) + at(gamma) * (x - at(mean)) / std::sqrt(at(variance) + 1e-5);
    }
    std::vector<float> gamma, beta, mean, variance;
  };
  values const of_wide(10), of_point(20), of_itself(30);
  auto const   w = normal_values(channels * 9 * channels, 1, .2), point = normal_values(channels * channels, 2, .2);
  auto const   x = normal_values(size * size * channels, 3);
  std::vector<float> one(w.size()), bias(channels);
  rep_vgg_block<>    block;
  block.spatial   = {dense(w.data(), channels, 3, 3, channels), {}, of_wide.view()};
  block.pointwise = {dense(point.data(), channels, 1, 1, channels), {}, of_point.view()};
  block.identity  = of_itself.view();
  block.order     = conv_weight_order::ohwi;
  throw_if(fold_rep_vgg(dense(one.data(), channels, 3, 3, channels), dense(bias.data(), channels), block));

  auto const run = [&](std::vector<float> const& weights, index_t kernel) {
    std::vector<float> y(x.size());
    ref::conv2d(dense(y.data(), 1, size, size, channels), dense(x.data(), 1, size, size, channels),
                dense(weights.data(), channels, kernel, kernel, channels), {.padding = {kernel / 2, kernel / 2}});
    return wide(y);
  };
  auto const          through_wide = run(w, 3), through_point = run(point, 1);
  std::vector<double> merged = run(one, 3), expected;
  for (std::size_t i = 0; i < x.size(); ++i) {
    auto const c = static_cast<index_t>(i) % channels;
    expected.push_back(of_wide(through_wide[i], c) + of_point(through_point[i], c) +
                       of_itself(static_cast<double>(x[i]), c));
    merged[i] += static_cast<double>(bias[static_cast<std::size_t>(c)]);
  }
  return relative_error(expected, merged);
}

}  // namespace

void visit_folds(guide& g, findings& f) {
  table& t = f.add_table(figures::exact, {"what is folded", "relative error of the output"});
  t.rows.push_back({"LoRA of rank 8 into q_proj of layer 0", lora_error(g.original())});
  t.rows.push_back({"RepVGG, 3x3, 1x1 and identity with BatchNorm, into one 3x3", rep_vgg_error()});

  editable_model     m    = g.original();
  model_opener const open = g.bench().opener();
  double const       e    = fold_norms(m, open, {g.unseen().front()}, g.scoring()).fold.relative_l2;
  t.rows.push_back({"norm gains of the model, at its logits", number("%.1e", e)});
}

}  // namespace tenon::engine::tour
