//  A compressed cache against the ordinary one, bit for bit where both hold the same tokens; against plain
//  double-precision loops whose heads see what is kept; and its books of pages.
#include <engine/commands/setup.hpp>
#include <engine/error.hpp>
#include <engine/generation/compressed_cache.hpp>
#include <engine/generation/token_selection.hpp>
#include <engine/program/command_line.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <utility>

#include "random_model.hpp"

namespace {

using namespace tenon::engine;
using test::matrix, test::shape, test::vocabulary;

constexpr shape grouped{"grouped", "llama", 4, 2, 8, 32, true, false, false, 1};
constexpr shape one_window{"one_window", "mistral", 6, 2, 8, 40, false, false, false, 1, 24, {6, 0}};
constexpr shape normed{"normed", "qwen3", 4, 4, 16, 20, false, false, false, 1};

constexpr std::size_t tokens = 56, prefix = 41;

std::vector<std::int32_t> some_ids() {
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < tokens; ++i) ids.push_back(static_cast<std::int32_t>((i * i + 5 * i + 3) % vocabulary));
  return ids;
}

/// A random model behind `tenon perplexity`'s options.
class opened {
 public:
  explicit opened(shape const& s, std::string const& kv_format = "f32", int page = 4, int batched = 512, int pages = 64)
      : opened(test::model(s), kv_format, page, batched, pages) {}
  explicit opened(test::model of, std::string const& kv_format = "f32", int page = 4, int batched = 512, int pages = 64)
      : model(std::move(of)) {
    test::scratch_folder const folder;
    model.save(folder);
    std::string const        path    = folder.path().string();
    std::vector<char const*> args    = {"tenon", "perplexity", "--model", path.c_str(),       "--text",
                                        "-",     "--dtype",    "f32",     "--kv-cache-dtype", kv_format.c_str()};
    auto const               options = parse(static_cast<int>(args.size()), args.data());
    files                            = open_model(options, text_use::none);
    run_limits limits                = limits_of(options, files.config, 1);
    limits.max_rows = limits.max_batched_tokens = batched, limits.max_sequences = 3, limits.pages = pages;
    auto with       = options;
    with.block_size = page;
    scorer          = scorer_options_of(with, limits);
    runs            = limits.max_sequences;
    engine          = open_decoder(with, files, limits);
  }

  std::vector<float> ordinary() const {
    std::vector<float> all;
    visit_logits(*engine, some_ids(), scorer,
                 [&](std::size_t, std::span<float const> l) { all.insert(all.end(), l.begin(), l.end()); });
    return all;
  }
  compressed_cache cache(kv_compression const& how) const { return {*engine, files.config, scorer, runs, how}; }

  test::model              model;
  model_files              files;
  scorer_options           scorer;
  int                      runs = 0;
  std::unique_ptr<decoder> engine;
};

/// Whose files know the scales of an fp8 cache.
test::model scaled() {
  test::model m(grouped);
  for (int i = 0; i < test::layers; ++i)
    for (auto const& [name, scale] : {std::pair{"k_scale", .02f}, std::pair{"v_scale", .01f}}) {
      std::vector<std::byte> bytes(sizeof scale);
      std::memcpy(bytes.data(), &scale, sizeof scale);
      m.stored_tensors()["model.layers." + std::to_string(i) + ".self_attn." + name] = {dtype::f32, {}, bytes};
    }
  return m;
}

kv_compression half(kv_score score, kv_budget budget) {
  kv_compression how;
  how.score = score, how.budget = budget, how.keep = .5, how.sinks = 2, how.recent = 5, how.span = 6, how.seed = 3;
  return how;
}

/// Logits of ids [first, last).
std::vector<float> fed(compressed_cache& cache, std::size_t first, std::size_t last) {
  std::vector<float> all;
  auto const         ids = some_ids();
  cache.feed(std::span(ids).subspan(first, last - first), compressed_cache::wanted::all,
             [&](std::size_t, std::span<float const> l) { all.insert(all.end(), l.begin(), l.end()); });
  return all;
}
std::vector<float> from(std::vector<float> const& all, std::size_t first) {
  return {all.begin() + static_cast<std::ptrdiff_t>(first * vocabulary), all.end()};
}

