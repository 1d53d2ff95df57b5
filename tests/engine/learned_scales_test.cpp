//  tenon compress --scales learned: scales that training left are used bit for bit, and what they cannot be is refused.
#include <engine/files/safetensors.hpp>
#include <tenon/core/numeric.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "compressed.hpp"
#include "program.hpp"
#include "random_model.hpp"

namespace {

using nlohmann::json;
using tenon::engine::dtype;
using test::elements, test::generated, test::model, test::run_program, test::scratch_folder, test::plain_llama;

template <class T>
model::stored stored(dtype type, std::vector<std::int64_t> shape, std::vector<T> const& values) {
  auto const bytes = std::as_bytes(std::span(values));
  return {type, std::move(shape), {bytes.begin(), bytes.end()}};
}

/// A small model all of whose matrices are codes times scales, with the scales beside them: what training ended with.
struct trained_model {
  model                                     m{plain_llama};
  std::map<std::string, std::vector<int>>   codes;
  std::map<std::string, std::vector<float>> scales;

  /// A scale for `group` columns of a row; 0: for a row, -1: for all.
  explicit trained_model(int highest, int group = 0) {
    std::mt19937 engine(5);
    for (std::string const& name : m.modules()) {
      auto const [rows, columns] = m.extents(name);
      int const width            = group < 0 ? rows * columns : group == 0 ? columns : group;
      int const in_row = (columns + width - 1) / width, count = group < 0 ? 1 : rows * in_row;
      for (int i = 0; i < count; ++i)
        scales[name].push_back((.5f + static_cast<float>(engine() % 100) * .01f) / (4 * static_cast<float>(highest)));
      std::vector<float>& w = m.values(name + ".weight");
      for (std::size_t i = 0; i < w.size(); ++i) {
        int const code = static_cast<int>(engine() % static_cast<unsigned>(2 * highest + 2)) - highest - 1;
        codes[name].push_back(code);
        int const at = static_cast<int>(i), cell = group < 0 ? 0 : at / columns * in_row + at % columns / width;
        w[i] = scales[name][static_cast<std::size_t>(cell)] * static_cast<float>(code);
      }
      std::vector<std::int64_t> const shape =
          group < 0 ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{rows, count / rows};
      m.stored_tensors()[name + ".weight_scale"] = stored(dtype::f32, shape, scales[name]);
    }
  }
};

struct result {
  int         status = 0;
  json        report;
  std::string out, err;
};
result compress(scratch_folder const& in, std::vector<std::string> more, bool text = false) {
  std::vector<std::string> all = {"compress", "--model", in.path().string(), "--out", (in / "out").string()};
  if (!text) all.insert(all.end(), {"--output", "json"});
  all.insert(all.end(), more.begin(), more.end());
  auto const r = run_program(all);
  return {r.status, r.status == 0 && !text ? json::parse(r.out) : json(), r.out, r.err};
}

// Codes and scales of the file come back bit for bit, and the model says what it said.
TEST(learned_scales, codes_are_read_off) {
  for (int const group : {-1, 0, 8, 16}) {  // 16: rows of 24 and 40 end with half a group
    SCOPED_TRACE(group);
    scratch_folder      in;
    trained_model const t(127, group);
    t.m.save(in);
    auto const r = compress(in, {"--quantize", "w8a16", "--scales", "learned"});
    ASSERT_EQ(r.status, 0) << r.err;
    json const& j = r.report["learned_scales"];
    ASSERT_EQ(j["modules"].size(), 14u);
    for (json const& m : j["modules"]) {
      EXPECT_EQ(m["on_grid"], 1.0);
      EXPECT_EQ(m["fixed_inputs"], false);
    }
    EXPECT_EQ(r.report["calibration_texts"], 0);
    tenon::engine::checkpoint const out(in / "out");
    for (auto const& [name, codes] : t.codes) {
      auto const got = elements<std::int8_t>(out, name + ".weight");
      ASSERT_EQ(got.size(), codes.size());
      for (std::size_t i = 0; i < codes.size(); ++i) ASSERT_EQ(got[i], codes[i]) << name;
      auto const written = elements<float>(out, name + ".weight_scale");
      for (std::size_t i = 0; i < written.size(); ++i)
        ASSERT_EQ(written[i], t.scales.at(name)[group < 0 ? 0 : i]) << name;
    }
    EXPECT_EQ(generated((in / "out").string()), generated(in.path().string()));
  }
}

// int4 in groups, from weights that were stored in 16 bits: the codes are those before that rounding.
TEST(learned_scales, four_bits_from_bf16) {
  scratch_folder in;
  trained_model  t(7, 8);
  for (std::string const& name : t.m.modules()) {
    auto const [rows, columns] = t.m.extents(name);
    std::vector<tenon::bf16> narrow;
    for (float const v : t.m.weight(name)) narrow.emplace_back(v);
    std::map<std::string, model::stored> tensors;
    tensors["weight"] = stored(dtype::bf16, {rows, columns}, narrow);
    t.m.replace(name, t.m.weight(name), std::move(tensors));
  }
  t.m.save(in);
  auto const r = compress(in, {"--quantize", "w4a16", "--scales", "learned"}, true);
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("14 matrices in w4a16 (int4, groups of 8) with the scales of the checkpoint, 0 of them"),
            std::string::npos)
      << r.out;
  EXPECT_NE(r.out.find("100.00 % at least"), std::string::npos) << r.out;
  tenon::engine::checkpoint const out(in / "out");
  for (auto const& [name, codes] : t.codes) {
    auto const words = elements<std::uint32_t>(out, name + ".weight_packed");  // eight to a word, plus 8
    ASSERT_EQ(words.size() * 8, codes.size());
    for (std::size_t i = 0; i < codes.size(); ++i)
      ASSERT_EQ(static_cast<int>(words[i / 8] >> (4 * (i % 8)) & 15) - 8, codes[i]) << name;
  }
  EXPECT_EQ(generated((in / "out").string()).size(), 8u);
}

