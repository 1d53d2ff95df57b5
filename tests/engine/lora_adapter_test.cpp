//  tenon compress --merge-lora: merged weights against the adapter beside the model, in naive double loops; and adapters that are
//  not what they say.
#include <tenon/core/numeric.hpp>

#include <engine/files/safetensors.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "compressed.hpp"
#include "program.hpp"
#include "random_model.hpp"

namespace {

using nlohmann::json;
using tenon::bf16;
using tenon::engine::checkpoint, tenon::engine::dtype, tenon::engine::tensor_info;
using test::elements, test::matrix, test::model, test::numbers, test::plain_llama, test::run_program,
    test::scratch_folder, test::shape;

std::string const before = "base_model.model.";

/// An adapter as PEFT writes it, and what it is trained to.
struct adapter {
  json config = {{"peft_type", "LORA"}, {"r", 3}, {"lora_alpha", 5}, {"target_modules", {"q_proj", "down_proj"}}};
  std::map<std::string, std::pair<std::vector<std::int64_t>, std::vector<float>>> tensors;
  std::mt19937                                                                    engine{11};

  void add(std::string const& name, std::vector<std::int64_t> const& extents, float around = 0) {
    std::normal_distribution<float> normal(around, .3f);
    std::size_t                     count = 1;
    for (std::int64_t const e : extents) count *= static_cast<std::size_t>(e);
    auto& t = tensors[before + name];
    t.first = extents, t.second.resize(count);
    for (float& v : t.second) v = normal(engine);
  }
  void add_pair(model const& m, std::string const& module, int rank, bool magnitude = false) {
    auto const [outputs, inputs] = m.extents(module);
    add(module + ".lora_A.weight", {rank, inputs}), add(module + ".lora_B.weight", {outputs, rank});
    if (magnitude) add(module + ".lora_magnitude_vector", {outputs}, 2);
  }
  std::vector<float> const& values(std::string const& name) const { return tensors.at(before + name).second; }

  std::string save(scratch_folder const& folder) const {
    auto const to = folder / "adapter";
    std::filesystem::create_directories(to);
    test::write_text(to / "adapter_config.json", config.dump());
    std::vector<tensor_info> list;
    for (auto const& [name, t] : tensors)
      list.push_back({name, dtype::f32, t.first, std::as_bytes(std::span(t.second))});
    tenon::engine::write_safetensors(to / "adapter_model.safetensors", list);
    return to.string();
  }
};

/// All that the plain model has to adapt: q_proj and down_proj of both layers.
adapter plain_adapter(model const& m, bool magnitude = false) {
  adapter a;
  for (int i = 0; i < test::layers; ++i)
    for (char const* module : {"self_attn.q_proj", "mlp.down_proj"})
      a.add_pair(m, "model.layers." + std::to_string(i) + "." + module, 3, magnitude);
  return a;
}

test::run_result merge(scratch_folder const& folder, std::string const& adapter_folder, std::string const& out = "out",
                       std::vector<std::string> more = {}) {
  more.insert(more.begin(),
              {"compress", "--model", folder.path().string(), "--out", (folder / out).string(), "--merge-lora",
               adapter_folder, "--output", "json", "--calibration-texts", "2", "--calibration-length", "8"});
  return run_program(more);
}

/// |merged(x) - (w x + scale B (A x))| over max |y|, of random rows x; with a magnitude the rows of both brought to its length.
double error_of(std::vector<float> const& merged, std::vector<float> const& w, std::vector<float> const& a,
                std::vector<float> const& b, std::size_t rank, double scale, std::vector<float> const& magnitude = {}) {
  std::size_t const                inputs = a.size() / rank, outputs = b.size() / rank;
  std::mt19937                     engine(5);
  std::normal_distribution<double> normal(0, 1);
  double                           worst = 0, largest = 0;
  for (int repeat = 0; repeat < 20; ++repeat) {
    matrix x(inputs), low(rank);
    for (double& v : x) v = normal(engine);
    for (std::size_t k = 0; k < rank; ++k)
      for (std::size_t j = 0; j < inputs; ++j) low[k] += static_cast<double>(a[k * inputs + j]) * x[j];
    for (std::size_t i = 0; i < outputs; ++i) {
      double plain = 0, added = 0, y = 0, squares = 0;
      for (std::size_t j = 0; j < inputs; ++j) {
        double delta = 0;
        for (std::size_t k = 0; k < rank; ++k)
          delta += static_cast<double>(b[i * rank + k]) * static_cast<double>(a[k * inputs + j]);
        double const both = static_cast<double>(w[i * inputs + j]) + scale * delta;
        squares += both * both;
        plain += static_cast<double>(w[i * inputs + j]) * x[j];
        y += static_cast<double>(merged[i * inputs + j]) * x[j];
      }
      for (std::size_t k = 0; k < rank; ++k) added += static_cast<double>(b[i * rank + k]) * low[k];
      double const expected =
          (plain + scale * added) * (magnitude.empty() ? 1 : static_cast<double>(magnitude[i]) / std::sqrt(squares));
      worst   = std::max(worst, std::abs(y - expected));
      largest = std::max(largest, std::abs(expected));
    }
  }
  return worst / largest;
}

TEST(lora_adapter, merged_is_what_the_adapter_beside_the_model_says) {
  struct {
    char const* name;
    json        config;
    double      scale;
    bool        directions;
  } const cases[] = {
      {"lora", json::object(), 5. / 3, false},
      {"rslora", {{"use_rslora", true}}, 5 / std::sqrt(3.), false},
      {"dora", {{"use_dora", true}}, 5. / 3, true},
      {"rsdora", {{"use_dora", true}, {"use_rslora", true}, {"lora_alpha", -1.5}}, -1.5 / std::sqrt(3.), true}};
  for (auto const& c : cases) {
    SCOPED_TRACE(c.name);
    scratch_folder folder;
    model          m(plain_llama);
    m.save(folder);
    adapter a = plain_adapter(m, c.directions);
    a.config.merge_patch(c.config);
    auto const r = merge(folder, a.save(folder));
    ASSERT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.lines()[0]["lora"]["modules"].size(), 4u);
    for (std::string const& module : m.modules()) {
      std::vector<float> const merged = numbers(folder / "out", module + ".weight");
      if (!module.ends_with("q_proj") && !module.ends_with("down_proj")) {
        EXPECT_EQ(merged, m.weight(module)) << module;
        continue;
      }
      EXPECT_NE(merged, m.weight(module));
      EXPECT_LE(
          error_of(merged, m.weight(module), a.values(module + ".lora_A.weight"), a.values(module + ".lora_B.weight"),
                   3, c.scale, c.directions ? a.values(module + ".lora_magnitude_vector") : std::vector<float>{}),
          1e-6)
          << module;
    }
  }
}