/// All tokens, with compression behind the prefix.
std::vector<float> fed_and_compressed(compressed_cache& cache) {
  auto have = fed(cache, 0, prefix);
  cache.compress();
  auto const more = fed(cache, prefix, tokens);
  have.insert(have.end(), more.begin(), more.end());
  return have;
}

TEST(kv_compression, keeping_everything_is_the_ordinary_run_bit_for_bit) {
  for (shape const& s : {grouped, one_window, normed})
    for (char const* const format : {"f32", "bf16", "fp8", "int8", "int4"})
      for (auto const& [page, batched] : {std::pair{4, 512}, std::pair{3, 7}}) {
        SCOPED_TRACE(std::string(s.name) + " " + format + " " + std::to_string(page));
        opened const m(s, format, page, batched);
        auto const   expected = m.ordinary();
        auto         cache    = m.cache({});
        EXPECT_EQ(fed_and_compressed(cache), expected);
        EXPECT_EQ(cache.counts().freed_pages, 0);
        EXPECT_EQ(cache.counts().kept, cache.counts().tokens);
      }
}

TEST(kv_compression, an_fp8_cache_of_fixed_scales_is_the_ordinary_one_when_everything_is_kept_or_back) {
  opened const m(scaled(), "fp8"), own(grouped, "fp8");
  auto const   expected = m.ordinary();
  EXPECT_NE(expected, own.ordinary()) << "the scales make no difference";
  auto cache = m.cache({});
  EXPECT_EQ(fed_and_compressed(cache), expected);

  auto again = m.cache(half(kv_score::snapkv, kv_budget::ada));
  fed(again, 0, prefix);
  again.compress();
  again.rebuild();
  EXPECT_GT(again.counts().rebuilt, 0);
  EXPECT_EQ(fed(again, prefix, tokens), from(expected, prefix));
}

// Of the first layer, whose keys and values do not depend on the cache.
TEST(kv_compression, scores_read_codes_with_their_scales) {
  opened const m(scaled(), "fp8"), own(grouped, "fp8"), plain(grouped);
  auto const   read = [](opened const& of, auto what) {
    auto cache = of.cache({});
    fed(cache, 0, prefix);
    std::vector<std::int32_t> pages(prefix / 4);  // of the first head, all full
    std::iota(pages.begin(), pages.end(), 0);
    std::vector<float> values;
    ((*of.engine).*what)(0, pages, values);
    return values;
  };
  for (auto const& [what, scale] : {std::pair{&decoder::read_keys, .02}, std::pair{&decoder::read_values, .01}}) {
    auto const expected = read(plain, what), have = read(m, what), of_own = read(own, what);
    ASSERT_EQ(have.size(), prefix / 4 * 4 * 8);  // head_dim
    double largest = 0;
    for (std::size_t i = 0; i < have.size(); ++i) {
      largest = std::max(largest, std::abs(double(expected[i])));
      // Half a step of a code with 3 bits behind the first one, or of the smallest codes.
      ASSERT_NEAR(have[i], expected[i], std::max(std::abs(expected[i]) / 16., scale / 1024) * 1.001) << i;
      ASSERT_NEAR(of_own[i], expected[i], std::abs(expected[i]) / 16. + 1e-3) << i;
    }
    EXPECT_GT(largest, 1);
  }
}

