//  What --kv-cache-dtype costs on real models: the Kullback-Leibler divergence from the f32 model with a cache of f32, and how
//  often the likeliest token agrees, computed here from the logits of both.
#include <gtest/gtest.h>

#include "divergence.hpp"

namespace {

using nlohmann::json;

struct bounds {
  char const* format;
  double      kl, top1;
};
struct subject {
  char const* name;
  bounds      each[5];  // of int8 what was to be reached; of the others what was measured, with room to spare
};
std::ostream& operator<<(std::ostream& out, subject const& s) { return out << s.name; }

constexpr subject subjects[] = {
    {"stories260K",
     {{"int8", 1.1e-3, 0.98}, {"fp8", 1.3e-2, 0.94}, {"int4", 0.5, 0.7}, {"f16", 3e-6, 0.999}, {"bf16", 2e-4, 0.99}}},
    {"babyllama105",
     {{"int8", 2e-4, 0.99}, {"fp8", 6e-3, 0.97}, {"int4", 0.035, 0.93}, {"f16", 1e-6, 0.999}, {"bf16", 4e-5, 0.995}}}};

class kv_cache : public testing::TestWithParam<subject> {
 protected:
  void SetUp() override {
    if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  }
};
INSTANTIATE_TEST_SUITE_P(models, kv_cache, testing::ValuesIn(subjects),
                         [](auto const& s) { return std::string(s.param.name); });

TEST_P(kv_cache, quality_of_formats) {
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
    return r.status == 0 ? r.lines().at(0) : json::object();
  };
  auto const         plain  = run("f32.npy", {});
  auto const         tokens = plain["tokens"].get<std::size_t>();
  test::logits const expected(folder / "f32.npy", tokens);
  for (bounds const& b : GetParam().each) {
    SCOPED_TRACE(b.format);
    auto const said = run("stored.npy", {"--kv-cache-dtype", b.format, "--reference", "f32"});
    if (HasFailure()) return;
    test::logits const got(folder / "stored.npy", tokens);
    ASSERT_EQ(got.values.size(), expected.values.size());
    auto const [kl, top1] = test::divergence_of(expected, got);
    std::printf("  %s %s: kl %.3e, top-1 %.4f, nll %.6f (f32 %.6f)\n", name.c_str(), b.format, kl, top1,
                said["nll"].get<double>(), plain["nll"].get<double>());
    EXPECT_LE(kl, b.kl);
    EXPECT_GE(top1, b.top1);
    EXPECT_GT(kl, 1e-9);  // something was rounded
    // The reference of the program's own figure has a cache of f32, too.
    EXPECT_NEAR(said["kl"].get<double>(), kl, 1e-9 + 1e-6 * kl);
    EXPECT_NEAR(said["top1_agreement"].get<double>(), top1, 1e-3);
  }
}

}  // namespace
