//  The same requests served in every way that must not change their tokens: alone, together, in pieces, with prefixes that
//  are in the cache already, taken off and computed again, several completions of one prompt.
#include <engine/commands/requests.hpp>
#include <engine/commands/setup.hpp>
#include <engine/generation/generator.hpp>
#include <engine/program/command_line.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "../support/shared_data.hpp"

namespace {

using namespace tenon::engine;

/// Tokens by request and completion.
using all_tokens = std::map<std::pair<std::size_t, int>, std::vector<std::int32_t>>;

struct served {
  all_tokens      ids;
  schedule_counts counts;
};

class served_model {
 public:
  served_model(std::string const& model, std::string const& tokenizer) {
    std::vector<char const*> args = {"tenon", "run", "--model", model.c_str(), "--requests", "-", "--dtype", "f32"};
    args.insert(args.end(), {"--batch-invariant", "on", "--block-size", "8"});
    if (!tokenizer.empty()) args.insert(args.end(), {"--tokenizer", tokenizer.c_str()});
    options_ = parse(static_cast<int>(args.size()), args.data());
    files_   = open_model(options_, text_use::needed);
  }

  /// A request of each kind: greedy and drawn, penalised, short and long, some with a beginning in common.
  std::vector<request> requests() const {
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
      list.push_back(to_request(p, list.size(), files_));
    }
    return list;
  }

  /// All of `asked` at once; `pages` 0: as many as there can be use of.
  served serve(std::vector<request> const& asked, std::function<void(schedule_options&)> const& change = {},
               std::int64_t pages = 0) const {
    run_limits limits         = limits_of(options_, files_.config, 8);
    limits.max_batched_tokens = 128;
    generator_options o       = generator_options_of(options_, limits, files_);
    if (change) change(o.schedule);
    padding_need const padding = padding_of(o);
    limits.padding_sequences   = padding.sequences;
    if (pages > 0) limits.pages = pages + padding.pages;
    auto const model = open_decoder(options_, files_, limits);
    generator  engine(*model, files_.text.get(), o);
    served     s;
    for (request const& r : asked) engine.add(r);
    while (!engine.idle()) {
      engine.step([](std::size_t, std::string const&) {},
                  [&](completion&& c) {
                    s.ids[{c.asked.index, c.number}] = std::move(c.ids);
                  });
    }
    s.counts = engine.scheduled();
    return s;
  }

  all_tokens alone(std::vector<request> const& asked) const {
    all_tokens ids;
    for (request const& r : asked)
      for (auto& [at, tokens] : serve({r}).ids) ids[at] = std::move(tokens);
    return ids;
  }

 private:
  options     options_;
  model_files files_;
};

void expect_served_alike(std::string const& model, std::string const& tokenizer) {
  served_model const         m(model, tokenizer);
  std::vector<request> const asked = m.requests();
  all_tokens const           alone = m.alone(asked);
  ASSERT_EQ(alone.size(), asked.size());

  served const together = m.serve(asked);
  EXPECT_EQ(together.ids, alone);
  EXPECT_GT(together.counts.cached_tokens, 0) << "the common beginnings should have been found";

  for (int const budget : {8, 13, 40}) {
    auto const s = m.serve(asked, [&](schedule_options& o) { o.max_batched_tokens = budget; });
    EXPECT_EQ(s.ids, alone) << budget << " tokens per step";
  }
  for (batching const mode : {batching::fixed, batching::dynamic}) {
    auto const s = m.serve(asked, [&](schedule_options& o) { o.mode = mode, o.dynamic_wait = 0; });
    EXPECT_EQ(s.ids, alone) << "fixed batches";
    EXPECT_GT(s.counts.padding_tokens, 0);
  }

  std::int64_t most = 0;  // pages of the largest request
  for (request const& r : asked)
    most = std::max(most, (static_cast<std::int64_t>(r.prompt_ids.size()) + r.max_tokens - 1 + 7) / 8);
  served const tight = m.serve(
      asked, [](schedule_options& o) { o.growth_steps = 0; }, most + 2);
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
                 several, [](schedule_options& o) { o.growth_steps = 0; }, most + 4)
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
