//  tenon compress --cut-heads and --cut-kv-heads: which heads go, what is left of every matrix, and that it loads.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "compressed.hpp"
#include "program.hpp"
#include "random_model.hpp"

namespace {

using nlohmann::json;
using test::model, test::numbers, test::plain_llama, test::run_program, test::scratch_folder, test::shape;

/// The report of a run that works, evaluated on ids that are in the folder from then on.
json compress(scratch_folder const& folder, std::string const& from, std::string const& to,
              std::vector<std::string> more) {
  json ids;
  for (int i = 0; i < 40; ++i) ids.push_back(i * i % test::vocabulary);
  test::write_text(folder / "ids.json", json{{"per_text", {{{"ids", ids}}}}}.dump());
  more.insert(more.end(), {"--eval-ids", (folder / "ids.json").string()});
  return test::compress(from, to, more);
}

/// Rows of the units `kept`.
std::vector<float> rows_of(std::vector<float> const& all, std::vector<int> const& kept, int unit_rows, int width) {
  std::vector<float> rows;
  for (int const u : kept)
    for (int i = 0; i < unit_rows * width; ++i)
      rows.push_back(all[static_cast<std::size_t>(u * unit_rows * width + i)]);
  return rows;
}

struct dead_heads {
  shape                    of;
  std::vector<std::string> options;
  std::vector<int>         dead;      // query heads, in all layers
  std::vector<int>         kept, kv;  // that stay