// ModelOpt's names: largest magnitudes, of weights and inputs; other quantizers are named and left out.
TEST(learned_scales, largest_magnitudes) {
  scratch_folder in;
  trained_model  t(127);
  auto&          beside = t.m.stored_tensors();
  beside.clear();
  for (auto const& [name, scales] : t.scales) {
    std::vector<float> amax;
    for (float const s : scales) amax.push_back(127 * s);
    beside[name + ".weight_quantizer._amax"] = stored(dtype::f32, {static_cast<std::int64_t>(amax.size()), 1}, amax);
    beside[name + ".input_quantizer._amax"]  = stored(dtype::f32, {}, std::vector<float>{3.5f});
  }
  std::string const first                         = "model.layers.0.self_attn.";
  beside[first + "q_proj.output_quantizer._amax"] = stored(dtype::f32, {}, std::vector<float>{9});
  beside[first + "k_scale"]                       = stored(dtype::f32, {}, std::vector<float>{.25f});
  beside[first + "v_scale"]                       = stored(dtype::f32, {}, std::vector<float>{.5f});
  std::string const second                        = "model.layers.1.self_attn.";
  beside[second + "k_proj.k_scale"]               = stored(dtype::f32, {1}, std::vector<float>{.125f});
  beside[second + "v_proj.v_scale"]               = stored(dtype::f32, {1}, std::vector<float>{.75f});
  t.m.save(in);
  auto const r = compress(in, {"--quantize", "w8a8", "--scales", "learned"});
  ASSERT_EQ(r.status, 0) << r.err;
  json const& j = r.report["learned_scales"];
  for (json const& m : j["modules"]) {
    EXPECT_EQ(m["on_grid"], 1.0) << "127 s / 127 may be the next float, a step off by 1e-5";
    EXPECT_EQ(m["fixed_inputs"], true);
  }
  EXPECT_EQ(j["ignored"], json({first + "q_proj.output_quantizer._amax"}));
  EXPECT_EQ(j["cache_layers"], 2);
  tenon::engine::checkpoint const out(in / "out");
  for (auto const& [name, codes] : t.codes) {
    EXPECT_EQ(elements<float>(out, name + ".input_scale"), (std::vector<float>{3.5f / 127}));
    EXPECT_EQ(out.find(name + ".weight_quantizer._amax"), nullptr);
    auto const got = elements<std::int8_t>(out, name + ".weight");
    for (std::size_t i = 0; i < codes.size(); ++i) ASSERT_EQ(got[i], codes[i]) << name;
  }
  for (auto const& [name, scale] : std::map<std::string, float>{{first + "k_scale", .25f},
                                                                {first + "v_scale", .5f},
                                                                {second + "k_scale", .125f},
                                                                {second + "v_scale", .75f}})
    EXPECT_EQ(elements<float>(out, name), (std::vector<float>{scale})) << name;
  EXPECT_EQ(out.find(second + "k_proj.k_scale"), nullptr);
  auto const config = json::parse(test::read_text(in / "out/config.json"));
  EXPECT_TRUE(config["quantization_config"]["kv_cache_scheme"].is_object());
  EXPECT_EQ(config["quantization_config"]["config_groups"]["group_0"]["input_activations"]["dynamic"], false);
  EXPECT_EQ(generated((in / "out").string()).size(), 8u);
  // Where inputs are not quantised, their scales are ignored, and said to be.
  scratch_folder again;
  t.m.save(again);
  auto const plain = compress(again, {"--quantize", "w8a16", "--scales", "learned"});
  EXPECT_EQ(plain.report["learned_scales"]["ignored"].size(), 15u);
}

