//  Training against huggingface/tokenizers' on the same text: every merge, and what the tokenizer makes of the text.
#include <engine/error.hpp>
#include <engine/files/json.hpp>
#include <engine/program/command_line.hpp>
#include <engine/program/train_tokenizer.hpp>
#include <engine/text/bpe_tokenizer.hpp>
#include <engine/text/bpe_trainer.hpp>
#include <engine/text/byte_alphabet.hpp>
#include <engine/text/tokenizer_json.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace tenon::engine;
using ids = std::vector<std::int32_t>;

struct expected {
  std::string              pattern;
  std::size_t              count;        // ids of the text
  std::uint64_t            fingerprint;  // FNV-1a of them
  std::vector<std::string> merges;
};
std::vector<expected> const recorded = {
#include "bpe_trainer_expected.inc"
};

/// The text of bpe_trainer_expected.py.
std::string sample_text() {
  constexpr char const* syllables[] = {"ka",
                                       "lo",
                                       "mi",
                                       "the",
                                       "ing",
                                       "re",
                                       "n",
                                       "s",
                                       "er",
                                       "st",
                                       "12",
                                       "3",
                                       "\xC3\xA9",
                                       "\xC3\x9F",
                                       "\xE4\xB8\xAD",
                                       "\xE6\x96\x87",
                                       "\xE3\x81\x8B",
                                       "\xED\x95\x9C",
                                       "'s",
                                       ".",
                                       "+",
                                       "\n",
                                       "  ",
                                       "\t"};
  std::uint64_t         state       = 1;
  std::string           text;
  for (int i = 0; i < 6000; ++i) {
    if (i > 0) text += ' ';
    for (;;) {
      state                    = (state * 1103515245 + 12345) % (std::uint64_t{1} << 31);
      std::uint64_t const draw = state >> 16;
      text += syllables[draw % std::size(syllables) * (draw >> 8) % std::size(syllables)];
      if (draw % 3 == 0) break;
    }
  }
  return text;
}

std::string name_of(trained_bpe const& t, std::int32_t id) {
  auto const i = static_cast<std::size_t>(id);
  if (i < t.special.size()) return t.special[i];
  std::string name;
  for (char const c : t.tokens[i - t.special.size()])
    append_utf8(name, gpt2_alphabet.character[static_cast<unsigned char>(c)]);
  return name;
}

std::string refusal(auto const& f) {
  try {
    f();
  } catch (error const& e) {
    return e.what();
  }
  return "taken";
}

TEST(bpe_trainer, merges_and_ids_are_those_recorded) {
  std::string const              text    = sample_text();
  std::vector<std::string> const special = {"<|endoftext|>"};
  for (expected const& e : recorded) {
    trained_bpe const        t = train_bpe(count_words(text, e.pattern, special), 420, special);
    std::vector<std::string> merges;
    for (pair_merge const& m : t.merges) merges.push_back(name_of(t, m.left) + " " + name_of(t, m.right));
    ASSERT_EQ(merges, e.merges) << e.pattern;

    std::string const   json = to_tokenizer_json(t, e.pattern);
    bpe_tokenizer const own(read_tokenizer_json({json, "own"}, "own"));
    ids const           of_text = own.encode(text, false);
    std::uint64_t       h       = 0xcbf29ce484222325u;
    for (std::int32_t const id : of_text) h = (h ^ static_cast<std::uint64_t>(id)) * 0x100000001b3u;
    EXPECT_EQ(of_text.size(), e.count) << e.pattern;
    EXPECT_EQ(h, e.fingerprint) << e.pattern;
    EXPECT_EQ(own.decode(of_text), text);
    EXPECT_EQ(own.encode("<|endoftext|>"), ids{0});
    EXPECT_EQ(own.vocabulary(), 420);
  }
}

/// Each merge from the counts of all pairs anew.
std::vector<std::pair<std::int32_t, std::int32_t>> slow_merges(word_counts const& words, std::size_t count) {
  std::map<std::string, std::int32_t> token_ids;
  std::vector<std::string>            bytes;
  for (int b = 0; b < 256; ++b) bytes.push_back(std::string(1, static_cast<char>(static_cast<unsigned char>(b))));
  std::sort(bytes.begin(), bytes.end(), [](std::string const& a, std::string const& b) {
    return gpt2_alphabet.character[static_cast<unsigned char>(a[0])] <
           gpt2_alphabet.character[static_cast<unsigned char>(b[0])];
  });
  for (std::string const& b : bytes) token_ids.emplace(b, static_cast<std::int32_t>(token_ids.size()));
  std::vector<std::pair<ids, std::int64_t>> all;
  for (auto const& [word, n] : words) {
    all.push_back({{}, n});
    for (char const c : word) all.back().first.push_back(token_ids[std::string(1, c)]);
  }
  std::vector<std::pair<std::int32_t, std::int32_t>> merges;
  while (merges.size() < count) {
    std::map<std::pair<std::int32_t, std::int32_t>, std::int64_t> pairs;  // in the order of ids
    for (auto const& [word, n] : all)
      for (std::size_t i = 0; i + 1 < word.size(); ++i) pairs[{word[i], word[i + 1]}] += n;
    auto const best =
        std::max_element(pairs.begin(), pairs.end(), [](auto const& a, auto const& b) { return a.second < b.second; });
    if (best == pairs.end()) break;
    auto const [left, right] = best->first;
    auto const id            = static_cast<std::int32_t>(256 + merges.size());
    merges.push_back(best->first);
    for (auto& [word, n] : all)
      for (std::size_t i = 0; i + 1 < word.size(); ++i)
        if (word[i] == left && word[i + 1] == right) {
          word[i] = id;
          word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        }
  }
  return merges;
}

