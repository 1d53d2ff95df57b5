//  tenon compress --fold-norms: every weight against its product in double, the logits, and what is no exact fold.
#include <tenon/core/numeric.hpp>

#include <engine/files/safetensors.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "compressed.hpp"
#include "program.hpp"
#include "random_model.hpp"

namespace {

using nlohmann::json;
using tenon::bf16;
using tenon::engine::checkpoint, tenon::engine::dtype;
using test::elements, test::model, test::numbers, test::plain_llama, test::run_program, test::scratch_folder,
    test::shape;

test::run_result fold(std::string const& from, std::string const& to, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"compress", "--model", from, "--out", to, "--output", "json", "--calibration-texts", "4",
                             "--calibration-length", "40", "--fold-norms"});
  return run_program(more);
}
json report_of(test::run_result const& r) {
  EXPECT_EQ(r.status, 0) << r.err;
  return r.lines().at(0);
}

std::string layer(int i) { return "model.layers." + std::to_string(i) + "."; }

class fold_norms : public testing::TestWithParam<shape> {};
INSTANTIATE_TEST_SUITE_P(
    shapes, fold_norms,
    testing::Values(shape{"llama_biases", "llama", 4, 2, 8, 20, false, true, true, 2},
                    shape{"llama_tied", "llama", 3, 1, 8, 32, true, false, false, 1},
                    shape{"qwen3", "qwen3", 4, 2, 16, 20, false, false, false, 1},
                    shape{"gemma2", "gemma2", 4, 2, 16, 28, true, false, false, 1, 24, {6, 0}, "silu", 9, 1.25, 2}),
    [](auto const& s) { return std::string(s.param.name); });

TEST_P(fold_norms, are_in_all_that_read_them) {
  shape const&   s = GetParam();
  scratch_folder in;
  model          m(s);
  m.save(in);
  std::string const out = (in / "out").string();
  auto const        r   = report_of(fold(in.path().string(), out))["fold_norms"];
  EXPECT_EQ(r["folded"].size(), 5u);
  EXPECT_EQ(r["left"].size(), s.is("qwen3") || s.is("gemma2") ? 4u : 0u) << "norms of q and k, or behind halves";
  EXPECT_EQ(r["untied_head"], s.tied);
  EXPECT_FALSE(r["lossy"].get<bool>());
  EXPECT_GT(r["logits_f32"]["positions"], 100);
  EXPECT_LE(r["logits_f32"]["relative_l2"], 1e-6);
  EXPECT_EQ(r["logits_f32"]["other_choices"], 0);
  EXPECT_EQ(r["logits_stored"], r["logits_f32"]);

  bool const gemma2 = s.is("gemma2");
  struct reading {
    std::string              gain;
    std::vector<std::string> modules;
  };
  std::vector<reading> all = {{"model.norm", {"lm_head"}}};
  for (int i = 0; i < test::layers; ++i) {
    all.push_back({layer(i) + "input_layernorm",
                   {layer(i) + "self_attn.q_proj", layer(i) + "self_attn.k_proj", layer(i) + "self_attn.v_proj"}});
    all.push_back({layer(i) + (gemma2 ? "pre_feedforward_layernorm" : "post_attention_layernorm"),
                   {layer(i) + "mlp.gate_proj", layer(i) + "mlp.up_proj"}});
  }
  for (auto const& [gain, modules] : all) {
    auto const& g = m.values(gain + ".weight");
    for (float const v : numbers(out, gain + ".weight")) EXPECT_EQ(v, gemma2 ? 0.f : 1.f) << gain;
    for (std::string const& module : modules) {
      auto const& w   = module == "lm_head" && s.tied ? m.values("model.embed_tokens.weight") : m.weight(module);
      auto const  now = numbers(out, module + ".weight");
      ASSERT_EQ(now.size(), w.size());
      for (std::size_t e = 0; e < w.size(); ++e) {
        double const by = (gemma2 ? 1 : 0) + static_cast<double>(g[e % g.size()]);
        EXPECT_EQ(now[e], static_cast<float>(static_cast<double>(w[e]) * by)) << module << " " << e;
      }
    }
  }
  // What reads no norm, and norms that nothing reads.
  for (std::string const name :
       {"model.embed_tokens.weight", "model.layers.1.self_attn.o_proj.weight", "model.layers.0.mlp.down_proj.weight"})
    EXPECT_EQ(numbers(out, name), m.values(name)) << name;
  if (s.is("qwen3")) {
    std::string const norm = layer(1) + "self_attn.k_norm.weight";
    EXPECT_EQ(numbers(out, norm), m.values(norm));
  }
  auto const config = json::parse(test::read_text(in / "out/config.json"));
  EXPECT_EQ(config["tie_word_embeddings"], false);

  // Again, there is nothing to do.
  auto const again = report_of(fold(out, (in / "again").string()))["fold_norms"];
  EXPECT_EQ(again["folded"].size(), 0u);
  EXPECT_EQ(again["logits_f32"]["relative_l2"], 0);
  for (std::string const file : {"model.safetensors", "config.json"})
    EXPECT_EQ(test::read_text(in / ("out/" + file)), test::read_text(in / ("again/" + file))) << file;
}

