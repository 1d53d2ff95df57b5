//  tokenizer.json with pieces of characters: Mistral's own encodings, and small files of this test's own.
#include <engine/error.hpp>
#include <engine/text/piece_json.hpp>
#include <engine/text/piece_tokenizer.hpp>
#include <engine/text/tokenizer_json.hpp>

#include <gtest/gtest.h>

#include <filesystem>

namespace {

using namespace tenon::engine;
using ids = std::vector<std::int32_t>;

TEST(piece_json, mistrals_45_encodings) {
  std::filesystem::path const folder = std::filesystem::path(TENON_SHARED_DATA) / "tokenizers/mistral/hf-v0.3";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no shared data";
  auto const t = load_tokenizer((folder / "tokenizer.json").string());
  EXPECT_EQ(t->description(), "BPE with bytes (tokenizer.json)");
  EXPECT_EQ(t->vocabulary(), 32768);
  auto const golden = read_json((folder / "encodings.json").string());
  EXPECT_EQ(golden["entries"].size(), 45u);
  for (auto const& entry : golden["entries"]) {
    auto const text = entry["text"].get<std::string>();
    auto const got  = t->encode(text, encode_options{.add_special = false, .control_in_text = true});
    EXPECT_EQ(got, entry["ids"].get<ids>()) << text;
    EXPECT_EQ(t->encode(text), entry["ids_special"].get<ids>()) << text;
    // There control tokens are spelled out; a text is what they add to it here, which is nothing.
    std::string  decoded;
    std::int32_t previous = -1;
    for (auto const id : got) {
      decoded += t->is_special(id) ? t->token_bytes(id) : t->text_after(previous, id);
      previous = id;
    }
    EXPECT_EQ(decoded, entry["decode"].get<std::string>()) << text;
  }
}

constexpr char const* space = "\xE2\x96\x81";

/// Bytes, then pieces, as Llama 2's file has them.
json_value small_tree() {
  json_value tree = {{"model", {{"type", "BPE"}, {"byte_fallback", true}, {"fuse_unk", true}, {"unk_token", "<unk>"}}}};
  auto&      vocabulary = tree["model"]["vocab"];
  vocabulary["<unk>"] = 0, vocabulary["<s>"] = 1;
  char name[8];
  for (int b = 0; b < 256; ++b)
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(b)), vocabulary[name] = 2 + b;
  int id = 258;
  for (char const* piece : {"_", "a", "b", "ab", "_a", "_ab", "__", "1"}) {
    std::string text = piece;
    for (std::size_t at = 0; (at = text.find('_')) != text.npos;) text.replace(at, 1, space);
    vocabulary[text] = id++;
  }
  tree["model"]["merges"] = {"a b", {space, "ab"}, {space, "a"}, {space, space}};
  tree["added_tokens"]    = json_value::parse(R"([{"id": 0, "content": "<unk>", "special": true, "normalized": false},
                                               {"id": 1, "content": "<s>", "special": true, "normalized": false}])");
  json_value const put    = {{"type", "Prepend"}, {"prepend", space}};
  json_value const replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", space}};
  tree["normalizer"]       = {{"type", "Sequence"}, {"normalizers", {put, replace}}};
  tree["decoder"]          = {{"type", "Sequence"},
                              {"decoders",
                               {{{"type", "Replace"}, {"pattern", {{"String", space}}}, {"content", " "}},
                                {{"type", "ByteFallback"}},
                                {{"type", "Fuse"}},
                                {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}};
  return tree;
}

enum : std::int32_t { under = 258, a, b, ab, under_a, under_ab, two, one };

ids encode(json_value const& tree, std::string const& text) {
  return tokenizer_of_json({tree.dump(), "small"}, "small")
      ->encode(text, encode_options{.add_special = false, .control_in_text = true});
}

json_value metaspace(char const* scheme, bool split) {
  return {{"type", "Metaspace"}, {"replacement", space}, {"prepend_scheme", scheme}, {"split", split}};
}

TEST(piece_json, llama_2_puts_a_space_in_front_of_each_part) {
  auto const tree = small_tree();
  EXPECT_EQ(encode(tree, "ab ab"), (ids{under_ab, under_ab}));
  EXPECT_EQ(encode(tree, " ab"), (ids{under, under_ab}));  // by ranks: the spaces merge last
  EXPECT_EQ(encode(tree, "a<s>a"), (ids{under_a, 1, under_a}));
  EXPECT_EQ(encode(tree, "\xC3\xA9"), (ids{under, 2 + 0xC3, 2 + 0xA9}));
  EXPECT_EQ(encode(tree, ""), ids{});
  auto const t = tokenizer_of_json({tree.dump(), "small"}, "small");
  EXPECT_EQ(t->decode(t->encode("ab  \xFF\xC3\xA9 ab")), "ab  \xFF\xC3\xA9 ab");
  EXPECT_EQ(t->encode_with_spans("ab \xC3\xA9", {false, false}).spans,
            (std::vector<token_span>{{0, 2}, {2, 3}, {3, 4}, {4, 5}}));
}

TEST(piece_json, metaspace_schemes) {
  auto tree             = small_tree();
  tree["normalizer"]    = nullptr;
  tree["pre_tokenizer"] = metaspace("first", false);
  EXPECT_EQ(encode(tree, "a<s>a"), (ids{under_a, 1, a}));
  EXPECT_EQ(encode(tree, " a"), (ids{under_a}));
  EXPECT_EQ(encode(tree, std::string(space) + "a"), (ids{under_a}));
  EXPECT_EQ(encode(tree, "a  a"), (ids{under_a, under, under_a}));
  tree["pre_tokenizer"] = metaspace("always", true);
  EXPECT_EQ(encode(tree, "a<s>a"), (ids{under_a, 1, under_a}));
  EXPECT_EQ(encode(tree, "a   "), (ids{under_a, under, under, under}));
  tree["pre_tokenizer"] = metaspace("never", false);
  EXPECT_EQ(encode(tree, "a a"), (ids{a, under_a}));
  EXPECT_EQ(encode(tree, "   "), (ids{two, under}));
  tree["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", true}}, metaspace("always", false)}}};
  EXPECT_EQ(encode(tree, "1a1"), (ids{under, one, under_a, under, one}));
}