// Master weights: rounded by the learned scales as in training, and said to be off the grid. A module without a scale
// stays.
TEST(learned_scales, master_weights) {
  scratch_folder    in;
  model             m(plain_llama);
  std::string const alone = "model.layers.1.mlp.down_proj";
  for (std::string const& name : m.modules()) {
    if (name == alone) continue;
    auto const [rows, columns] = m.extents(name);
    std::vector<float> scales;
    for (int i = 0; i < rows; ++i) {
      float most = 0;
      for (int k = 0; k < columns; ++k)
        most = std::max(most, std::abs(m.weight(name)[static_cast<std::size_t>(i * columns + k)]));
      scales.push_back(.998f * most / 127);  // the largest weight lies a quarter of a step beyond the last code
    }
    m.stored_tensors()[name + ".weight_scale"] = stored(dtype::f32, {rows}, scales);
  }
  m.save(in);
  auto const r = compress(in, {"--quantize", "w8a16", "--scales", "learned"}, true);
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("warning: 13 matrices are not on the grid of their scales"), std::string::npos) << r.out;
  EXPECT_NE(r.out.find("1 matrices have no scale and stay as they are"), std::string::npos) << r.out;
  tenon::engine::checkpoint const out(in / "out"), before(in.path());
  std::string const               name = "model.layers.0.mlp.up_proj";
  auto const                      got  = elements<std::int8_t>(out, name + ".weight");
  auto const                      s    = elements<float>(before, name + ".weight_scale");
  auto const [rows, columns]           = m.extents(name);
  for (std::size_t i = 0; i < got.size(); ++i) {
    double const v = m.weight(name)[i] / s[i / static_cast<std::size_t>(columns)];
    ASSERT_EQ(got[i], std::nearbyint(std::min(127., std::max(-128., v)))) << i;
  }
  EXPECT_EQ(elements<float>(out, alone + ".weight"), m.weight(alone));
  EXPECT_EQ(generated((in / "out").string()).size(), 8u);
}

