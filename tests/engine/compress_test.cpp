//  tenon compress: what is dropped, what is written, and that it loads.
#include <engine/files/safetensors.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "compressed.hpp"
#include "program.hpp"
#include "random_model.hpp"

namespace {

using nlohmann::json;
using test::compress, test::generated, test::model, test::run_program, test::scratch_folder, test::shape,
    test::plain_llama;

std::string const demo = std::string(TENON_SOURCE_DIR) + "/examples/models/tenon-demo";

/// A JSON file of `count` ids.
std::string ids_file(scratch_folder const& folder, int count) {
  json list;
  for (int i = 0; i < count; ++i) list.push_back(i * i % 500);
  test::write_text(folder / "ids.json", json{{"per_text", {{{"ids", list}}}}}.dump());
  return (folder / "ids.json").string();
}

// A half that adds nothing costs nothing, and it is the one that goes; the model says what it said.
TEST(compress, drops_what_does_nothing) {
  for (auto const& [option, matrix, gone] : std::vector<std::array<std::string, 3>>{
           {"--drop-attention", "model.layers.1.self_attn.o_proj.weight", "attention"},
           {"--drop-mlp", "model.layers.0.mlp.down_proj.weight", "mlp"}}) {
    scratch_folder in;
    model          m(plain_llama);
    m.fill(matrix, 0);
    m.save(in);
    std::string const out  = (in / "out").string();
    auto const        r    = compress(in.path().string(), out, {option, "1"});
    json const&       step = r["cuts"].at(0);
    EXPECT_EQ(step["kind"], gone);
    EXPECT_EQ(step["layer"], gone == "attention" ? 1 : 0);
    EXPECT_EQ(step["candidates"].size(), 2u);
    EXPECT_NEAR(step["candidates"][gone == "attention" ? 1 : 0]["kl_plain"].get<double>(), 0, 1e-12);
    EXPECT_LT(r["parameters"], r["parameters_before"]);
    EXPECT_EQ(generated(out), generated(in.path().string()));
    auto const config = json::parse(test::read_text(in / "out/config.json"));
    EXPECT_EQ(config["tenon_layers"].size(), 2u);
  }
}

TEST(compress, a_layer_that_goes_leaves_an_ordinary_checkpoint) {
  scratch_folder in;
  model          m(plain_llama);
  m.fill("model.layers.0.self_attn.o_proj.weight", 0), m.fill("model.layers.0.mlp.down_proj.weight", 0);
  m.save(in);
  auto const r = compress(in.path().string(), (in / "out").string(), {"--drop-layers", "1", "--no-heal"});
  EXPECT_EQ(r["cuts"][0]["layer"], 0);
  auto const config = json::parse(test::read_text(in / "out/config.json"));
  EXPECT_EQ(config["num_hidden_layers"], 1);
  EXPECT_FALSE(config.contains("tenon_layers"));
  tenon::engine::checkpoint const before(in.path()), after(in / "out");
  for (std::string const& name : after.names()) {
    std::string old = name;
    if (name.starts_with("model.layers.0.")) old.replace(0, 15, "model.layers.1.");
    auto const a = before.at(old).bytes, b = after.at(name).bytes;
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end())) << name;
  }
  EXPECT_EQ(generated((in / "out").string()), generated(in.path().string()));
}

// What the seam in front of the gap is fitted to is what the uncut model has behind it.
TEST(compress, healing_costs_less_than_a_hole) {
  scratch_folder folder;
  auto const r = compress(demo, (folder / "out").string(), {"--drop-layers", "1", "--eval-ids", ids_file(folder, 150)});
  int        better = 0;
  for (json const& c : r["cuts"][0]["candidates"]) {
    EXPECT_EQ(c["kl_healed"].is_null(), c["layer"] == 0) << "nothing stands in front of the first";
    EXPECT_LE(c["kl"], c["kl_plain"]);
    better += c["kl"] < .9 * c["kl_plain"].get<double>();
  }
  EXPECT_GE(better, 2);
  EXPECT_EQ(r["block_influence"].size(), 4u);
  EXPECT_EQ(r["angular_distance"].size(), 4u);
  EXPECT_GT(r["evaluation"]["tokens"], 100);
  EXPECT_GT(r["evaluation"]["kl"], 0);
  auto const info = run_program({"info", "--model", (folder / "out").string(), "--output", "json"});
  EXPECT_EQ(json::parse(info.out)["layers"], 3);
}

