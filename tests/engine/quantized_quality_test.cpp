//  What --quantize costs on real models: the Kullback-Leibler divergence from the f32 model and how often the likeliest token
//  agrees, computed here from the logits of both.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "program.hpp"

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

/// The values of a .npy of float32 (rows, columns).
struct logits {
  std::vector<float> values;
  std::size_t        columns = 0;

  explicit logits(test::fs::path const& file, std::size_t rows) {
    std::string const npy = test::read_text(file);
    values.resize((npy.size() - 128) / sizeof(float));
    std::memcpy(values.data(), npy.data() + 128, values.size() * sizeof(float));
    columns = values.size() / rows;
  }
  float const* row(std::size_t i) const { return values.data() + i * columns; }
};

std::vector<double> log_softmax(float const* row, std::size_t columns) {
  double const top = *std::max_element(row, row + columns);
  double       sum = 0;
  for (std::size_t i = 0; i < columns; ++i) sum += std::exp(row[i] - top);
  std::vector<double> p(columns);
  for (std::size_t i = 0; i < columns; ++i) p[i] = row[i] - top - std::log(sum);
  return p;
}

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
  auto const   plain  = run("f32.npy", {});
  auto const   tokens = plain["tokens"].get<std::size_t>();
  logits const expected(folder / "f32.npy", tokens);
  for (bounds const& b : GetParam().each) {
    SCOPED_TRACE(b.choice);
    auto const   said = run("quantised.npy", {"--quantize", b.choice, "--reference", "f32"});
    logits const got(folder / "quantised.npy", tokens);
    ASSERT_EQ(got.values.size(), expected.values.size());
    double      kl     = 0;
    std::size_t agreed = 0;
    for (std::size_t t = 0; t < tokens; ++t) {
      auto const p = log_softmax(expected.row(t), expected.columns), q = log_softmax(got.row(t), got.columns);
      for (std::size_t i = 0; i < p.size(); ++i) kl += std::exp(p[i]) * (p[i] - q[i]);
      agreed += std::max_element(p.begin(), p.end()) - p.begin() == std::max_element(q.begin(), q.end()) - q.begin();
    }
    kl /= static_cast<double>(tokens);
    double const top1 = static_cast<double>(agreed) / static_cast<double>(tokens);
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