TEST(learned_scales, refuses) {
  std::string const name  = "model.layers.0.mlp.up_proj";
  auto const        error = [&](auto const& change, std::vector<std::string> options = {"--scales", "learned"}) {
    scratch_folder in;
    trained_model  t(127);
    change(t);
    t.m.save(in);
    options.insert(options.end(), {"--quantize", "w8a16"});
    auto const r = compress(in, options);
    EXPECT_EQ(r.status, 1);
    EXPECT_FALSE(std::filesystem::exists(in / "out/config.json"));
    return r.err.substr(0, r.err.find('\n'));
  };
  auto const ends = [](std::string const& text, std::string const& end) { return text.ends_with(end) ? "" : text; };
  auto const put  = [&](trained_model& t, char const* part, std::vector<std::int64_t> shape,
                       std::vector<float> const& v) {
    t.m.stored_tensors()[name + "." + part] = stored(dtype::f32, std::move(shape), v);
  };
  EXPECT_EQ(
      ends(error([](trained_model&) {}, {}),
           "tenon: --quantize: the checkpoint has scales of its own: found no --scales, expected --scales learned to "
           "use them, --scales found to find others"),
      "");
  EXPECT_EQ(ends(error([](trained_model& t) { t.m.stored_tensors().clear(); }),
                 ": has no learned scales: found none, expected NAME.weight_scale or NAME.weight_quantizer._amax"),
            "");
  EXPECT_EQ(ends(error([&](trained_model& t) { put(t, "weight_scale", {7}, std::vector<float>(7, .01f)); }),
                 ": tensor " + name +
                     ".weight_scale: has the wrong number of scales: found 7, expected 1, or as many for each of "
                     "40 rows"),
            "");
  EXPECT_EQ(ends(error([&](trained_model& t) {
                   put(t, "weight_scale", {40, 3}, std::vector<float>(120, .01f));
                 }),
                 ": scales of its matrices differ in form: found no group of columns that fits all, expected one"),
            "");
  EXPECT_EQ(
      ends(error([&](trained_model& t) { put(t, "weight_scale", {}, {std::numeric_limits<float>::quiet_NaN()}); }),
           ": has an element that is no scale: found nan at 0, expected finite numbers"),
      "");
  EXPECT_EQ(ends(error([&](trained_model& t) {
                   t.m.stored_tensors().erase(name + ".weight_scale");
                   put(t, "weight_quantizer._amax", {}, {-.5f});
                 }),
                 ": has an element that is no scale: found -0.003937 at 0, expected numbers not below 0"),
            "");
  EXPECT_EQ(ends(error([&](trained_model& t) { put(t, "weight_scale", {}, {1e-4f}); }),
                 "% of its weights beyond the last code, expected at most 5 %"),
            "");
  EXPECT_EQ(ends(error([&](trained_model& t) { put(t, "weight_scale", {}, {1.f}); }),
                 ": cannot be the scale of " + name +
                     ": found no code beyond 0, expected codes beyond an eighth of the range"),
            "");
  EXPECT_EQ(ends(error([&](trained_model& t) {
                   put(t, "input_quantizer._pre_quant_scale", {2}, {1, 2});
                 }),
                 ": scales the inputs' channels: found 2.000000, expected 1: fold it into what comes before"),
            "");
  EXPECT_EQ(ends(error([](trained_model& t) {
                   t.m.stored_tensors()["model.layers.1.self_attn.k_scale"] =
                       stored(dtype::f32, {}, std::vector<float>{.5f});
                 }),
                 ": layer 1 has half of a cache's scales: found one, expected k_scale and v_scale, or neither"),
            "");
  // Other scales may be found all the same.
  scratch_folder in;
  trained_model  t(127);
  t.m.save(in);
  auto const found = compress(in, {"--quantize", "w8a16", "--scales", "found", "--method", "rtn", "--calibration-texts",
                                   "2", "--calibration-length", "8"});
  EXPECT_EQ(found.status, 0) << found.err;
  EXPECT_FALSE(found.report.contains("learned_scales"));
  for (auto const& [options, message] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--scales", "learned"},
            "tenon: --scales: has no use here: found no --quantize, expected it beside --quantize\n"},
           {{"--scales", "learned", "--quantize", "w8a8", "--method", "rtn"},
            "tenon: --method: has no use here: found --scales learned, expected scales that are found\n"},
           {{"--scales", "learned", "--quantize", "w8a8", "--ids", "x.json"},
            "tenon: --ids: has no use here: found --scales learned, expected scales that are found\n"}}) {
    auto const r = compress(in, options);
    EXPECT_EQ(r.status, 2);
    EXPECT_EQ(r.err, message);
  }
  for (std::vector<std::string> const& step : std::vector<std::vector<std::string>>{{"--merge-lora", "x"},
                                                                                    {"--fold-norms"},
                                                                                    {"--drop-layers", "1"},
                                                                                    {"--drop-attention", "1"},
                                                                                    {"--drop-mlp", "1"},
                                                                                    {"--cut-heads", "1"},
                                                                                    {"--cut-kv-heads", "1"},
                                                                                    {"--cut-mlp-width", ".1"}}) {
    auto options = step;
    options.insert(options.end(), {"--scales", "learned", "--quantize", "w8a8"});
    auto const r = compress(in, options);
    EXPECT_EQ(r.status, 2);
    EXPECT_EQ(r.err, "tenon: " + step[0] + ": changes weights: found --scales learned, expected one of the two\n");
  }
}

}  // namespace