// A layer that does nothing leaves nothing to heal, and a fit that knows of the biases finds the weights that are there.
TEST(compress, healing_knows_of_biases) {
  scratch_folder in;
  shape          biased = plain_llama;
  biased.attention_bias = biased.mlp_bias = true;
  model m(biased);
  for (char const* name : {"self_attn.o_proj", "mlp.down_proj"})
    for (char const* part : {".weight", ".bias"}) m.fill(std::string("model.layers.1.") + name + part, 0);
  m.save(in);
  auto const  r = compress(in.path().string(), (in / "out").string(), {"--drop-layers", "1"});
  json const& c = r["cuts"][0]["candidates"][1];
  EXPECT_EQ(r["cuts"][0]["layer"], 1);
  EXPECT_NEAR(c["kl_plain"].get<double>(), 0, 1e-12);
  EXPECT_NEAR(c["kl_healed"].get<double>(), 0, 1e-9);
}

// Gemma 2 norms what a half adds: no matrix can be fitted to a sum.
TEST(compress, what_cannot_be_healed_is_cut_as_it_is) {
  scratch_folder in;
  shape          gemma = plain_llama;
  gemma.model_type = "gemma2", gemma.gate = "gelu_pytorch_tanh", gemma.tied = true, gemma.query_scalar = 8;
  model(gemma).save(in);
  auto const r = compress(in.path().string(), (in / "out").string(), {"--drop-attention", "1"});
  for (json const& c : r["cuts"][0]["candidates"]) EXPECT_TRUE(c["kl_healed"].is_null());
  EXPECT_EQ(generated((in / "out").string()).size(), 8u);
}

TEST(compress, long_texts_calibrate_in_pieces) {
  scratch_folder folder;
  auto const     r = compress(demo, (folder / "out").string(),
                              {"--quantize", "w8a16", "--ids", ids_file(folder, 100), "--eval-ids", ids_file(folder, 100)});
  EXPECT_EQ(r["calibration_texts"], 3);  // of 40, the last of 20
  EXPECT_EQ(r["evaluation"]["tokens"], 99) << "measured in one piece";
  EXPECT_EQ(r["evaluation"]["not_finite"], 0);
}

// Neurons whose down_proj is nothing go first, and nothing changes.
TEST(compress, narrows_by_the_neurons_that_do_nothing) {
  scratch_folder      in;
  model               m(plain_llama);
  std::vector<float>& down = m.values("model.layers.1.mlp.down_proj.weight");
  for (std::size_t i = 0; i < down.size(); ++i)
    if (i % 40 % 4 == 0) down[i] = 0;
  m.save(in);
  auto const r = compress(in.path().string(), (in / "out").string(), {"--cut-mlp-width", "0.25"});
  ASSERT_EQ(r["widths"].size(), 2u);
  EXPECT_EQ(r["widths"][1]["before"], 40);
  EXPECT_EQ(r["widths"][1]["after"], 30);
  EXPECT_NEAR(r["widths"][1]["output_error_plain"].get<double>(), 0, 1e-7);
  EXPECT_GT(r["widths"][0]["output_error_plain"], .01);
  EXPECT_LT(r["widths"][0]["output_error"], r["widths"][0]["output_error_plain"]);
  auto const config = json::parse(test::read_text(in / "out/config.json"));
  EXPECT_EQ(config["intermediate_size"], 30);
  EXPECT_FALSE(config.contains("tenon_layers"));
  EXPECT_EQ(generated((in / "out").string()).size(), 8u);

  // A control draws its neurons by the seed, whatever they say; the texts are the same.
  test::write_text(in / "ids.json",
                   R"({"per_text": [{"ids": [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3]}]})");
  std::vector<std::string> drawn;
  for (std::string const seed : {"1", "1", "2"}) {
    std::string const to = std::to_string(drawn.size());
    auto const        c  = compress(
                in.path().string(), (in / to).string(),
                {"--cut-mlp-width", "0.25", "--choice", "random", "--seed", seed, "--ids", (in / "ids.json").string()});
    EXPECT_GT(c["widths"][1]["output_error_plain"], .01);
    drawn.push_back(test::read_text(in / (to + "/model.safetensors")));
  }
  EXPECT_EQ(drawn[0], drawn[1]);
  EXPECT_NE(drawn[0], drawn[2]);
}

