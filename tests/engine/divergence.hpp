#pragma once
//  How far the logits of one run of the program are from those of another, computed here from what --dump-logits wrote.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ostream>
#include <string>
#include <vector>

#include "program.hpp"

namespace test {

/// The values of a .npy of float32 (rows, columns).
struct logits {
  std::vector<float> values;
  std::size_t        columns = 0;

  explicit logits(fs::path const& file, std::size_t rows = 1) {
    std::string const npy = read_text(file);
    values.resize((npy.size() - 128) / sizeof(float));
    std::memcpy(values.data(), npy.data() + 128, values.size() * sizeof(float));
    columns = values.size() / rows;
  }
  float const* row(std::size_t i) const { return values.data() + i * columns; }
  std::size_t  rows() const { return values.size() / columns; }
};

inline std::vector<double> log_softmax(float const* row, std::size_t columns) {
  double const top = *std::max_element(row, row + columns);
  double       sum = 0;
  for (std::size_t i = 0; i < columns; ++i) sum += std::exp(row[i] - top);
  std::vector<double> p(columns);
  for (std::size_t i = 0; i < columns; ++i) p[i] = row[i] - top - std::log(sum);
  return p;
}

struct divergence {
  double kl   = 0;  // Kullback-Leibler, nats per row
  double top1 = 0;  // share of rows whose likeliest token agrees
};

/// Of `got` from `expected`, which have the same shape.
inline divergence divergence_of(logits const& expected, logits const& got) {
  divergence d;
  for (std::size_t t = 0; t < expected.rows(); ++t) {
    auto const p = log_softmax(expected.row(t), expected.columns), q = log_softmax(got.row(t), got.columns);
    for (std::size_t i = 0; i < p.size(); ++i) d.kl += std::exp(p[i]) * (p[i] - q[i]);
    d.top1 += std::max_element(p.begin(), p.end()) - p.begin() == std::max_element(q.begin(), q.end()) - q.begin();
  }
  auto const rows = static_cast<double>(expected.rows());
  d.kl /= rows, d.top1 /= rows;
  return d;
}

// ---- real models, whose golden texts a choice is judged by

/// A choice of an option, the most that it may diverge and the least share of rows that agree.
struct quality_bounds {
  char const* choice;
  double      kl, top1;
};
struct quality_subject {
  char const*                 name;  // of a model in the shared data
  std::vector<quality_bounds> each;
};
inline std::ostream& operator<<(std::ostream& out, quality_subject const& s) { return out << s.name; }

/// The f32 model with and without `option` choice, --reference f32: what it costs, by the logits of both and as the program
/// says. Something must have changed: a divergence of `least` or more.
inline void expect_quality(quality_subject const& subject, std::string const& option, double least) {
  if (shared_data().empty()) GTEST_SKIP() << no_shared_data;
  std::string const    name = subject.name;
  scratch_folder const folder;
  auto const           run = [&](char const* dump, std::vector<std::string> const& more) {
    std::vector<std::string> args = {"perplexity",
                                     "--model",
                                     (shared_data() / "models" / name / "hf").string(),
                                     "--ids",
                                     (shared_data() / "golden" / (name + "_nll.json")).string(),
                                     "--dtype",
                                     "f32",
                                     "--output",
                                     "json",
                                     "--dump-logits",
                                     (folder / dump).string()};
    args.insert(args.end(), more.begin(), more.end());
    auto const r = run_program(args);
    EXPECT_EQ(r.status, 0) << r.err;
    return r.status == 0 ? r.lines().at(0) : nlohmann::json::object();
  };
  auto const plain = run("f32.npy", {});
  if (testing::Test::HasFailure()) return;
  auto const   tokens = plain["tokens"].get<std::size_t>();
  logits const expected(folder / "f32.npy", tokens);
  for (quality_bounds const& b : subject.each) {
    SCOPED_TRACE(b.choice);
    auto const said = run("chosen.npy", {option, b.choice, "--reference", "f32"});
    if (testing::Test::HasFailure()) return;
    logits const got(folder / "chosen.npy", tokens);
    ASSERT_EQ(got.values.size(), expected.values.size());
    auto const [kl, top1] = divergence_of(expected, got);
    std::printf("  %s %s: kl %.3e, top-1 %.4f, nll %.6f (f32 %.6f)\n", subject.name, b.choice, kl, top1,
                said["nll"].get<double>(), plain["nll"].get<double>());
    EXPECT_LE(kl, b.kl);
    EXPECT_GE(top1, b.top1);
    EXPECT_GT(kl, least);
    EXPECT_NEAR(said["kl"].get<double>(), kl, 1e-9 + 1e-6 * kl);
    EXPECT_NEAR(said["top1_agreement"].get<double>(), top1, 1e-3);
  }
}

}  // namespace test
