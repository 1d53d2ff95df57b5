//  What cuts cost on real models, in f32, on texts that the calibration has not seen.
#include <engine/files/safetensors.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "program.hpp"

namespace {

using nlohmann::json;

struct cut {
  char const*              model;
  std::vector<std::string> options;
  int                      layer;       // the one that goes; -1: all are cut
  double                   perplexity;  // change in percent, at most
  double                   kl;          // nats per token, at most
  double                   benefit;  // of healing, calibration or scores: divergence as a part of that without, at most
};

/// `model`: another folder than that of c.model.
json compressed(cut const& c, std::vector<std::string> const& more = {}, std::string const& model = {}) {
  test::scratch_folder     folder;
  auto const               data = test::shared_data();
  std::vector<std::string> all  = {"compress",
                                   "--model",
                                  model.empty() ? (data / "models" / c.model / "hf").string() : model,
                                   "--out",
                                   (folder / "out").string(),
                                   "--output",
                                   "json",
                                   "--eval-ids",
                                   (data / "golden" / (std::string(c.model) + "_nll.json")).string()};
  all.insert(all.end(), c.options.begin(), c.options.end()), all.insert(all.end(), more.begin(), more.end());
  if (std::find(all.begin(), all.end(), "--calibration-texts") == all.end())
    all.insert(all.end(), {"--calibration-texts", "48"});
  auto const r = test::run_program(all);
  EXPECT_EQ(r.status, 0) << r.err;
  return json::parse(r.out);
}

// A difference of perplexities of n tokens is noise within sqrt(2 kl / n).
void expect_within(json const& e, double perplexity, double kl) {
  double const noise = 200 * std::sqrt(2 * e["kl"].get<double>() / e["tokens"].get<double>());
  EXPECT_LE(100 * e["perplexity_change"].get<double>(), perplexity + noise);
  EXPECT_LE(e["kl"].get<double>(), kl);
}

TEST(compress_quality, drops_the_cheapest_and_heals) {
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  for (cut const& c : {cut{"stories260K", {"--drop-attention", "1"}, 2, 16, .15, 1},
                       cut{"stories260K", {"--drop-layers", "1"}, 2, 80, .58, .75},
                       cut{"babyllama105", {"--drop-attention", "1"}, 0, 1.5, .013, .45},
                       cut{"babyllama105", {"--drop-layers", "1"}, 3, 90, .64, .45}}) {
    SCOPED_TRACE(std::string(c.model) + " " + c.options[0]);
    json const  r    = compressed(c);
    json const& step = r["cuts"].at(0);
    EXPECT_EQ(step["layer"], c.layer);
    for (json const& other : step["candidates"])
      if (other["layer"] == step["layer"]) {
        EXPECT_LE(other["kl"], c.benefit * other["kl_plain"].get<double>());
      }
    expect_within(r["evaluation"], c.perplexity, c.kl);
  }
}

TEST(compress_quality, quantises) {
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  for (cut const& c : {cut{"stories260K", {"--quantize", "w4a16"}, -1, 7.5, .068, .75},
                       cut{"babyllama105", {"--quantize", "w4a16"}, -1, 1.7, .016, .5},
                       cut{"stories260K", {"--quantize", "w8a8"}, -1, .3, 1.8e-3, 1},
                       cut{"babyllama105", {"--quantize", "w8a8"}, -1, .3, 1.1e-3, 1}}) {
    SCOPED_TRACE(std::string(c.model) + " " + c.options[1]);
    json const calibrated = compressed(c)["evaluation"];
    expect_within(calibrated, c.perplexity, c.kl);
    if (c.benefit < 1) {
      EXPECT_LE(calibrated["kl"], c.benefit * compressed(c, {"--method", "rtn"})["evaluation"]["kl"].get<double>());
    }
  }
}

// Codes of 4 bits with zero points: what is lost by GPTQ, by AWQ, by AWQ without the search of clipped ranges, by rounding.
TEST(compress_quality, awq_is_between_gptq_and_rounding) {
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  for (cut const& c : {cut{"stories260K", {"--quantize", "w4a16", "--zero-points", "on"}, -1, 9, .085, 1},
                       cut{"babyllama105", {"--quantize", "w4a16", "--zero-points", "on"}, -1, 3.3, .031, 1}}) {
    SCOPED_TRACE(c.model);
    std::vector<double> kl;
    for (std::vector<std::string> how :
         {std::vector<std::string>{}, {"--method", "awq"}, {"--method", "awq", "--no-clip"}, {"--method", "rtn"}}) {
      how.insert(how.end(), {"--calibration-texts", "16"});
      json const e = compressed(c, how)["evaluation"];
      kl.push_back(e["kl"]);
      if (kl.size() == 2) expect_within(e, c.perplexity, c.kl);
    }
    EXPECT_TRUE(std::is_sorted(kl.begin(), kl.end())) << kl[0] << " " << kl[1] << " " << kl[2] << " " << kl[3];
  }
}

// Scales of inputs that do not follow the inputs: where nothing is lost by that, or everywhere, smoothed.
TEST(compress_quality, fixes_scales_of_inputs) {
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  struct bounds {
    char const* model;
    double      some, all;  // nats per token, at most
  };
  for (bounds const& b : {bounds{"stories260K", 2.5e-3, 5e-3}, bounds{"babyllama105", 1.7e-3, 2.6e-3}}) {
    SCOPED_TRACE(b.model);
    cut const  w8a8{b.model, {"--quantize", "w8a8"}, -1, 0, 0, 1};
    json const some = compressed(w8a8, {"--calibration-texts", "16", "--activations", "auto"});
    expect_within(some["evaluation"], .4, b.some);
    for (json const& site : some["activations"])
      if (site["inputs"] == "gated") {
        EXPECT_EQ(site["scale"], "dynamic") << site;
      } else if (site["inputs"] != "attention") {
        EXPECT_EQ(site["scale"], "static") << site;
      }
    json const all = compressed(w8a8, {"--calibration-texts", "16", "--activations", "static", "--smooth", "0.8"});
    expect_within(all["evaluation"], .4, b.all);
    for (json const& site : all["activations"]) EXPECT_EQ(site["scale"], "static");
  }
}

TEST(compress_quality, narrows_and_fits) {
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  for (cut const& c : {cut{"stories260K", {"--cut-mlp-width", "0.1"}, -1, 18, .155, .75},
                       cut{"babyllama105", {"--cut-mlp-width", "0.1"}, -1, 4.5, .04, .6}}) {
    SCOPED_TRACE(c.model);
    json const fitted = compressed(c)["evaluation"], plain = compressed(c, {"--no-heal"})["evaluation"];
    json const drawn = compressed(c, {"--choice", "random", "--seed", "1"})["evaluation"];
    expect_within(fitted, c.perplexity, c.kl);
    EXPECT_LE(fitted["kl"], c.benefit * plain["kl"].get<double>());
    EXPECT_LE(fitted["kl"], .75 * drawn["kl"].get<double>());
  }
}

/// The model with a kv head of its own for every query head: the same function, of which single heads can go.
void save_with_all_kv_heads(std::filesystem::path const& from, std::filesystem::path const& to) {
  json                                    config = json::parse(test::read_text(from / "config.json"));
  std::size_t const                       kv = config["num_key_value_heads"], heads = config["num_attention_heads"];
  tenon::engine::checkpoint const         files(from);
  std::vector<tenon::engine::tensor_info> list;
  std::deque<std::vector<std::byte>>      repeated;
  for (std::string const& name : files.names()) {
    auto t = files.at(name);
    if (name.ends_with("k_proj.weight") || name.ends_with("v_proj.weight")) {
      auto&             all  = repeated.emplace_back();
      std::size_t const head = t.bytes.size() / kv;
      for (std::size_t h = 0; h < heads; ++h) {
        auto const one = t.bytes.subspan(h / (heads / kv) * head, head);
        all.insert(all.end(), one.begin(), one.end());
      }
      t.shape[0] *= static_cast<std::int64_t>(heads / kv), t.bytes = all;
    }
    list.push_back(t);
  }
  std::filesystem::create_directories(to);
  tenon::engine::write_safetensors(to / "model.safetensors", list);
  config["num_key_value_heads"] = heads;
  test::write_text(to / "config.json", config.dump());
}

// One of eight query heads of every layer, and one of four kv heads with its two query heads.
TEST(compress_quality, drops_the_heads_that_say_least) {
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  test::scratch_folder           folder;
  std::vector<std::string> const few = {"--calibration-texts", "24"};
  for (cut const& c : {cut{"stories260K", {"--cut-heads", "1"}, -1, 2.5, .024, 1},
                       cut{"babyllama105", {"--cut-heads", "1"}, -1, 2, .017, .5},
                       cut{"stories260K", {"--cut-kv-heads", "1"}, -1, 20, .19, 1}}) {
    SCOPED_TRACE(std::string(c.model) + " " + c.options[0]);
    auto const whole = test::shared_data() / "models" / c.model / "hf", single = folder / c.model;
    bool const one = c.options[0] == "--cut-heads";
    if (one) save_with_all_kv_heads(whole, single);
    std::string const model = (one ? single : whole).string();
    json const        best  = compressed(c, few, model)["evaluation"];
    expect_within(best, c.perplexity, c.kl);
    if (c.benefit < 1) {
      auto drawn = few;
      drawn.insert(drawn.end(), {"--choice", "random", "--seed", "1"});
      EXPECT_LE(best["kl"], c.benefit * compressed(c, drawn, model)["evaluation"]["kl"].get<double>());
    }
  }
}

}  // namespace
