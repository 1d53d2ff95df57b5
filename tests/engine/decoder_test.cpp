//  The decoder against plain double-precision loops, on small random models of every shape that it reads: biases here and
//  there, tied and untied heads, a width that is no multiple of eight, one shard and several, windows, caps, more norms; and
//  over quantised caches, whose values the loops round in the same way.
#include <tenon/kv/kv_format.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "divergence.hpp"
#include "random_model.hpp"

namespace {

using nlohmann::json;
using test::matrix, test::model, test::shape, test::vocabulary;

// Caps near the values that they cap.
constexpr shape gemma2{"gemma2", "gemma2", 4, 2, 16, 28, true, false, false, 1, 24, {6, 0}, "silu", 9, 1.25, 2};

class decoder : public testing::TestWithParam<shape> {};
INSTANTIATE_TEST_SUITE_P(
    shapes, decoder,
    testing::Values(
        shape{"llama", "llama", 3, 1, 8, 32, true, false, false, 1},
        shape{"llama_untied_biases", "llama", 4, 4, 16, 20, false, true, true, 3},
        shape{"mistral", "mistral", 6, 2, 8, 40, false, false, false, 2},
        shape{"qwen2", "qwen2", 4, 2, 8, 20, false, false, false, 1},
        shape{"qwen2_tied", "qwen2", 5, 1, 24, 7, true, false, false, 1},
        shape{"llama_gelu", "llama", 3, 3, 8, 32, true, false, true, 1, 24, {}, "gelu_pytorch_tanh"},
        shape{"llama_quick_gelu", "llama", 3, 3, 8, 32, true, false, false, 1, 24, {}, "quick_gelu"},
        shape{"mistral_window", "mistral", 6, 2, 8, 40, false, false, false, 1, 24, {5, 5}},
        shape{"mistral_one_window", "mistral", 6, 2, 8, 40, false, false, false, 1, 24, {6, 0}},
        shape{"qwen2_window", "qwen2", 4, 2, 8, 20, false, false, false, 1, 24, {0, 1}},
        shape{"qwen3", "qwen3", 4, 2, 16, 20, false, false, false, 1},
        shape{"qwen3_biases_window", "qwen3", 3, 1, 8, 20, true, true, false, 1, 40, {7, 7}}, gemma2,
        shape{"gemma2_wide_heads", "gemma2", 2, 2, 40, 24, true, false, false, 2, 16, {0, 3}, "silu", 5, 0, 1.5}),
    [](auto const& s) { return std::string(s.param.name); });

std::vector<int> some_ids() {
  std::vector<int> ids;
  for (int i = 0; i < 23; ++i) ids.push_back(i * 7 % vocabulary);
  return ids;
}
/// The same in ids.json, as `perplexity --ids` reads them.
std::vector<int> write_ids(test::scratch_folder const& folder) {
  auto const ids = some_ids();
  test::write_text(folder / "ids.json", json{{"per_text", {{{"ids", ids}}}}}.dump());
  return ids;
}

TEST_P(decoder, logits_are_those_of_the_definition) {
  model const                m(GetParam());
  test::scratch_folder const folder;
  m.save(folder);
  auto const ids = write_ids(folder);

  // In one piece and in pieces of five tokens, over pages of three: the cache must hold what it was given.
  for (char const* const batch : {"512", "5"}) {
    SCOPED_TRACE(std::string("at most ") + batch + " tokens per step");
    auto const r =
        test::run_program({"perplexity", "--model", folder.path().string(), "--ids", (folder / "ids.json").string(),
                           "--dtype", "f32", "--dump-logits", (folder / "logits.npy").string(), "--output", "json",
                           "--block-size", "3", "--max-num-batched-tokens", batch});
    ASSERT_EQ(r.status, 0) << r.err;
    auto const   have     = test::logits(folder / "logits.npy").values;
    matrix const expected = m.forward({ids.begin(), ids.end() - 1});
    ASSERT_EQ(have.size(), expected.size());
    double worst = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) worst = std::max(worst, std::abs(double(have[i]) - expected[i]));
    EXPECT_LE(worst, 2e-5);
  }
}

// Greedy completions of ids alone: no tokenizer is there, and none is needed.
TEST_P(decoder, a_model_without_a_tokenizer_completes_ids) {
  model const                m(GetParam());
  test::scratch_folder const folder;
  m.save(folder);
  std::vector<int> ids = {3, 14, 15};
  auto const r = test::run_program({"generate", "--model", folder.path().string(), "--prompts", "-", "--temperature",
                                    "0", "--ignore-eos", "--max-tokens", "12", "--output", "json"},
                                   json{{"prompt_ids", ids}}.dump() + "\n");
  ASSERT_EQ(r.status, 0) << r.err;
  auto const got = r.lines().at(0);
  EXPECT_EQ(got["text"], "");
  for (int const id : got["ids"]) {
    matrix const logits = m.forward(ids);
    auto const   last   = logits.end() - vocabulary;
    EXPECT_EQ(id, std::max_element(last, logits.end()) - last);
    ids.push_back(id);
  }
  EXPECT_EQ(got["ids"].size(), 12u);
}