TEST(piece_json, a_normalised_token_is_found_in_the_normalised_text) {
  auto tree = small_tree();
  tree["added_tokens"].push_back({{"id", 300}, {"content", "b1"}, {"special", false}, {"normalized", true}});
  EXPECT_EQ(encode(tree, "ab1"), (ids{under_ab, one}));  // as its own text has a space in front, too
  EXPECT_EQ(encode(tree, "a b1"), (ids{under_a, 300}));
  EXPECT_EQ(encode(tree, "b1"), (ids{300}));
}

TEST(piece_json, unknown_characters) {
  auto tree                      = small_tree();
  tree["model"]["byte_fallback"] = false;
  EXPECT_EQ(encode(tree, "axya"), (ids{under_a, 0, a}));
  tree["model"]["fuse_unk"] = false;
  EXPECT_EQ(encode(tree, "axya"), (ids{under_a, 0, 0, a}));
  tree["model"]["unk_token"] = nullptr;
  EXPECT_EQ(encode(tree, "axyb"), (ids{under_ab}));  // what is left out does not stand between others
  auto const e = tokenizer_of_json({tree.dump(), "small"}, "small")->encode_with_spans("xaxb", {false, false});
  EXPECT_EQ(e.ids, (ids{under_ab}));
  EXPECT_EQ(e.spans, (std::vector<token_span>{{0, 4}}));
}

// What is left of a word without its unknown characters is not that word.
TEST(piece_json, a_word_with_an_unknown_character_is_no_piece_as_a_whole) {
  json_value const tree = json_value::parse(
      R"({"model": {"type": "BPE", "ignore_merges": true, "vocab": {"a": 0, "b": 1, "ab": 2, "aba": 3}, "merges": ["a b"]}})");
  EXPECT_EQ(encode(tree, "aba"), (ids{3}));
  EXPECT_EQ(encode(tree, "abax"), (ids{2, 0}));
  EXPECT_EQ(encode(tree, "xaxba"), (ids{2, 0}));
}

// Words whose space is no piece: nothing leads across, and neither do unknown characters.
TEST(piece_json, words_of_a_vocabulary_without_the_space) {
  json_value tree = json_value::parse(
      R"({"added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
          "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "vocab": {"<unk>": 0, "a": 1, "b": 2, "ab": 3}, "merges": ["a b"]}})");
  tree["pre_tokenizer"] = metaspace("never", true);
  EXPECT_EQ(encode(tree, "axy zx"), (ids{1, 0, 0}));
  tree["model"]["unk_token"] = nullptr;
  EXPECT_EQ(encode(tree, "a b ab"), (ids{1, 2, 3}));
}

TEST(piece_json, normalisers_and_patterns_run_in_front) {
  auto tree          = small_tree();
  tree["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "Lowercase"}}, tree["normalizer"]}}};
  EXPECT_EQ(encode(tree, "AB"), (ids{under_ab}));
  tree["normalizer"]    = {{"type", "NFKC"}};
  tree["pre_tokenizer"] = {{"type", "Sequence"},
                           {"pretokenizers", {{{"type", "WhitespaceSplit"}}, metaspace("always", true)}}};
  EXPECT_EQ(encode(tree, "  \xEF\xBD\x81\xEF\xBD\x82 \t a"), (ids{under_ab, under_a}));  // fullwidth letters
  auto const e = tokenizer_of_json({tree.dump(), "small"}, "small")
                     ->encode_with_spans(" \xEF\xBD\x81\xEF\xBD\x82", {false, false});
  EXPECT_EQ(e.spans, (std::vector<token_span>{{1, 7}}));
}

TEST(piece_json, templates) {
  auto tree              = small_tree();
  tree["post_processor"] = {{"type", "RobertaProcessing"}, {"cls", {"<s>", 1}}, {"sep", {"<unk>", 0}}};
  auto const t           = tokenizer_of_json({tree.dump(), "small"}, "small");
  EXPECT_EQ(t->encode("a"), (ids{1, under_a, 0}));
  EXPECT_EQ(t->bos_id(), 1);
}

TEST(piece_json, unigram) {
  json_value tree = json_value::parse(
      R"({"model": {"type": "Unigram", "unk_id": 0,
          "vocab": [["<unk>", 0], ["\u2581", -3], ["a", -2], ["b", -2], ["ab", -5], ["\u2581ab", -4]]}})");
  tree["pre_tokenizer"] = metaspace("always", true);
  tree["decoder"]       = metaspace("always", true);
  EXPECT_EQ(encode(tree, "ab"), (ids{5}));
  EXPECT_EQ(encode(tree, "aab"), (ids{1, 2, 2, 3}));
  EXPECT_EQ(encode(tree, "axyzb ab"), (ids{1, 2, 0, 3, 5}));
  auto const t = tokenizer_of_json({tree.dump(), "small"}, "small");
  EXPECT_EQ(t->description(), "Unigram (tokenizer.json)");
  EXPECT_EQ(t->decode(t->encode("ab ab a")), "ab ab a");
}