// Ranks and alphas of single modules, by the ends of their names.
TEST(lora_adapter, patterns_have_their_own_ranks_and_alphas) {
  scratch_folder folder;
  model          m(plain_llama);
  m.save(folder);
  adapter a;
  a.config["target_modules"] = "all-linear", a.config["lora_alpha"] = 4;
  a.config["rank_pattern"] = {{"layers.1.mlp.up_proj", 7}}, a.config["alpha_pattern"] = {{"up_proj", 21}};
  a.add_pair(m, "model.layers.0.mlp.up_proj", 3), a.add_pair(m, "model.layers.1.mlp.up_proj", 7);
  a.add_pair(m, "model.layers.1.self_attn.v_proj", 3);
  auto const r = merge(folder, a.save(folder));
  ASSERT_EQ(r.status, 0) << r.err;
  struct {
    char const* module;
    std::size_t rank;
    double      scale;
  } const wanted[] = {{"model.layers.0.mlp.up_proj", 3, 7},
                      {"model.layers.1.mlp.up_proj", 7, 3},
                      {"model.layers.1.self_attn.v_proj", 3, 4. / 3}};
  for (auto const& w : wanted)
    EXPECT_LE(error_of(numbers(folder / "out", std::string(w.module) + ".weight"), m.weight(w.module),
                       a.values(std::string(w.module) + ".lora_A.weight"),
                       a.values(std::string(w.module) + ".lora_B.weight"), w.rank, w.scale),
              1e-6);
}