TEST(kv_compression, heads_see_what_they_keep) {
  for (shape const& s : {grouped, one_window, normed})
    for (kv_budget const budget : {kv_budget::uniform, kv_budget::pyramid, kv_budget::ada}) {
      SCOPED_TRACE(std::string(s.name) + " " + std::string(name_of(budget)));
      opened m(s);
      auto   cache = m.cache(half(kv_score::random, budget));
      fed(cache, 0, prefix);
      cache.compress();
      std::vector<std::vector<std::set<std::size_t>>> kept(test::layers);
      for (int l = 0; l < test::layers; ++l)
        for (int h = 0; h < s.kv_heads; ++h) {
          auto const list = cache.kept(l, h);
          kept[static_cast<std::size_t>(l)].emplace_back(list.begin(), list.end());
          EXPECT_EQ(list.size() == prefix, s.window[l] > 0);
        }
      auto const have = fed(cache, prefix, tokens);
      m.model.sees    = [&](int layer, std::size_t head, std::size_t query, std::size_t key) {
        return query < prefix || key >= prefix || kept[static_cast<std::size_t>(layer)][head].contains(key);
      };
      auto const   ids = some_ids();
      matrix const all = m.model.forward({ids.begin(), ids.end()});
      double       off = 0;
      for (std::size_t i = 0; i < have.size(); ++i)
        off = std::max(off, std::abs(double(have[i]) - all[prefix * vocabulary + i]));
      EXPECT_LE(off, 2e-5);
      auto const full = from(m.ordinary(), prefix);
      EXPECT_NE(have, full) << "half of the keys make no difference";
    }
}

TEST(kv_compression, rebuilt_in_full_it_is_the_run_that_was_never_compressed) {
  for (shape const& s : {grouped, one_window, normed})
    for (char const* const format : {"f32", "int8"})
      for (int const batched : {512, 7}) {
        SCOPED_TRACE(std::string(s.name) + " " + format + " " + std::to_string(batched));
        opened const m(s, format, 4, batched);
        auto const   expected = from(m.ordinary(), prefix);
        for (kv_score const score : {kv_score::random, kv_score::snapkv}) {
          auto how   = half(score, kv_budget::ada);
          auto cache = m.cache(how);
          fed(cache, 0, prefix);
          auto const pages = cache.used_pages();
          cache.compress();
          EXPECT_LT(cache.used_pages(), pages);
          cache.rebuild();
          EXPECT_EQ(cache.used_pages(), pages);
          EXPECT_GT(cache.counts().rebuilt, 0);
          EXPECT_EQ(fed(cache, prefix, tokens), expected);
        }
        // The first query brings everything back, and is asked again.
        auto how    = half(kv_score::random, kv_budget::uniform);
        how.rebuild = 0;
        auto cache  = m.cache(how);
        fed(cache, 0, prefix);
        cache.compress();
        EXPECT_EQ(fed(cache, prefix, tokens), expected);
        EXPECT_GT(cache.counts().repeated, 0);
        for (int l = 0; l < test::layers; ++l)
          for (int h = 0; h < s.kv_heads; ++h) EXPECT_EQ(cache.kept(l, h).size(), tokens);
      }
}

// The first spans come back over everything that was in front of them, so they are what they were.
TEST(kv_compression, a_part_comes_back_at_its_places) {
  opened m(grouped);
  auto   how   = half(kv_score::random, kv_budget::ada);
  auto   cache = m.cache(how);
  fed(cache, 0, prefix);
  cache.compress();
  std::vector<bool> spans(prefix / 6 + 1, false);
  spans[0] = spans[1] = spans[2] = true;
  cache.rebuild(spans);
  std::vector<std::vector<std::set<std::size_t>>> kept(test::layers);
  for (int l = 0; l < test::layers; ++l)
    for (int h = 0; h < grouped.kv_heads; ++h) {
      auto const list = cache.kept(l, h);
      kept[static_cast<std::size_t>(l)].emplace_back(list.begin(), list.end());
      EXPECT_TRUE(std::is_sorted(list.begin(), list.end()));
      for (std::int32_t t = 0; t < 18; ++t) EXPECT_EQ(list[static_cast<std::size_t>(t)], t);
      EXPECT_LT(list.size(), prefix);
    }
  auto const have = fed(cache, prefix, tokens);
  m.model.sees    = [&](int layer, std::size_t head, std::size_t query, std::size_t key) {
    return query < prefix || key >= prefix || kept[static_cast<std::size_t>(layer)][head].contains(key);
  };
  auto const   ids = some_ids();
  matrix const all = m.model.forward({ids.begin(), ids.end()});
  for (std::size_t i = 0; i < have.size(); ++i) ASSERT_NEAR(have[i], all[prefix * vocabulary + i], 2e-5);
}