  friend std::ostream& operator<<(std::ostream& out, dead_heads const& c) { return out << c.of.name; }
};

// A head whose columns of o_proj are nothing says nothing. It goes, and the model says what it said.
class head_cut : public testing::TestWithParam<dead_heads> {};
constexpr shape gemma2{"gemma2", "gemma2", 4, 2, 16, 28, true, false, false, 1, 24, {6, 0}, "silu", 9, 1.25, 2};
INSTANTIATE_TEST_SUITE_P(
    shapes, head_cut,
    testing::Values(
        dead_heads{{"query_heads", "llama", 6, 2, 8, 40, false, false, false, 1, 48},
                   {"--cut-heads", "2"},
                   {1, 5},
                   {0, 2, 3, 4},
                   {0, 1}},
        dead_heads{{"two_of_three", "llama", 6, 2, 8, 40, true, false, false, 1, 48},
                   {"--cut-heads", "4"},
                   {0, 1, 3, 5},
                   {2, 4},
                   {0, 1}},
        dead_heads{{"biases_window", "mistral", 6, 2, 8, 40, false, false, false, 1, 48, {5, 5}},
                   {"--cut-kv-heads", "1"},
                   {0, 1, 2},
                   {3, 4, 5},
                   {1}},
        dead_heads{
            {"kv_heads", "llama", 4, 2, 8, 40, false, true, true, 1, 32}, {"--cut-kv-heads", "1"}, {2, 3}, {0, 1}, {0}},
        dead_heads{{"both", "llama", 9, 3, 8, 40, false, true, false, 1, 72},
                   {"--cut-kv-heads", "1", "--cut-heads", "2"},
                   {1, 3, 4, 5, 8},
                   {0, 2, 6, 7},
                   {0, 2}},
        dead_heads{{"of_their_own", "llama", 4, 4, 8, 40, false, false, false, 1, 32},
                   {"--cut-heads", "1"},
                   {2},
                   {0, 1, 3},
                   {0, 1, 3}},
        dead_heads{
            {"qwen2", "qwen2", 4, 2, 8, 20, false, false, false, 1, 32}, {"--cut-heads", "2"}, {1, 2}, {0, 3}, {0, 1}},
        dead_heads{
            {"qwen3", "qwen3", 4, 2, 16, 20, false, false, false, 1}, {"--cut-heads", "2"}, {0, 3}, {1, 2}, {0, 1}},
        dead_heads{gemma2, {"--cut-kv-heads", "1"}, {0, 1}, {2, 3}, {1}}),
    [](auto const& c) { return std::string(c.param.of.name); });

TEST_P(head_cut, takes_the_heads_that_say_nothing) {
  dead_heads const& c   = GetParam();
  int const         dim = c.of.head_dim, hidden = c.of.hidden;
  scratch_folder    in;
  model             m(c.of);
  if (c.of.hidden == c.of.heads * dim) m.config_patch["head_dim"] = nullptr;  // as most files have it
  for (int i = 0; i < test::layers; ++i) {
    std::vector<float>& o = m.values("model.layers." + std::to_string(i) + ".self_attn.o_proj.weight");
    for (std::size_t e = 0; e < o.size(); ++e)
      for (int const h : c.dead)
        if (static_cast<int>(e) % (c.of.heads * dim) / dim == h) o[e] = 0;
  }
  m.save(in);
  std::string const from = in.path().string(), out = (in / "out").string();
  auto const        r = compress(in, from, out, c.options);
  ASSERT_EQ(r["heads"].size(), std::size_t{test::layers});
  for (json const& h : r["heads"]) {
    EXPECT_EQ(h["kept"], json(c.kept));
    EXPECT_EQ(h["heads_before"], c.of.heads);
    EXPECT_EQ(h["heads"], c.kept.size());
    EXPECT_EQ(h["kv_heads_before"], c.of.kv_heads);
    EXPECT_EQ(h["kv_heads"], c.kv.size());
    EXPECT_NEAR(h["output_error_plain"].get<double>(), 0, 1e-7);
    EXPECT_NEAR(h["output_error"].get<double>(), 0, 1e-7);
  }
  EXPECT_NEAR(r["evaluation"]["kl"].get<double>(), 0, 1e-9);
  EXPECT_LT(r["parameters"], r["parameters_before"]);

  auto const config = json::parse(test::read_text(in / "out/config.json"));
  EXPECT_EQ(config["num_attention_heads"], c.kept.size());
  EXPECT_EQ(config["num_key_value_heads"], c.kv.size());
  EXPECT_EQ(config["head_dim"], dim);
  EXPECT_FALSE(config.contains("tenon_layers"));
  for (int i = 0; i < test::layers; ++i) {
    std::string const self = "model.layers." + std::to_string(i) + ".self_attn.";
    for (auto const& [module, kept] : {std::pair{"q_proj", &c.kept}, {"k_proj", &c.kv}, {"v_proj", &c.kv}}) {
      EXPECT_EQ(numbers(out, self + module + ".weight"), rows_of(m.weight(self + module), *kept, dim, hidden))
          << module;
      if (c.of.attention_bias || c.of.is("qwen2")) {
        EXPECT_EQ(numbers(out, self + module + ".bias"), rows_of(m.values(self + module + ".bias"), *kept, dim, 1));
      }
    }
  }
}

// Heads that say something: the fit leaves the output nearer to what it was, and without it nothing is touched.
TEST(head_cuts, fit_what_is_left) {
  scratch_folder in;
  shape          biased = plain_llama;
  biased.heads = 6, biased.kv_heads = 2, biased.attention_bias = true;
  model m(biased);
  m.save(in);
  std::string const from   = in.path().string();
  auto const        fitted = compress(in, from, (in / "fitted").string(), {"--cut-heads", "2"});
  auto const        plain  = compress(in, from, (in / "plain").string(), {"--cut-heads", "2", "--no-heal"});
  for (std::size_t i = 0; i < 2; ++i) {
    json const &f = fitted["heads"][i], &p = plain["heads"][i];
    EXPECT_LT(f["output_error"], .9 * f["output_error_plain"].get<double>());
    EXPECT_EQ(p["output_error"], p["output_error_plain"]);
    EXPECT_GT(p["output_error_plain"], .05);
  }
  EXPECT_LT(fitted["evaluation"]["kl"], plain["evaluation"]["kl"]);
  std::string const o    = "model.layers.0.self_attn.o_proj";
  auto const        kept = numbers((in / "plain").string(), o + ".weight");
  for (std::size_t row = 0; row < 24; ++row)
    for (std::size_t j = 0; j < 32; ++j) {
      auto const head = plain["heads"][0]["kept"][j / 8].get<std::size_t>();
      EXPECT_EQ(kept[row * 32 + j], m.weight(o)[row * 48 + head * 8 + j % 8]);
    }
  EXPECT_EQ(numbers((in / "plain").string(), o + ".bias"), m.values(o + ".bias"));
  EXPECT_NE(numbers((in / "fitted").string(), o + ".bias"), m.values(o + ".bias"))
      << "what is constant goes into the bias";

  // A control draws its heads by the seed.
  auto const random = [&](char const* seed) {
    return compress(
        in, from, (in / ("random" + std::string(seed))).string(),
        {"--cut-heads", "4", "--choice", "random", "--seed", seed, "--ids", (in / "ids.json").string()})["heads"];
  };
  EXPECT_NE(random("1"), random("2"));
}

// Layers of their own shapes: a half that is gone has no heads to lose; and a cut of a cut.
TEST(head_cuts, know_of_layers_without_attention) {
  scratch_folder in;
  shape          of = plain_llama;
  of.heads = 6, of.kv_heads = 2;
  model(of).save(in);
  std::string const first = (in / "first").string(), second = (in / "second").string();
  auto const        r = compress(in, in.path().string(), first, {"--drop-attention", "1", "--cut-heads", "2"});
  EXPECT_EQ(r["heads"].size(), 1u);
  compress(in, first, second, {"--cut-kv-heads", "1"});
  auto const layers = json::parse(test::read_text(in / "second/config.json"))["tenon_layers"];
  int        heads = 0, kv_heads = 0;
  for (json const& l : layers)
    heads += l["num_attention_heads"].get<int>(), kv_heads += l["num_key_value_heads"].get<int>();
  EXPECT_EQ(heads, 2);
  EXPECT_EQ(kv_heads, 1);
}

TEST(head_cuts, are_the_same_on_any_number_of_threads_and_stay) {
  scratch_folder in;
  shape          of = plain_llama;
  of.heads = 6, of.kv_heads = 2;
  model(of).save(in);
  for (std::string const threads : {"1", "2"})
    compress(in, in.path().string(), (in / threads).string(),
             {"--cut-heads", "2", "--cut-kv-heads", "1", "--threads", threads});
  for (std::string const file : {"model.safetensors", "config.json", "compress_report.json"})
    EXPECT_EQ(test::read_text(in / ("1/" + file)), test::read_text(in / ("2/" + file))) << file;
  compress(in, (in / "1").string(), (in / "again").string(), {});
  for (std::string const file : {"model.safetensors", "config.json"})
    EXPECT_EQ(test::read_text(in / ("1/" + file)), test::read_text(in / ("again/" + file))) << file;
}

TEST(head_cuts, refuse_what_does_not_go_evenly) {
  scratch_folder in;
  shape          of = plain_llama;
  of.heads = 6, of.kv_heads = 2;
  model(of).save(in);
  auto const error = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"compress", "--model", in.path().string(), "--out", (in / "out").string(),
                               "--calibration-texts", "2", "--calibration-length", "8"});
    auto const r = run_program(more);
    EXPECT_EQ(r.status, 1);
    EXPECT_FALSE(std::filesystem::exists(in / "out"));
    return r.err;
  };
  EXPECT_EQ(error({"--cut-heads", "1"}),
            "tenon: --cut-heads: do not go evenly from layer 0 of 6 heads over 2 kv heads: found 1, expected a "
            "multiple of 2, "
            "a query head of every kv head, up to 4\n");
  EXPECT_EQ(error({"--cut-heads", "6"}).substr(0, 40), "tenon: --cut-heads: do not go evenly fro");
  EXPECT_EQ(
      error({"--cut-kv-heads", "2"}),
      "tenon: --cut-kv-heads: leaves layer 0 of 6 heads over 2 kv heads without heads: found 2, expected at most 1\n");
}

}  // namespace