// An adapted embedding is one for reading: the head that it was tied to stays.
TEST(lora_adapter, unties_what_has_been_trained_apart) {
  scratch_folder folder;
  shape          tied = plain_llama;
  tied.tied           = true;
  model m(tied);
  m.save(folder);
  adapter a;
  a.config["target_modules"]  = {"embed_tokens"};
  a.config["modules_to_save"] = {"norm"};
  a.add("model.embed_tokens.lora_embedding_A", {3, test::vocabulary});
  a.add("model.embed_tokens.lora_embedding_B", {plain_llama.hidden, 3});
  a.add("model.norm.weight", {plain_llama.hidden});
  auto const r = merge(folder, a.save(folder));
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_TRUE(r.lines()[0]["lora"]["untied_head"]);
  EXPECT_EQ(json::parse(test::read_text(folder / "out/config.json"))["tie_word_embeddings"], false);
  EXPECT_EQ(numbers(folder / "out", "lm_head.weight"), m.values("model.embed_tokens.weight"));
  EXPECT_EQ(numbers(folder / "out", "model.norm.weight"), a.values("model.norm.weight"));
  auto const  table  = numbers(folder / "out", "model.embed_tokens.weight");
  auto const  hidden = static_cast<std::size_t>(plain_llama.hidden), words = std::size_t{test::vocabulary};
  auto const &A = a.values("model.embed_tokens.lora_embedding_A"), &B = a.values("model.embed_tokens.lora_embedding_B");
  for (std::size_t t = 0; t < words; ++t)
    for (std::size_t h = 0; h < hidden; ++h) {
      double v = static_cast<double>(m.values("model.embed_tokens.weight")[t * hidden + h]);
      for (std::size_t k = 0; k < 3; ++k)
        v += 5. / 3 * static_cast<double>(B[h * 3 + k]) * static_cast<double>(A[k * words + t]);
      EXPECT_NEAR(static_cast<double>(table[t * hidden + h]), v, 1e-6);
    }
  EXPECT_EQ(test::generated((folder / "out").string()).size(), 8u);
}

// The sum is rounded once to what the model is stored in, and the report says what that has lost.
TEST(lora_adapter, weights_of_16_bits_are_rounded_once) {
  scratch_folder     folder;
  model              m(plain_llama);
  std::string const  q = "model.layers.0.self_attn.q_proj";
  std::vector<bf16>  stored;
  std::vector<float> w;
  for (float const v : m.weight(q)) stored.push_back(bf16(v)), w.push_back(static_cast<float>(stored.back()));
  auto const bytes = std::as_bytes(std::span(stored));
  m.replace(q, w, {{"weight", {dtype::bf16, {16, 24}, {bytes.begin(), bytes.end()}}}});
  m.save(folder);
  adapter const a = plain_adapter(m);
  auto const    r = merge(folder, a.save(folder));
  ASSERT_EQ(r.status, 0) << r.err;
  checkpoint const files(folder / "out");
  ASSERT_EQ(files.at(q + ".weight").type, dtype::bf16);
  auto const  now = elements<bf16>(files, q + ".weight");
  auto const &A = a.values(q + ".lora_A.weight"), &B = a.values(q + ".lora_B.weight");
  double      lost = 0, moved = 0;
  for (std::size_t i = 0; i < 16; ++i)
    for (std::size_t j = 0; j < 24; ++j) {
      double change = 0;
      for (std::size_t k = 0; k < 3; ++k)
        change += 5. / 3 * static_cast<double>(B[i * 3 + k]) * static_cast<double>(A[k * 24 + j]);
      double const meant = static_cast<double>(w[i * 24 + j]) + change;
      double const off   = static_cast<double>(static_cast<float>(now.at(i * 24 + j))) - meant;
      EXPECT_LE(std::abs(off), 0x1p-8 * std::abs(meant)) << i << " " << j;  // half of the last of 8 bits
      lost += off * off, moved += change * change;
    }
  json const modules = r.lines()[0]["lora"]["modules"];
  EXPECT_EQ(modules.size(), 4u);
  for (json const& one : modules)
    if (one["name"] == q) {
      EXPECT_NEAR(one["lost_to_rounding"].get<double>(), std::sqrt(lost / moved), 1e-6);
    } else {
      EXPECT_LT(one["lost_to_rounding"], 1e-6);
    }
}

TEST(lora_adapter, an_adapter_that_does_nothing_changes_no_bit_and_threads_neither) {
  scratch_folder folder;
  model          m(plain_llama);
  m.save(folder);
  adapter a = plain_adapter(m);
  for (auto& [name, t] : a.tensors)
    if (name.find("lora_B") != std::string::npos) t.second.assign(t.second.size(), 0.f);
  ASSERT_EQ(merge(folder, a.save(folder)).status, 0);
  for (std::string const& module : m.modules())
    EXPECT_EQ(numbers(folder / "out", module + ".weight"), m.weight(module)) << module;

  std::string const real = plain_adapter(m).save(folder);
  for (std::string const threads : {"1", "2"}) {
    // with every step that may follow
    auto const r = merge(folder, real, threads,
                         {"--threads", threads, "--fold-norms", "--drop-attention", "1", "--cut-heads", "1",
                          "--cut-mlp-width", "0.25", "--quantize", "w8a16"});
    ASSERT_EQ(r.status, 0) << r.err;
    json const report = r.lines()[0];
    EXPECT_EQ(report["lora"]["modules"].size(), 4u);
    EXPECT_EQ(report["fold_norms"]["folded"].size(), 5u);
    EXPECT_EQ(report["heads"].size(), 1u);
    EXPECT_EQ(report["heads"][0]["heads"], 1);
    EXPECT_EQ(report["widths"].size(), 2u);
    EXPECT_EQ(report["modules"].size(), 4u + 3u + 3u);
    auto const info = run_program({"info", "--model", (folder / threads).string(), "--output", "json"});
    EXPECT_EQ(info.status, 0) << info.err;
  }
  for (std::string const file : {"model.safetensors", "config.json", "compress_report.json"})
    EXPECT_EQ(test::read_text(folder / ("1/" + file)), test::read_text(folder / ("2/" + file))) << file;
}