// Pages for the prompt twice over would do; there are fewer.
TEST(kv_compression, a_rebuilding_that_does_not_fit_changes_nothing) {
  opened const m(grouped, "f32", 4, 512, 14), roomy(grouped);
  auto const   compressed = [](opened const& of) {
    auto cache = of.cache(half(kv_score::random, kv_budget::uniform));
    fed(cache, 0, prefix);
    cache.compress();
    return cache;
  };
  auto       cache = compressed(m), other = compressed(roomy);
  auto const used = cache.used_pages();
  try {
    cache.rebuild();
    FAIL() << "there is room";
  } catch (tenon::engine::error const& e) {
    EXPECT_NE(std::string(e.what()).find("--kv-rebuild: tokens that come back do not fit the KV cache: found 16 free "
                                         "head pages of a layer, expected at least "),
              std::string::npos)
        << e.what();
  }
  EXPECT_EQ(cache.used_pages(), used);
  EXPECT_EQ(cache.counts().rebuilt, 0);
  for (int l = 0; l < test::layers; ++l)
    for (int h = 0; h < grouped.kv_heads; ++h)
      EXPECT_TRUE(std::ranges::equal(cache.kept(l, h), other.kept(l, h))) << l << " " << h;
  EXPECT_EQ(fed(cache, prefix, tokens), fed(other, prefix, tokens));

  // Nor does a text that does not fit.
  opened const small(grouped, "f32", 4, 512, 11);
  auto         all = small.cache({});
  fed(all, 0, prefix);
  EXPECT_THROW(fed(all, prefix, tokens), tenon::engine::error);
  EXPECT_EQ(all.tokens(), prefix);
  auto const expected = from(roomy.ordinary(), prefix);
  auto const rest     = fed(all, prefix, prefix + 3);  // to the end of the last page
  EXPECT_TRUE(std::ranges::equal(rest, std::span(expected).first(3 * vocabulary)));
}

TEST(kv_compression, budgets_fill_their_pages) {
  for (int seed = 0; seed < 200; ++seed) {
    std::mt19937                       random(static_cast<unsigned>(seed));
    tenon::index_t const               page = 1 + seed % 17, least = seed % 23, most = least + 1 + seed * 7 % 90;
    std::vector<tenon::index_t>        budgets(static_cast<std::size_t>(1 + seed % 9));
    std::uniform_int_distribution<int> any(static_cast<int>(least), static_cast<int>(most));
    for (auto& b : budgets) b = any(random);
    auto const whole = in_whole_pages(budgets, page, least, most);
    EXPECT_EQ(std::accumulate(whole.begin(), whole.end(), 0), std::accumulate(budgets.begin(), budgets.end(), 0));
    int odd = 0;
    for (std::size_t i = 0; i < whole.size(); ++i) {
      EXPECT_GE(whole[i], least);
      EXPECT_LE(whole[i], most);
      odd += whole[i] % page != 0 && whole[i] != most && whole[i] > (least + page - 1) / page * page;
    }
    EXPECT_LE(odd, 1) << seed;
  }
  EXPECT_EQ(in_whole_pages({40, 24, 50, 14}, 16, 4, 64), (std::vector<tenon::index_t>{48, 16, 48, 16}));
}

