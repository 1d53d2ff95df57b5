//  What a compressed KV cache costs on real models, in f32: each text's prefix is compressed once, and what follows is
//  compared with the run over all keys.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "program.hpp"

namespace {

using nlohmann::json;

struct subject {
  char const* model;
  char const* prefix;
  double      kl;  // of SnapKV with half of the tokens, nats per token, at most
};
class kv_compression : public testing::TestWithParam<subject> {
 protected:
  void SetUp() override {
    if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  }
  json run(std::string const& more) const {
    auto const data = test::shared_data();
    auto const r =
        test::run_program({"perplexity", "--model", (data / "models" / GetParam().model / "hf").string(), "--ids",
                           (data / "golden" / (std::string(GetParam().model) + "_nll.json")).string(), "--dtype", "f32",
                           "--output", "json", "--kv-prefix", GetParam().prefix},
                          test::words(more));
    EXPECT_EQ(r.status, 0) << r.err;
    return r.lines().at(0);
  }
};
INSTANTIATE_TEST_SUITE_P(models, kv_compression,
                         testing::Values(subject{"stories260K", "192", .008}, subject{"babyllama105", "128", .0035}),
                         [](auto const& s) { return std::string(s.param.model); });

TEST_P(kv_compression, snapkv_is_the_best_at_a_half) {
  json const best = run("--kv-keep 0.5");
  EXPECT_LE(best["kl"], GetParam().kl);
  EXPECT_GT(best["kl"], 0);
  EXPECT_EQ(best["freed_bytes"], best["ideal_bytes"]);
  for (char const* const other : {"window", "h2o", "random"}) {
    json const r = run(std::string("--kv-keep 0.5 --kv-score ") + other);
    EXPECT_GT(r["kl"], best["kl"].get<double>()) << other;
    EXPECT_GT(r["attention_error"], best["attention_error"].get<double>()) << other;
  }
}

TEST_P(kv_compression, budgets_of_heads_free_their_pages) {
  json const r = run("--kv-keep 0.5 --kv-budget ada");
  EXPECT_GE(r["freed_of_ideal"], .9);
  EXPECT_LE(r["kl"], GetParam().kl);
}

TEST_P(kv_compression, what_is_rebuilt_costs_less_and_less) {
  double kl = run("--kv-keep 0.5")["kl"], rebuilt = 0;
  for (char const* const bound : {"0.4", "0.2", "0"}) {
    json const r = run(std::string("--kv-keep 0.5 --kv-rebuild ") + bound);
    EXPECT_LT(r["kl"], kl) << bound;
    EXPECT_GT(r["rebuilt_of_prefill"], rebuilt) << bound;
    kl = r["kl"], rebuilt = r["rebuilt_of_prefill"];
  }
  EXPECT_EQ(kl, 0) << "everything is back";
}

}  // namespace
