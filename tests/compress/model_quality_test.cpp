// A whole model with its linear layers in int4: what each method leaves of it.
#include <tenon/compress/awq.hpp>
#include <tenon/compress/gptq.hpp>
#include <tenon/compress/smooth_quant.hpp>

#include "../support/shared_data.hpp"
#include "calibration_data.hpp"
#include "small_llama.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace {

using tenon::as_const, tenon::dense, tenon::index_t, tenon::quantized_weight;
using test::expect_ok, test::linear_input, test::linear_layer, test::small_llama;
using rows_of_floats = std::vector<float>;

constexpr auto method = tenon::weight_scale_method::searched;

void walk_on(std::size_t, linear_input, rows_of_floats&) {}

std::vector<linear_layer*> readers(small_llama::layer& l, linear_input input) {
  switch (input) {
    case linear_input::attention: return {&l.q, &l.k, &l.v};
    case linear_input::output: return {&l.o};
    case linear_input::mlp: return {&l.gate, &l.up};
    case linear_input::down: return {&l.down};
  }
  return {};
}

/// The model with `change(weights, gram)` called on every linear layer, on inputs that earlier changes have passed
/// through.
template <class Change>
small_llama changed(small_llama m, std::vector<std::vector<int>> const& texts, Change&& change) {
  forward(m, texts, [&](std::size_t number, linear_input input, rows_of_floats& x) {
    auto const all  = readers(m.layers[number], input);
    auto const gram = test::gram_of(x, all[0]->columns);
    for (auto* l : all) change(*l, gram);
  });
  return m;
}

/// AWQ's factors, moved into norms and up projections: the same model in other numbers.
small_llama scaled(small_llama m, std::vector<std::vector<int>> const& texts, tenon::weight_format const& format) {
  forward(m, texts, [&](std::size_t number, linear_input input, rows_of_floats& x) {
    auto& l = m.layers[number];
    if (input == linear_input::output) return;  // eight heads read four heads' values
    auto const                                      all = readers(l, input);
    std::vector<tenon::tensor_view<float const, 2>> weights;
    std::vector<float>                              factors;
    for (auto const* r : all) weights.push_back(r->view());
    expect_ok(tenon::awq_factors(factors, weights, test::gram_of(x, all[0]->columns), format, {.method = method}));
    auto const n = static_cast<index_t>(factors.size());
    auto const s = dense(static_cast<float const*>(factors.data()), n);
    for (auto* r : all) expect_ok(tenon::scale_channels(r->view(), s));
    if (input == linear_input::down)
      expect_ok(tenon::scale_channels(
          tenon::tensor_view<float, 2>{l.up.w.data(), {l.up.columns, l.up.rows}, {1, l.up.columns}}, s, true));
    else
      expect_ok(tenon::scale_channels(dense((input == linear_input::mlp ? l.mlp_gain : l.attention_gain).data(), 1, n),
                                      s, true));
    expect_ok(tenon::scale_channels(dense(x.data(), static_cast<index_t>(x.size()) / n, n), s, true));
  });
  return m;
}

TEST(model_quality, gptq_before_awq_before_rounding_to_nearest) {
  auto const folder = test::shared_data();
  if (folder.empty()) GTEST_SKIP() << test::no_shared_data;
  auto       original = test::read_llama2c(folder / "models/stories260K/stories260K.bin");
  auto const texts    = test::read_ids(folder / "golden/stories260K_nll.json");
  ASSERT_EQ(texts.size(), 32u);
  // The beginnings of many texts say more than all of a few, and cost less.
  auto const beginnings = [&](std::size_t first, std::size_t end, std::size_t length) {
    std::vector<std::vector<int>> some(texts.begin() + static_cast<std::ptrdiff_t>(first),
                                       texts.begin() + static_cast<std::ptrdiff_t>(end));
    for (auto& text : some) text.resize(std::min(text.size(), length));
    return some;
  };
  auto const seen = beginnings(16, 32, 64), fresh = beginnings(0, 6, 64);

  // The golden file's figure: so this is the model that it should be.
  auto const whole = forward(original, {texts[0]}, walk_on);
  EXPECT_NEAR(test::mean_nll(whole, texts[0], original.vocabulary), 392.502363 / 319, 2e-4);

  auto const reference  = forward(original, fresh, walk_on);
  auto const divergence = [&](small_llama m) {
    return test::compare(reference, forward(m, fresh, walk_on), fresh, m.vocabulary);
  };

  tenon::weight_format const format{tenon::weight_code::int4, 32};
  auto const                 nearest = [&](linear_layer& l, tenon::gram_statistics const&) {
    quantized_weight q;
    expect_ok(tenon::quantize_weight(q, l.view(), format, {.method = method}));
    l.w = q.dequantized();
  };
  auto const clipped = [&](linear_layer& l, tenon::gram_statistics const& gram) {
    expect_ok(tenon::awq_clip(l.view(), gram, format, {.method = method}));
    nearest(l, gram);
  };
  auto const moved = [&](linear_layer& l, tenon::gram_statistics const& gram) {
    quantized_weight q;
    expect_ok(tenon::gptq(q, as_const(l.view()), gram, format));
    l.w = q.dequantized();
  };
  auto const factors = scaled(original, seen, format);
  EXPECT_LT(divergence(factors).mean_kl(), 1e-6);  // the same model
  auto const rtn = divergence(changed(original, {}, nearest)), awq = divergence(changed(factors, seen, clipped)),
             gptq   = divergence(changed(original, seen, moved));
  auto const record = [](std::string const& name, tenon::logits_error const& e) {
    RecordProperty(name, std::to_string(e.mean_kl()) + ", top-1 " + std::to_string(e.top1_agreement()));
  };
  record("nearest", rtn), record("awq_and_clip", awq), record("gptq", gptq);
  EXPECT_LT(awq.mean_kl(), rtn.mean_kl());
  EXPECT_LT(gptq.mean_kl(), awq.mean_kl());
  EXPECT_LT(gptq.mean_kl(), 0.068 * 1.2);  // a few texts are a few texts
  EXPECT_GT(gptq.top1_agreement(), 0.85);
}

}  // namespace
