//  What --quantize costs on real models: the Kullback-Leibler divergence from the f32 model and how often the likeliest token
//  agrees, computed here from the logits of both.
#include <gtest/gtest.h>

#include "divergence.hpp"

namespace {

using nlohmann::json;

struct bounds {
  char const* choice;
  double      kl, top1;
};
struct subject {
  char const* name;
  bounds each[4];  // of w8a8 and w8a16 what was to be reached; of the others what was measured, with a tenth to spare
};
std::ostream& operator<<(std::ostream& out, subject const& s) { return out << s.name; }

constexpr subject subjects[] = {
    {"stories260K", {{"w8a8", 1.8e-3, 0.975}, {"w8a16", 6e-4, 0.98}, {"w4a16", 0.099, 0.83}, {"fp8", 0.0122, 0.94}}},
    {"babyllama105",
     {{"w8a8", 1.1e-3, 0.988}, {"w8a16", 3e-4, 0.99}, {"w4a16", 0.042, 0.915}, {"fp8", 0.0081, 0.963}}}};

class quality : public testing::TestWithParam<subject> {
 protected:
  void SetUp() override {
    if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  }
};
INSTANTIATE_TEST_SUITE_P(models, quality, testing::ValuesIn(subjects),
                         [](auto const& s) { return std::string(s.param.name); });

TEST_P(quality, of_quantised_models) {
  std::string const          name = GetParam().name;
  test::scratch_folder const folder;
  auto const                 run = [&](char const* dump, std::vector<std::string> const& more) {
    std::vector<std::string> args = {"perplexity",
                                     "--model",
                                     (test::shared_data() / "models" / name / "hf").string(),
                                     "--ids",
                                     (test::shared_data() / "golden" / (name + "_nll.json")).string(),
                                     "--dtype",
                                     "f32",
                                     "--output",
                                     "json",
                                     "--dump-logits",
                                     (folder / dump).string()};
    args.insert(args.end(), more.begin(), more.end());
    auto const r = test::run_program(args);
    EXPECT_EQ(r.status, 0) << r.err;
    return r.lines().at(0);
  };
  auto const         plain  = run("f32.npy", {});
  auto const         tokens = plain["tokens"].get<std::size_t>();
  test::logits const expected(folder / "f32.npy", tokens);
  for (bounds const& b : GetParam().each) {
    SCOPED_TRACE(b.choice);
    auto const         said = run("quantised.npy", {"--quantize", b.choice, "--reference", "f32"});
    test::logits const got(folder / "quantised.npy", tokens);
    ASSERT_EQ(got.values.size(), expected.values.size());
    auto const [kl, top1] = test::divergence_of(expected, got);
    std::printf("  %s %s: kl %.3e, top-1 %.4f, nll %.6f (f32 %.6f)\n", name.c_str(), b.choice, kl, top1,
                said["nll"].get<double>(), plain["nll"].get<double>());
    EXPECT_LE(kl, b.kl);
    EXPECT_GE(top1, b.top1);
    EXPECT_GT(kl, 1e-6);  // something was quantised
    EXPECT_NEAR(said["kl"].get<double>(), kl, 1e-9 + 1e-6 * kl);
    EXPECT_NEAR(said["top1_agreement"].get<double>(), top1, 1e-3);
  }
}

}  // namespace