TEST(kv_compression, freed_pages_are_counted_and_given_out_again) {
  opened const m(grouped);
  for (kv_score const score : {kv_score::snapkv, kv_score::h2o, kv_score::mean, kv_score::tova, kv_score::expected,
                               kv_score::keydiff, kv_score::knorm, kv_score::window, kv_score::random})
    for (kv_budget const budget : {kv_budget::uniform, kv_budget::pyramid, kv_budget::ada}) {
      SCOPED_TRACE(std::string(name_of(score)) + " " + std::string(name_of(budget)));
      auto how    = half(score, budget);
      how.rebuild = 1, how.rebuild_by = kv_estimate::bound;
      auto cache = m.cache(how);
      fed(cache, 0, prefix);
      auto const before = cache.used_pages();
      EXPECT_EQ(before, test::layers * grouped.kv_heads * ((prefix + 3) / 4));
      cache.compress();
      auto const&  c     = cache.counts();
      std::int64_t pages = 0, kept = 0;
      for (int l = 0; l < test::layers; ++l)
        for (int h = 0; h < grouped.kv_heads; ++h) {
          auto const list = cache.kept(l, h);
          pages += static_cast<std::int64_t>(list.size() + 3) / 4, kept += static_cast<std::int64_t>(list.size());
          EXPECT_TRUE(std::is_sorted(list.begin(), list.end()));
          for (std::int32_t const t : {0, 1, 36, 37, 38, 39, 40})
            EXPECT_TRUE(std::binary_search(list.begin(), list.end(), t)) << t;
        }
      EXPECT_EQ(cache.used_pages(), pages);
      EXPECT_EQ(c.freed_pages, before - pages);
      EXPECT_EQ(c.freed_bytes, (before - pages) * 4 * 8 * 2 * 4);  // tokens, head_dim, k and v, f32
      EXPECT_EQ(c.kept, kept);
      EXPECT_EQ(kept, test::layers * grouped.kv_heads * 21);  // half of 41, rounded
      EXPECT_EQ(c.ideal_bytes, (c.tokens - kept) * 8 * 2 * 4);
      EXPECT_EQ(c.summary_bytes,
                test::layers * 7 * grouped.kv_heads * (3 * 8 + 1) * 4);  // spans; least, most, mean, number
      fed(cache, prefix, tokens);
      EXPECT_GT(cache.used_pages(), pages);
    }
}

// The first drawn token comes from the prompt's own pass; with a bound of 0 the next query brings everything back.
TEST(kv_compression, a_prompt_is_compressed_before_it_is_completed) {
  test::scratch_folder const folder;
  test::model const          m(grouped);
  m.save(folder);
  auto const run = [&](std::string const& more) {
    auto const             ids = some_ids();
    std::vector<int> const prompt(ids.begin(), ids.begin() + prefix);
    std::string const      prompts =
        test::json{{"prompt_ids", prompt}}.dump() + "\n" + test::json{{"prompt_ids", {1, 2, 3}}}.dump() + "\n";
    auto const r = test::run_program({"generate", "--model", folder.path().string(), "--prompts", "-", "--ignore-eos",
                                      "--max-tokens", "20", "--temperature", "1", "--seed", "5", "--output", "json"},
                                     test::words(more), prompts);
    EXPECT_EQ(r.status, 0) << r.err;
    std::string const text = "KV cache: ";
    auto const        at   = r.err.find(text);
    return std::pair{r.lines(), at == std::string::npos ? "" : r.err.substr(at + text.size(), 40)};
  };
  auto const [all, none]             = run("--max-num-seqs 1");
  auto const [half, books]           = run("--kv-keep 0.5 --kv-recent 8 --kv-score random --kv-budget ada");
  auto const [rebuilt, more]         = run("--kv-keep 0.5 --kv-recent 8 --kv-score random --kv-rebuild 0");
  auto const [whole, books_of_whole] = run("--kv-keep 0.5 --kv-recent 8 --kv-score expected");
  auto const [parts, books_of_parts] =
      run("--kv-keep 0.5 --kv-recent 8 --kv-score expected --max-num-batched-tokens 7");
  ASSERT_EQ(half.size(), 2u);
  EXPECT_EQ(none, "");
  EXPECT_NE(half[0]["ids"], all[0]["ids"]) << "half of the keys make no difference";
  EXPECT_EQ(half[0]["ids"][0], all[0]["ids"][0]);
  EXPECT_EQ(half[0]["ids"].size(), 20u);
  EXPECT_EQ(half[1]["ids"], all[1]["ids"]) << "sinks and recent tokens are all there is";
  EXPECT_EQ(rebuilt[0]["ids"], all[0]["ids"]);
  EXPECT_EQ(parts, whole) << "a prompt in several steps";
  EXPECT_EQ(books_of_parts, books_of_whole);
  EXPECT_TRUE(books.starts_with("96 of 176 keys of prompts kept")) << books;  // 21 of 41 in 2 layers of 2 heads, 3 of 3
  EXPECT_TRUE(more.starts_with("96 of 176 keys of prompts kept")) << more;

  EXPECT_EQ(test::run_program({"generate", "--model", "m", "--prompt", "x", "--kv-score", "h2o"}).status, 2);
  EXPECT_EQ(test::run_program({"generate", "--model", "m", "--prompt", "x", "--kv-keep", "0.5", "--max-num-seqs", "2"})
                .status,
            2);
}