TEST(bpe_trainer, as_counting_anew_each_time) {
  std::string const                                  text  = sample_text().substr(0, 3000);
  word_counts const                                  words = count_words(text, "gpt2");
  trained_bpe const                                  t     = train_bpe(words, 256 + 200);
  std::vector<std::pair<std::int32_t, std::int32_t>> merges;
  for (pair_merge const& m : t.merges) merges.emplace_back(m.left, m.right);
  EXPECT_EQ(merges, slow_merges(words, 200));
}

TEST(bpe_trainer, small_cases) {
  // Overlapping pairs: aaaa is (a a) once and once more, not three times.
  trained_bpe const a = train_bpe({{"aaaa", 1}, {"ab", 2}}, 256 + 5);
  ASSERT_EQ(a.merges.size(), 3u);
  EXPECT_EQ(a.tokens[256], "aa");
  EXPECT_EQ(a.tokens[257], "ab");
  EXPECT_EQ(a.tokens[258], "aaaa");
  // Fewer where nothing is left, or not often enough.
  EXPECT_EQ(train_bpe({{"ab", 7}}, 1000).merges.size(), 1u);
  EXPECT_EQ(train_bpe({{"ab", 7}, {"cd", 2}}, 1000, {}, 3).merges.size(), 1u);
  EXPECT_TRUE(train_bpe({}, 256).merges.empty());
  // Special tokens are not trained on, and are the first ids.
  std::vector<std::string> const special = {"<a>", "<b>"};
  word_counts const              counts  = count_words("x<a>y <b><b>x\xFFz", "gpt2", special);
  EXPECT_EQ(counts.size(), 4u);
  EXPECT_EQ(counts.at("x"), 2);
  EXPECT_EQ(counts.at("y"), 1);
  EXPECT_EQ(counts.at(" "), 1);
  EXPECT_EQ(counts.at("z"), 1);
  EXPECT_EQ(train_bpe(counts, 300, special).tokens[0], "!");
}

TEST(bpe_trainer, refuses) {
  std::vector<std::string> const two = {"<a>", "<a>"}, none = {""}, bytes = {"<\xFF>"};
  EXPECT_EQ(refusal([] { (void)train_bpe({}, 255); }),
            "vocabulary: has no room: found 255, expected at least 256: 256 bytes and the special tokens");
  EXPECT_NE(refusal([&] { (void)train_bpe({}, 300, two); }).find("one is there twice"), std::string::npos);
  EXPECT_NE(refusal([&] { (void)train_bpe({}, 300, none); }).find("one is empty"), std::string::npos);
  EXPECT_NE(refusal([&] { (void)train_bpe({}, 300, bytes); }).find("one is not UTF-8"), std::string::npos);
  EXPECT_NE(refusal([] { (void)count_words("a", "("); }).find("broken pattern"), std::string::npos);
  EXPECT_NE(refusal([] { (void)to_tokenizer_json({}, "cl100k"); }).find("cannot be said"), std::string::npos);
  EXPECT_EQ(refusal([] { (void)to_tokenizer_json({}, "[a-z]+"); }), "taken");
}

TEST(bpe_trainer, the_program) {
  namespace fs         = std::filesystem;
  fs::path const    at = fs::temp_directory_path() / "tenon_bpe_trainer";
  std::string const in = (at / "text").string(), out = (at / "tokenizer.json").string();
  fs::remove_all(at), fs::create_directories(at);
  std::ofstream(in, std::ios::binary) << sample_text();
  char const* const  arguments[] = {"tenon",     "train-tokenizer", "--file", in.c_str(),  "--vocabulary", "420",
                                    "--special", "<|endoftext|>",   "--out",  out.c_str(), "--output",     "json",
                                    "--quiet"};
  options const      o           = parse(static_cast<int>(std::size(arguments)), arguments);
  std::ostringstream result;
  EXPECT_EQ(run_train_tokenizer(o, result), 0);
  EXPECT_TRUE(result.str().starts_with("{\"tokens\":420,\"merges\":163,\"words\":")) << result.str();
  EXPECT_EQ(load_tokenizer(out)->encode(sample_text(), false).size(), recorded[0].count);
  EXPECT_NE(refusal([&] { (void)run_train_tokenizer(o, result); }).find("is there already"), std::string::npos);
  EXPECT_NE(refusal([] {
              char const* const few[] = {"tenon", "train-tokenizer", "--file", "x", "--out", "y"};
              (void)parse(static_cast<int>(std::size(few)), few);
            }).find("--vocabulary: missing"),
            std::string::npos);
  fs::remove_all(at);
}

TEST(bpe_trainer, a_word_of_a_megabyte) {  // may not cost its square
  std::string const one(1 << 20, 'a');
  trained_bpe const t = train_bpe({{one, 1}}, 256 + 30);
  EXPECT_EQ(t.tokens.back().size(), std::size_t{1} << 20);
  EXPECT_EQ(t.merges.size(), 20u);
}

}  // namespace
