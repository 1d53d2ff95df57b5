//  The same requests served in every way that must not change their tokens: alone, together, in pieces, with prefixes that
//  are in the cache already, taken off and computed again, several completions of one prompt.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "../support/shared_data.hpp"
#include "served_model.hpp"

namespace {

using namespace tenon::engine;
using test::all_tokens, test::served, test::served_model;

/// A request of each kind: greedy and drawn, penalised, short and long, some with a beginning in common.
std::vector<request> requests_for(model_files const& files) {
  std::string const    story   = "Once upon a time there was a little girl who lived in a house near the wood. ";
  std::string const    texts[] = {"The",          "One day",           story + "She", story + "Her mother said",
                                  story + story,  "A dog saw the cat", story + "She", "The sun",
                                  "Tom and his ", story + "One day",   "It was",      "In the morning"};
  std::vector<request> list;
  for (std::string const& text : texts) {
    prompt_request p;
    p.prompt               = text;
    p.sampling.seed        = 7;
    p.sampling.max_tokens  = 12 + static_cast<std::int64_t>(list.size() % 5) * 7;
    p.sampling.temperature = list.size() % 3 == 0 ? 0 : 0.9;
    p.sampling.ignore_eos  = true;
    if (list.size() % 4 == 1) p.sampling.repetition_penalty = 1.2, p.sampling.top_p = 0.9;
    list.push_back(to_request(p, list.size(), files));
  }
  return list;
}

void expect_served_alike(std::string const& model, std::string const& tokenizer) {
  std::vector<std::string> more = {"--block-size", "8"};
  if (!tokenizer.empty()) more.insert(more.end(), {"--tokenizer", tokenizer});
  served_model const         m(model, more, text_use::needed);
  std::vector<request> const asked = requests_for(m.files());
  all_tokens                 alone;
  for (request const& r : asked) alone.merge(m.serve({r}).ids);
  ASSERT_EQ(alone.size(), asked.size());

  served const together = m.serve(asked);
  EXPECT_EQ(together.ids, alone);
  EXPECT_GT(together.counts.cached_tokens, 0) << "the common beginnings should have been found";

  for (int const budget : {8, 13, 40}) {
    auto const s = m.serve(asked, [&](generator_options& o) { o.schedule.max_batched_tokens = budget; });
    EXPECT_EQ(s.ids, alone) << budget << " tokens per step";
  }
  for (batching const mode : {batching::fixed, batching::dynamic}) {
    auto const s = m.serve(asked, [&](generator_options& o) { o.schedule.mode = mode, o.schedule.dynamic_wait = 0; });
    EXPECT_EQ(s.ids, alone) << "fixed batches";
    EXPECT_GT(s.counts.padding_tokens, 0);
  }

  std::int64_t most = 0;  // pages of the largest request
  for (request const& r : asked)
    most = std::max(most, (static_cast<std::int64_t>(r.prompt_ids.size()) + r.max_tokens - 1 + 7) / 8);
  served const tight = m.serve(
      asked, [](generator_options& o) { o.schedule.growth_steps = 0; }, most + 2);
  EXPECT_EQ(tight.ids, alone);
  EXPECT_GT(tight.counts.preemptions, 0) << "the pool should have been too small";

  // Completion k draws as the same request with seed + k does.
  std::vector<request> several = {asked[4], asked[2], asked[5]};
  for (request& r : several) r.n = 3, r.sampling.temperature = 0.9f;
  all_tokens one_by_one;
  for (request r : several) {
    r.n = 1;
    for (int k = 0; k < 3; ++k, ++r.sampling.seed) one_by_one[{r.index, k}] = m.serve({r}).ids.begin()->second;
  }
  EXPECT_EQ(m.serve(several).ids, one_by_one);
  EXPECT_EQ(m.serve(
                 several, [](generator_options& o) { o.schedule.growth_steps = 0; }, most + 4)
                .ids,
            one_by_one);
}

TEST(serving, is_the_same_however_it_is_scheduled) {
  expect_served_alike(std::string(TENON_SOURCE_DIR) + "/examples/models/tenon-demo", "");
}
TEST(serving, is_the_same_with_stories260K) {
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  auto const models = test::shared_data() / "models";
  expect_served_alike((models / "stories260K/hf").string(), (models / "stories260K/tok512.bin").string());
}
TEST(serving, is_the_same_with_babyllama105) {
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  auto const models = test::shared_data() / "models";
  expect_served_alike((models / "babyllama105/hf").string(), (models / "babyllama105/tok105.bin").string());
}

}  // namespace