TEST(kv_compression, refuses_what_makes_no_sense) {
  test::scratch_folder const folder;
  test::model const          m(grouped);
  m.save(folder);
  test::write_text(folder / "ids.json", test::json{{"per_text", {{{"ids", some_ids()}}}}}.dump());
  auto const run = [&](std::string const& more) {
    return test::run_program({"perplexity", "--model", folder.path().string(), "--ids", (folder / "ids.json").string()},
                             test::words(more));
  };
  for (auto const& [options, message] : std::initializer_list<std::pair<char const*, char const*>>{
           {"--kv-keep 0.5", "--kv-keep: has no use here: found no --kv-prefix"},
           {"--kv-prefix 40 --kv-keep 0", "--kv-keep"},
           {"--kv-prefix 40 --kv-keep 1.01", "--kv-keep"},
           {"--kv-prefix 40 --kv-keep nan", "--kv-keep"},
           {"--kv-prefix 0", "--kv-prefix"},
           {"--kv-prefix 40 --kv-score best", "--kv-score: unknown choice"},
           {"--kv-prefix 40 --kv-budget all", "--kv-budget: unknown choice"},
           {"--kv-prefix 40 --kv-span 0", "--kv-span"},
           {"--kv-prefix 40 --kv-rebuild -1", "--kv-rebuild"},
           {"--kv-prefix 40 --kv-floor 2", "--kv-floor"}}) {
    auto const r = run(options);
    EXPECT_EQ(r.status, 2) << options;
    EXPECT_NE(r.err.find(message), std::string::npos) << options << ": " << r.err;
  }
  for (auto const& [options, message] : std::initializer_list<std::pair<char const*, char const*>>{
           {"--kv-prefix 40 --kv-keep 0.5",
            "keeps fewer tokens than --kv-sinks and --kv-recent do: found 20 of 40, expected at least 36"},
           {"--kv-prefix 55 --kv-keep 0.9", "holds nothing to score behind --kv-prefix"},
           {"--kv-prefix 16777216 --kv-keep 0.9", "holds nothing to score behind --kv-prefix"}}) {
    auto const r = run(options);
    EXPECT_EQ(r.status, 1) << options;
    EXPECT_NE(r.err.find(message), std::string::npos) << options << ": " << r.err;
  }
  auto const r = run("--kv-prefix 40 --kv-keep 0.5 --kv-recent 8 --kv-rebuild 0 --output json");
  ASSERT_EQ(r.status, 0) << r.err;
  auto const j = r.lines().at(0);
  EXPECT_EQ(j["tokens"], 15);
  EXPECT_EQ(j["kl"], 0);
  EXPECT_EQ(j["attention_error"], 0);
  EXPECT_EQ(j["kept"], .5);
  EXPECT_GT(j["rebuilt_of_prefill"], .1);

  test::scratch_folder const capped;
  test::model const gemma({"gemma2", "gemma2", 4, 2, 16, 28, true, false, false, 1, 24, {6, 0}, "silu", 9, 1.25, 2});
  gemma.save(capped);
  auto const refused = test::run_program(
      {"perplexity", "--model", capped.path().string(), "--ids", (folder / "ids.json").string(), "--kv-prefix", "40"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("caps of attention logits are not supported"), std::string::npos) << refused.err;
}

}  // namespace