TEST(lora_adapter, refuses) {
  scratch_folder folder;
  model          m(plain_llama);
  m.save(folder);
  auto const refused = [&](adapter const& a, std::string const& said) {
    std::string const where = a.save(folder);
    auto const        r     = merge(folder, where);
    EXPECT_EQ(r.status, 1);
    EXPECT_EQ(r.out, "");
    EXPECT_NE(r.err.find(said), std::string::npos) << r.err << "instead of " << said;
    EXPECT_FALSE(std::filesystem::exists(folder / "out"));
  };
  adapter const good = plain_adapter(m);
  auto const    with = [&](json const& config) {
    adapter a = good;
    a.config.merge_patch(config);
    return a;
  };
  std::string const q = "model.layers.1.self_attn.q_proj", file = "adapter_model.safetensors: ";
  refused(with({{"peft_type", "IA3"}}), "peft_type: unsupported: found \"IA3\", expected LORA");
  refused(with({{"r", 0}}), "adapter_config.json: r: ");
  refused(with({{"lora_alpha", "8"}}), "adapter_config.json: lora_alpha: ");
  refused(with({{"fan_in_fan_out", true}}), "fan_in_fan_out: unsupported");
  refused(with({{"lora_bias", true}}), "lora_bias: unsupported");
  refused(with({{"layer_replication", {{0, 2}, {1, 2}}}}), "layer_replication: unsupported");
  refused(with({{"init_lora_weights", "pissa_niter_4"}}),
          "init_lora_weights: belongs to other weights than the model's");
  refused(with({{"rank_pattern", {{"^model.*q_proj", 4}}}}), "rank_pattern: has a regular expression");
  refused(with({{"alpha_pattern", {{"q_proj", 4}, {"self_attn.q_proj", 5}}}}), "alpha_pattern: has two numbers for ");
  refused(
      with({{"target_modules", {"q_proj", "down_proj", "up_proj"}}}),
      "target_modules: name a module that has no adapter in the file: found none, expected model.layers.0.mlp.up_proj");
  refused(with({{"target_modules", {"q_proj"}}}), "is for a module that target_modules do not name");
  refused(with({{"use_dora", true}}), "does not go with use_dora: found none, expected lora_magnitude_vector");
  refused(with({{"r", 4}}), "has the wrong shape: found [3,");

  adapter a = good;
  a.tensors.erase(before + q + ".lora_B.weight");
  refused(a, file + "adapter of \"" + q + "\": lacks its other half: found A alone, expected A and B");
  a = good;
  a.add("model.layers.2.self_attn.q_proj.lora_A.weight", {3, 24}),
      a.add("model.layers.2.self_attn.q_proj.lora_B.weight", {16, 3});
  refused(a,
          "is for a module that the model does not have: found none, expected model.layers.2.self_attn.q_proj.weight");
  a = good;
  a.add(q + ".lora_C.weight", {3});
  refused(a, "has no use here: found lora_C.weight");
  a = good;
  a.add("model.layers.0.gate.weight", {3});
  refused(a, "is for a tensor that the model does not have: found none, expected model.layers.0.gate.weight");
  a                        = good;
  a.tensors["lora.weight"] = {{1}, {1.f}};
  refused(a, "is not one of an adapter: found no prefix, expected base_model.model.");
  a                                                     = good;
  a.tensors.at(before + q + ".lora_A.weight").second[5] = std::nanf("");
  refused(a, "cannot be merged: ");
  a = good;
  a.tensors.clear(), a.config["target_modules"] = "all-linear";
  refused(a, "holds nothing to merge");

  std::string const where = good.save(folder);
  test::write_text(folder / "adapter/adapter_model.safetensors", "\xff\xff\xff\xff\xff\xff\xff\x7f{}");
  EXPECT_NE(merge(folder, where).err.find("header length is too large"), std::string::npos);
  std::filesystem::rename(folder / "adapter/adapter_model.safetensors", folder / "adapter/adapter_model.bin");
  EXPECT_NE(
      merge(folder, where).err.find("holds no adapter: found adapter_model.bin, expected adapter_model.safetensors"),
      std::string::npos);
}

}  // namespace