// Every gate, norm and cap once more around products of packed weights: 8 bits move the logits little.
TEST_P(decoder, packed_weights_serve_every_shape) {
  model const                m(GetParam());
  test::scratch_folder const folder;
  m.save(folder);
  auto const ids = write_ids(folder);
  auto const r =
      test::run_program({"perplexity", "--model", folder.path().string(), "--ids", (folder / "ids.json").string(),
                         "--dtype", "f32", "--quantize", "w8a16", "--dump-logits", (folder / "logits.npy").string()});
  ASSERT_EQ(r.status, 0) << r.err;
  auto const   have     = test::logits(folder / "logits.npy").values;
  matrix const expected = m.forward({ids.begin(), ids.end() - 1});
  ASSERT_EQ(have.size(), expected.size());
  double off = 0, all = 0;
  for (std::size_t i = 0; i < have.size(); ++i)
    off += std::pow(double(have[i]) - expected[i], 2), all += std::pow(expected[i], 2);
  EXPECT_GT(off, 0);
  EXPECT_LE(std::sqrt(off / all), 0.03);
}

/// What a cache of Format gives back of one head of one token.
template <class Format>
void stored(std::span<double> row) {
  std::size_t const group = Format::group ? Format::group : row.size();
  for (std::size_t first = 0; first < row.size(); first += group) {
    auto const   part  = row.subspan(first, std::min(group, row.size() - first));
    double const least = *std::min_element(part.begin(), part.end()),
                 most  = *std::max_element(part.begin(), part.end());
    typename Format::scale_type scale;
    if constexpr (std::is_same_v<Format, tenon::kv_fp8>)
      scale = tenon::kv_fp8_scale(static_cast<float>(std::max(-least, most)));
    else scale = tenon::kv_range_of<Format>(static_cast<float>(least), static_cast<float>(most));
    for (double& v : part) {
      std::uint8_t const code = tenon::kv_code_of<Format>(static_cast<float>(v), scale);  // of column 0 of a row
      v = double(tenon::kv_scale(scale)) * tenon::kv_code_number<Format>(&code, 0) + double(tenon::kv_offset(scale));
    }
  }
}

// The program's own cache, not merely some cache of 8 or 4 bits: the loops round keys and values as the format says. What is
// left is little beside what rounding does: a code may be the next one where f32 and double fall on two sides of a half.
TEST_P(decoder, quantised_caches_hold_what_their_formats_say) {
  struct format {
    char const* name;
    void (*store)(std::span<double>);
  };
  std::vector<int> const ids = some_ids();
  for (format const& f : {format{"fp8", stored<tenon::kv_fp8>}, format{"int8", stored<tenon::kv_int8>},
                          format{"int4", stored<tenon::kv_int4>}}) {
    SCOPED_TRACE(f.name);
    model                      m(GetParam());
    test::scratch_folder const folder;
    m.save(folder);
    test::write_text(folder / "ids.json", json{{"per_text", {{{"ids", ids}}}}}.dump());
    matrix const exact    = m.forward({ids.begin(), ids.end() - 1});
    m.store               = f.store;
    matrix const expected = m.forward({ids.begin(), ids.end() - 1});
    for (char const* const batch : {"512", "5"}) {
      auto const r =
          test::run_program({"perplexity", "--model", folder.path().string(), "--ids", (folder / "ids.json").string(),
                             "--dtype", "f32", "--kv-cache-dtype", f.name, "--dump-logits",
                             (folder / "logits.npy").string(), "--block-size", "3", "--max-num-batched-tokens", batch});
      ASSERT_EQ(r.status, 0) << r.err;
      auto const have = test::logits(folder / "logits.npy").values;
      ASSERT_EQ(have.size(), expected.size());
      double off = 0, rounding = 0;
      for (std::size_t i = 0; i < have.size(); ++i)
        off += std::pow(have[i] - expected[i], 2), rounding += std::pow(expected[i] - exact[i], 2);
      EXPECT_GT(rounding, 0);
      EXPECT_LE(std::sqrt(off), 0.1 * std::sqrt(rounding)) << std::sqrt(off / rounding);
    }
  }
}

}  // namespace