/// The model's matrices in bf16; gains stay f32.
void save_in_bf16(model& m, scratch_folder const& folder) {
  for (std::string const& module : m.modules()) {
    std::vector<bf16>  values;
    std::vector<float> rounded;
    for (float const v : m.weight(module))
      values.push_back(bf16(v)), rounded.push_back(static_cast<float>(values.back()));
    auto const bytes           = std::as_bytes(std::span(values));
    auto const [rows, columns] = m.extents(module);
    m.replace(module, rounded, {{"weight", {dtype::bf16, {rows, columns}, {bytes.begin(), bytes.end()}}}});
  }
  m.save(folder);
}

// Weights of 16 bits are rounded again, and that is said; gains that are powers of two are exact.
TEST(fold_norms_of, sixteen_bits_lose_and_say_so) {
  for (bool const powers : {false, true}) {
    SCOPED_TRACE(powers);
    scratch_folder in;
    model          m(plain_llama);
    if (powers)
      for (std::string const& norm : {layer(0) + "input_layernorm", layer(0) + "post_attention_layernorm",
                                      layer(1) + "input_layernorm", layer(1) + "post_attention_layernorm"})
        for (float& g : m.values(norm + ".weight")) g = g < 1 ? .5f : 2.f;
    save_in_bf16(m, in);
    std::string const out = (in / "out").string();
    auto const        r   = report_of(fold(in.path().string(), out))["fold_norms"];
    EXPECT_LE(r["logits_f32"]["relative_l2"], 1e-6);
    EXPECT_EQ(r["lossy"], !powers);
    if (!powers) {
      EXPECT_GT(r["logits_stored"]["relative_l2"], 1e-4);
      EXPECT_LT(r["logits_stored"]["relative_l2"], 3e-2);
      EXPECT_LE(r["largest_weight_error"], 0x1p-8);
      EXPECT_GT(r["largest_weight_error"], 0x1p-10);
      EXPECT_GT(r["logits_stored"]["kl"], r["logits_f32"]["kl"]);
    }
    std::string const q   = layer(0) + "self_attn.q_proj";
    auto const&       g   = m.values(layer(0) + "input_layernorm.weight");
    auto const        now = elements<bf16>(checkpoint(out), q + ".weight");
    for (std::size_t e = 0; e < now.size(); ++e)
      EXPECT_EQ(static_cast<float>(now[e]), static_cast<float>(bf16(m.weight(q)[e] * g[e % g.size()]))) << e;
  }
}

TEST(fold_norms_of, one_and_two_threads_are_the_same) {
  scratch_folder in;
  model          m(plain_llama);
  m.save(in);
  for (std::string const threads : {"1", "2"})
    report_of(fold(in.path().string(), (in / threads).string(), {"--threads", threads, "--cut-mlp-width", "0.25"}));
  for (std::string const file : {"model.safetensors", "config.json", "compress_report.json"})
    EXPECT_EQ(test::read_text(in / ("1/" + file)), test::read_text(in / ("2/" + file))) << file;
}

// A matrix that the architecture does not have may read a norm: a router, a gate of the attention.
TEST(fold_norms_of, a_model_with_another_reader_are_refused) {
  scratch_folder           in;
  model                    m(plain_llama);
  std::vector<float> const router(2 * 24, .5f);
  auto const               bytes                         = std::as_bytes(std::span(router));
  m.stored_tensors()["model.layers.1.mlp.router.weight"] = {dtype::f32, {2, 24}, {bytes.begin(), bytes.end()}};
  m.save(in);
  auto const r = fold(in.path().string(), (in / "out").string());
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(
      r.err,
      "tenon: --fold-norms: finds a matrix that may read a norm: found model.layers.1.mlp.router.weight, expected only "
      "matrices of LlamaForCausalLM\n");
}

}  // namespace