TEST(piece_json, refusals_name_the_key) {
  struct refusal {
    char const* patch;  // JSON merge patch
    char const* message;
  };
  for (
      auto const& [patch, message] : {
          refusal{R"({"model": {"type": "WordPiece"}})",
                  "model.type: unsupported tokenizer: found \"WordPiece\", expected BPE or Unigram"},
          refusal{R"({"model": {"vocab": {"zz": 3}}})",
                  "model.vocab: two tokens have one id: found 3 for \"zz\" too, expected an id for each"},
          refusal{R"({"model": {"merges": ["a c"]}})",
                  "model.merges[0]: names a token outside the vocabulary: found \"c\", expected one of model.vocab"},
          refusal{R"({"model": {"unk_token": "zz"}})",
                  "model.unk_token: is not in the vocabulary: found \"zz\", expected a vocabulary entry"},
          refusal{R"({"model": {"dropout": 0.1}})", "model.dropout: unsupported: found 0.1, expected none"},
          refusal{R"({"normalizer": {"type": "BertNormalizer"}})",
                  "normalizer.type: unsupported normalizer: found \"BertNormalizer\", expected one of NFC, NFD, NFKC, "
                  "NFKD, "
                  "Lowercase, StripAccents, Strip, Prepend, Replace, Precompiled, Sequence"},
          refusal{R"({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "a?=="}})",
                  "normalizer.precompiled_charsmap: is not base64: found \"a?==\", expected base64"},
          refusal{
              R"({"normalizer": {"type": "Replace", "normalizers": null, "pattern": {"String": ""}, "content": "x"}})",
              "normalizer.pattern.String: is empty: found no text, expected a text"},
          refusal{R"({"pre_tokenizer": {"type": "Metaspace", "replacement": "_"}})",
                  "pre_tokenizer.replacement: unsupported: found \"_\", expected U+2581"},
          refusal{R"({"pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "last"}})",
                  "pre_tokenizer.prepend_scheme: unknown: found \"last\", expected always, first or never"},
          refusal{
              R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Metaspace"}, {"type": "Digits"}]}})",
              "pretokenizers.type: unsupported pre-tokenizer: found \"Digits\" after Metaspace, expected Metaspace "
              "last"},
          refusal{
              R"({"decoder": {"type": "WordPiece", "decoders": null}})",
              "decoder.type: unsupported decoder: found \"WordPiece\", expected one of Replace, ByteFallback, Fuse, "
              "Strip, Metaspace, Sequence"},
          refusal{R"({"post_processor": {"type": "BertProcessing", "cls": ["x", 9999], "sep": ["x", 1]}})",
                  "post_processor.cls: out of range: found 9999, expected an integer from 0 to 265"},
          refusal{R"({"added_tokens": [{"id": 259, "content": "b"}]})",
                  "added_tokens[0].id: belongs to another token: found 259, which is \"a\", expected an id for \"b\""},
      }) {
    auto tree = small_tree();
    tree.merge_patch(json_value::parse(patch));
    try {
      (void)tokenizer_of_json({tree.dump(), "small"}, "small");
      ADD_FAILURE() << patch;
    } catch (error const& e) {
      EXPECT_EQ(std::string(e.what()), std::string("small: ") + message);
    }
  }
  json_value unigram = {{"model", {{"type", "Unigram"}, {"vocab", json_value::array()}}}};
  EXPECT_THROW((void)tokenizer_of_json({unigram.dump(), "small"}, "small"), error);
  unigram["model"]["vocab"] = json_value::parse(R"([["a", "b"]])");
  EXPECT_THROW((void)tokenizer_of_json({unigram.dump(), "small"}, "small"), error);
  unigram["model"]["vocab"]  = json_value::parse(R"([["a", 0]])");
  unigram["model"]["unk_id"] = 1;
  EXPECT_THROW((void)tokenizer_of_json({unigram.dump(), "small"}, "small"), error);
}

}  // namespace
