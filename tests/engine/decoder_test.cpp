//  The decoder against plain double-precision loops, on small random models of every shape that it reads: biases here and
//  there, tied and untied heads, a width that is no multiple of eight, one shard and several.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "random_model.hpp"

namespace {

using nlohmann::json;
using test::matrix, test::model, test::shape, test::vocabulary;

class decoder : public testing::TestWithParam<shape> {};
INSTANTIATE_TEST_SUITE_P(shapes, decoder,
                         testing::Values(shape{"llama", "llama", 3, 1, 8, 32, true, false, false, 1},
                                         shape{"llama_untied_biases", "llama", 4, 4, 16, 20, false, true, true, 3},
                                         shape{"mistral", "mistral", 6, 2, 8, 40, false, false, false, 2},
                                         shape{"qwen2", "qwen2", 4, 2, 8, 20, false, false, false, 1},
                                         shape{"qwen2_tied", "qwen2", 5, 1, 24, 7, true, false, false, 1}),
                         [](auto const& s) { return std::string(s.param.name); });

TEST_P(decoder, logits_are_those_of_the_definition) {
  model const                m(GetParam());
  test::scratch_folder const folder;
  m.save(folder);
  std::vector<int> ids;
  for (int i = 0; i < 23; ++i) ids.push_back(i * 7 % vocabulary);
  test::write_text(folder / "ids.json", json{{"per_text", {{{"ids", ids}}}}}.dump());

  // In one piece and in pieces of five tokens, over pages of three: the cache must hold what it was given.
  for (char const* const batch : {"512", "5"}) {
    SCOPED_TRACE(std::string("at most ") + batch + " tokens per step");
    auto const r =
        test::run_program({"perplexity", "--model", folder.path().string(), "--ids", (folder / "ids.json").string(),
                           "--dtype", "f32", "--dump-logits", (folder / "logits.npy").string(), "--output", "json",
                           "--block-size", "3", "--max-num-batched-tokens", batch});
    ASSERT_EQ(r.status, 0) << r.err;
    std::string const npy      = test::read_text(folder / "logits.npy");
    matrix const      expected = m.forward({ids.begin(), ids.end() - 1});
    ASSERT_EQ(npy.size(), 128 + expected.size() * sizeof(float));
    double worst = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      float have;
      std::memcpy(&have, npy.data() + 128 + i * sizeof have, sizeof have);
      worst = std::max(worst, std::abs(double(have) - expected[i]));
    }
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

}  // namespace
