//  What cuts cost on real models, in f32, on texts that the calibration has not seen.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
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
  double                   benefit;     // of healing or calibration: divergence as a part of the plain cut's, at most
};

json compressed(cut const& c, std::vector<std::string> const& more = {}) {
  test::scratch_folder     folder;
  auto const               data = test::shared_data();
  std::vector<std::string> all  = {"compress",
                                   "--model",
                                   (data / "models" / c.model / "hf").string(),
                                   "--out",
                                   (folder / "out").string(),
                                   "--output",
                                   "json",
                                   "--calibration-texts",
                                   "48",
                                   "--eval-ids",
                                   (data / "golden" / (std::string(c.model) + "_nll.json")).string()};
  all.insert(all.end(), c.options.begin(), c.options.end()), all.insert(all.end(), more.begin(), more.end());
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

TEST(compress_quality, narrows_and_fits) {
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  for (cut const& c : {cut{"stories260K", {"--cut-mlp-width", "0.1"}, -1, 18, .155, .75},
                       cut{"babyllama105", {"--cut-mlp-width", "0.1"}, -1, 4.5, .04, .6}}) {
    SCOPED_TRACE(c.model);
    json const fitted = compressed(c)["evaluation"], plain = compressed(c, {"--no-heal"})["evaluation"];
    expect_within(fitted, c.perplexity, c.kl);
    EXPECT_LE(fitted["kl"], c.benefit * plain["kl"].get<double>());
  }
}

}  // namespace