TEST(compress, writes_the_same_bytes_on_any_number_of_threads) {
  scratch_folder folder;
  for (char const* threads : {"1", "2"})
    compress(demo, (folder / threads).string(),
             {"--drop-attention", "1", "--drop-mlp", "1", "--cut-mlp-width", "0.1", "--threads", threads});
  for (char const* file : {"model.safetensors", "config.json", "compress_report.json"})
    EXPECT_EQ(test::read_text(folder / "1" / file), test::read_text(folder / "2" / file)) << file;
  // Cuts of cuts: halves that are gone are no candidates.
  auto const r = compress((folder / "1").string(), (folder / "3").string(), {"--drop-attention", "1"});
  EXPECT_EQ(r["cuts"][0]["candidates"].size(), 3u);
}

// What is written is what was measured: the engine's products of codes are those of the matrices that the codes stand for.
TEST(compress, quantises_into_files_that_load) {
  scratch_folder    folder;
  std::string const ids = ids_file(folder, 100);
  for (std::string const choice : {"w8a16", "w4a16"}) {
    SCOPED_TRACE(choice);
    double kl[2];
    for (std::string const method : {"gptq", "rtn"}) {
      std::string const out = (folder / (choice + method)).string();
      auto const        r   = compress(demo, out, {"--quantize", choice, "--method", method});
      EXPECT_EQ(r["modules"].size(), 4u * 7u);
      EXPECT_EQ(r["modules"][0]["method"], method);
      EXPECT_LT(r["bytes"], r["bytes_before"]);
      double sum = 0;
      for (json const& m : r["modules"]) sum += m["output_error"].get<double>();
      kl[method == "rtn"] = sum;
      auto const same     = run_program(
              {"align", "--model", out, "--ids", ids, "--budget", "1e-5", "--max-kl", "1e-7", "--output", "json"});
      EXPECT_EQ(same.status, 0) << same.out << same.err;
      auto const info = run_program({"info", "--model", out, "--output", "json"});
      EXPECT_FALSE(json::parse(info.out)["quantization"].is_null());
    }
    EXPECT_LT(kl[0], .95 * kl[1]) << "calibrated codes leave the outputs nearer than rounded ones";
  }
  auto const again =
      run_program({"compress", "--model", (folder / "w4a16gptq").string(), "--out", (folder / "x").string()});
  EXPECT_EQ(again.status, 1);
  EXPECT_EQ(again.err,
            "tenon: --model: is quantised already: found compressed-tensors, expected a model of 16 or 32 bits\n");
}

TEST(compress, refuses) {
  scratch_folder in;
  model(plain_llama).save(in);
  std::string const from  = in.path().string();
  auto const        error = [](std::vector<std::string> const& arguments, int status) {
    auto const r = run_program(arguments);
    EXPECT_EQ(r.status, status);
    EXPECT_EQ(r.out, "");
    return r.err;
  };
  EXPECT_EQ(error({"compress", "--model", from}, 2),
            "tenon: --out: missing: found nothing, expected a folder to write to\n");
  EXPECT_EQ(error({"compress", "--model", from, "--out", from}, 1),
            "tenon: " + from + "/config.json: is there already: found a model, expected an empty folder, or none\n");
  EXPECT_EQ(error({"compress", "--model", from, "--out", from + "/out", "--drop-layers", "2", "--calibration-texts",
                   "2", "--calibration-length", "8"},
                  1),
            "tenon: --drop-layers: leaves nothing to drop: found 1 layers, expected at least one that may go\n");
  EXPECT_EQ(error({"compress", "--model", from, "--out", from + "/out", "--choice", "random"}, 2),
            "tenon: --choice: has no use here: found no heads or neurons that go, expected --cut-heads, --cut-kv-heads "
            "or --cut-mlp-width\n");
  EXPECT_FALSE(std::filesystem::exists(in / "out"));
}

}  // namespace
