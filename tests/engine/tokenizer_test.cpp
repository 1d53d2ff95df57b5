//  Tokenizers against ids that other programs made, and their behaviour on small vocabularies of this file's own.
#include <engine/files/json.hpp>
#include <engine/text/bpe_tokenizer.hpp>
#include <engine/text/llama2c_file.hpp>
#include <engine/text/piece_tokenizer.hpp>
#include <engine/text/tiktoken_file.hpp>
#include <engine/text/tokenizer.hpp>
#include <engine/text/tokenizer_json.hpp>
#include <engine/text/unicode_forms.hpp>
#include <engine/text/utf8.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <random>

#include "program.hpp"

namespace {

using namespace tenon::engine;
using ids = std::vector<std::int32_t>;

#define SKIP_WITHOUT_SHARED_DATA() \
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data

json_value shared_json(std::string const& name) { return read_json((test::shared_data() / name).string()); }

std::unique_ptr<tokenizer> shared_tokenizer(std::string const& name) {
  return load_tokenizer((test::shared_data() / name).string());
}

/// The stories of the text that the golden files were made from, white space around them taken off.
std::vector<std::string> stories() {
  std::string const        text = test::read_text(test::shared_data() / "corpora/tinystories_sample.txt");
  std::string const        mark = "<|endoftext|>";
  std::vector<std::string> all;
  for (std::size_t at = 0; at <= text.size();) {
    std::size_t const end   = std::min(text.find(mark, at), text.size());
    std::string const story = text.substr(at, end - at);
    auto const        first = story.find_first_not_of(" \t\r\n");
    all.push_back(first == story.npos ? "" : story.substr(first, story.find_last_not_of(" \t\r\n") + 1 - first));
    at = end + mark.size();
  }
  return all;
}

void expect_spans_cover(tokenizer const& t, std::string const& text) {
  auto const  e  = t.encode_with_spans(text, {});
  std::size_t at = 0;
  ASSERT_EQ(e.ids.size(), e.spans.size());
  for (auto const& s : e.spans) {
    EXPECT_LE(s.begin, at);  // bytes of one character may share its span
    EXPECT_LE(s.begin, s.end);
    at = std::max(at, s.end);
  }
  EXPECT_EQ(at, text.size());
}

struct golden {
  char const *name, *tokenizer;
  std::size_t length;  // ids per scored text
};

class golden_ids : public testing::TestWithParam<golden> {};
INSTANTIATE_TEST_SUITE_P(models, golden_ids,
                         testing::Values(golden{"stories260K", "models/stories260K/tok512.bin", 512},
                                         golden{"babyllama105", "models/babyllama105/tok105.bin", 256},
                                         golden{"tenon_demo", "models/tenon-demo/tokenizer.json", 512}),
                         [](auto const& one) { return std::string(one.param.name); });

TEST_P(golden_ids, of_every_prompt) {
  SKIP_WITHOUT_SHARED_DATA();
  auto const t = shared_tokenizer(GetParam().tokenizer);
  for (auto const& g : shared_json(std::string("golden/") + GetParam().name + "_greedy.json")) {
    auto const prompt = g["prompt"].get<std::string>();
    EXPECT_EQ(t->encode(prompt), g["prompt_ids"].get<ids>()) << prompt;
    if (std::strcmp(GetParam().name, "babyllama105") != 0) {
      EXPECT_EQ(t->decode(g["prompt_ids"].get<ids>()), prompt);
    }
    expect_spans_cover(*t, prompt);
  }
}

TEST_P(golden_ids, of_the_scored_texts) {
  SKIP_WITHOUT_SHARED_DATA();
  auto const t       = shared_tokenizer(GetParam().tokenizer);
  auto const texts   = stories();
  auto const golden  = shared_json(std::string("golden/") + GetParam().name + "_nll.json");
  bool const last    = golden["source"].get<std::string>().find("last 32") != std::string::npos;
  auto const entries = golden["per_text"].size();
  ASSERT_GT(texts.size(), entries);
  for (std::size_t i = 0; i < entries; ++i) {
    auto const& story  = texts[last ? texts.size() - 1 - entries + i : i];  // the last of all is cut
    auto const  wanted = golden["per_text"][i]["ids"].get<ids>();
    auto        got    = t->encode(story);
    if (got.size() > wanted.size()) got.resize(wanted.size());
    EXPECT_EQ(got, wanted) << i;
    EXPECT_TRUE(wanted.size() <= GetParam().length);
    if (GetParam().name != std::string("babyllama105")) {
      EXPECT_EQ(t->decode(t->encode(story)), story) << i;
    }
  }
}

// 47 texts with the ids that the models' own tokenizers give them.
void expect_vocabulary_tests(tokenizer const& t, std::string const& name) {
  std::string const in =
      test::read_text(test::shared_data() / ("tokenizers/ggml-vocab/ggml-vocab-" + name + ".gguf.inp"));
  std::istringstream out(
      test::read_text(test::shared_data() / ("tokenizers/ggml-vocab/ggml-vocab-" + name + ".gguf.out")));
  std::string const mark  = "\n__ggml_vocab_test__\n";
  int               count = 0;
  for (std::size_t at = 0; at <= in.size(); ++count) {
    std::size_t const end  = std::min(in.find(mark, at), in.size());
    std::string const text = in.substr(at, end - at);
    std::string       line;
    std::getline(out, line);  // the last text is empty, and its line is not there
    std::istringstream numbers(line);
    ids const          wanted{std::istream_iterator<std::int32_t>(numbers), {}};
    EXPECT_EQ(t.encode(text, false), wanted) << name << ": " << text;
    EXPECT_EQ(t.decode(wanted), text);
    expect_spans_cover(t, text);
    at = end + mark.size();
  }
  EXPECT_EQ(count, 47);
}

json_value byte_level() { return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}; }

json_value merges_of(std::string const& file) {
  json_value         merges = json_value::array();
  std::istringstream lines(test::read_text(test::shared_data() / file));
  for (std::string line; std::getline(lines, line);)
    if (!line.empty() && !line.starts_with("#version")) merges.push_back(line);
  return merges;
}

TEST(oracle, gpt2) {
  SKIP_WITHOUT_SHARED_DATA();
  json_value const tree = {{"pre_tokenizer", byte_level()},
                           {"model",
                            {{"type", "BPE"},
                             {"vocab", shared_json("tokenizers/gpt2/encoder.json")},
                             {"merges", merges_of("tokenizers/gpt2/vocab.bpe")}}}};
  expect_vocabulary_tests(bpe_tokenizer(read_tokenizer_json({tree.dump(), "gpt2"}, "gpt2")), "gpt-2");
}

TEST(oracle, qwen2) {
  SKIP_WITHOUT_SHARED_DATA();
  json_value const split = {
      {"type", "Split"},
      {"pattern",
       {{"Regex",
         R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}}},
      {"behavior", "Isolated"},
      {"invert", false}};
  json_value bytes      = byte_level();
  bytes["use_regex"]    = false;
  json_value const tree = {{"normalizer", {{"type", "NFC"}}},
                           {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}}},
                           {"model",
                            {{"type", "BPE"},
                             {"vocab", shared_json("tokenizers/qwen2/vocab.json")},
                             {"merges", merges_of("tokenizers/qwen2/merges.txt")}}}};
  expect_vocabulary_tests(bpe_tokenizer(read_tokenizer_json({tree.dump(), "qwen2"}, "qwen2")), "qwen2");
}

TEST(oracle, llama3_and_gpt2_by_their_ranks) {
  SKIP_WITHOUT_SHARED_DATA();
  auto const llama3 = shared_tokenizer("tokenizers/llama3/tokenizer.model");
  EXPECT_EQ(llama3->vocabulary(), 128256);
  EXPECT_EQ(llama3->description(), "byte-level BPE (tiktoken, Llama 3)");
  EXPECT_EQ(llama3->encode("<|eot_id|>"), (ids{128000, 128009}));
  EXPECT_EQ(llama3->decode(llama3->encode("<|eot_id|>", false)), "<|eot_id|>");
  EXPECT_EQ(llama3->eos_ids(), (ids{128001, 128009}));
  expect_vocabulary_tests(*llama3, "llama-bpe");
  // Tokens that merges of later ones make: " nghi" has a higher rank than this.
  EXPECT_EQ(llama3->encode(" nghi\xE1\xBB\x87p", false).size(), 1u);
  auto const gpt2 = shared_tokenizer("tokenizers/tiktoken/r50k_base.tiktoken");
  expect_vocabulary_tests(*gpt2, "gpt-2");
  EXPECT_EQ(gpt2->encode("<|endoftext|>"), (ids{50256}));
}

TEST(oracle, gpt_neox) {
  SKIP_WITHOUT_SHARED_DATA();
  auto const t = shared_tokenizer("tokenizers/gpt-neox-20b/tokenizer.json");
  EXPECT_EQ(t->vocabulary(), 50277);
  expect_vocabulary_tests(*t, "mpt");  // the same vocabulary
}

TEST(oracle, minimind_round_trips) {
  SKIP_WITHOUT_SHARED_DATA();
  auto const t = shared_tokenizer("tokenizers/minimind/tokenizer.json");
  EXPECT_EQ(t->vocabulary(), 6400);
  std::string const text = test::read_text(test::shared_data() / "corpora/zh_hongloumeng.txt").substr(0, 60000);
  EXPECT_EQ(t->decode(t->encode(text)), text);
  EXPECT_EQ(t->encode("<|im_start|>a<|im_end|>"), (ids{1, t->encode("a")[0], 2}));
  auto const plain = t->encode("<|im_end|>", false);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), 2), 0);
  EXPECT_EQ(t->decode(plain), "<|im_end|>");
  EXPECT_TRUE(t->is_special(2));
}

// A vocabulary of this file's own: the 256 bytes, then merges.
json_value small_tree() {
  json_value tree       = json_value::parse(R"({"added_tokens": [
      {"id": 300, "content": "<end>", "special": true, "normalized": false},
      {"id": 301, "content": "<user>", "special": false, "normalized": false},
      {"id": 302, "content": "<both>", "special": true, "normalized": false, "lstrip": true, "rstrip": true},
      {"id": 303, "content": "word", "special": false, "normalized": false, "single_word": true}],
    "post_processor": {"type": "TemplateProcessing", "single": [
      {"SpecialToken": {"id": "<end>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<both>", "type_id": 0}}],
      "special_tokens": {"<end>": {"id": "<end>", "ids": [300], "tokens": ["<end>"]}, "<both>": {"id": "<both>", "ids": [302], "tokens": ["<both>"]}}},
    "model": {"type": "BPE", "merges": ["a b", ["ab", "c"], "b c", "Ġ a", "a a", "aa aa"]}})");
  tree["pre_tokenizer"] = byte_level();
  auto& vocabulary      = tree["model"]["vocab"];
  int   shifted         = 0;
  for (int b = 0; b < 256; ++b) {
    bool const  printable = (b >= 33 && b < 127) || (b >= 161 && b < 173) || b >= 174;
    std::string character;
    append_utf8(character, static_cast<char32_t>(printable ? b : 256 + shifted++));
    vocabulary[character] = b;
  }
  int id = 256;
  for (char const* token : {"ab", "abc", "bc", "Ġa", "aa", "aaaa"}) vocabulary[token] = id++;
  return tree;
}

ids encode(json_value const& tree, std::string const& text, bool special = false) {
  return bpe_tokenizer(read_tokenizer_json({tree.dump(), "small"}, "small")).encode(text, special);
}

TEST(bpe, merges_by_rank_and_from_the_left) {
  EXPECT_EQ(encode(small_tree(), "abc"), (ids{257}));
  EXPECT_EQ(encode(small_tree(), "bc"), (ids{258}));
  EXPECT_EQ(encode(small_tree(), "aaa"), (ids{260, 'a'}));
  EXPECT_EQ(encode(small_tree(), "aaaaaaa"), (ids{261, 260, 'a'}));
  EXPECT_EQ(encode(small_tree(), "xa a"), (ids{'x', 'a', 259}));
}

TEST(bpe, heap_and_scans_agree) {
  bpe_tokenizer const                t(read_tokenizer_json({small_tree().dump(), "small"}, "small"));
  std::mt19937                       random(1);
  std::uniform_int_distribution<int> letter('a', 'c'), length(1, 60);
  pair_table                         table(6);
  table.insert('a', 'b', 0, 256), table.insert(256, 'c', 1, 257), table.insert('b', 'c', 2, 258);
  table.insert('a', 'a', 3, 260), table.insert(260, 260, 4, 261);
  for (int i = 0; i < 500; ++i) {
    std::vector<symbol> scans;
    for (int n = length(random); n > 0; --n) scans.push_back({letter(random), 1});
    auto heap = scans;
    detail::merge_by_scans(scans, table);
    detail::merge_by_heap(heap, table);
    ASSERT_EQ(scans.size(), heap.size());
    for (std::size_t k = 0; k < heap.size(); ++k) {
      EXPECT_EQ(scans[k].id, heap[k].id);
      EXPECT_EQ(scans[k].length, heap[k].length);
    }
  }
}

TEST(bpe, template_and_control_tokens) {
  EXPECT_EQ(encode(small_tree(), "ab", true), (ids{300, 256, 302}));
  EXPECT_EQ(encode(small_tree(), "", true), (ids{300, 302}));
  EXPECT_EQ(encode(small_tree(), "", false), ids{});
  EXPECT_EQ(encode(small_tree(), "x<end>y", true), (ids{300, 'x', 300, 'y', 302}));
  EXPECT_EQ(encode(small_tree(), "x<end>", false), (ids{'x', '<', 'e', 'n', 'd', '>'}));
  EXPECT_EQ(encode(small_tree(), "x<user>", false), (ids{'x', 301}));  // user-defined tokens always match
  bpe_tokenizer const t(read_tokenizer_json({small_tree().dump(), "small"}, "small"));
  EXPECT_EQ(t.encode("<end>", encode_options{.add_special = false, .control_in_text = true}), (ids{300}));
  EXPECT_EQ(t.bos_id(), 300);
  EXPECT_TRUE(t.is_special(300));
  EXPECT_FALSE(t.is_special(301));
  EXPECT_EQ(t.decode(ids{300, 'x', 301, 259, 302}), "x<user> a");
  EXPECT_EQ(t.text_after(-1, 9999), "");
  EXPECT_THROW((void)t.token_bytes(9999), error);
  EXPECT_THROW((void)t.token_bytes(280), error);  // a hole in the vocabulary
}

TEST(bpe, added_tokens_strip_and_stand_alone) {
  EXPECT_EQ(encode(small_tree(), "x \n<both>\t y", true), (ids{300, 'x', 302, 'y', 302}));
  EXPECT_EQ(encode(small_tree(), "word", false), (ids{303}));
  EXPECT_EQ(encode(small_tree(), "(word)", false), (ids{'(', 303, ')'}));
  EXPECT_EQ(encode(small_tree(), "words", false), (ids{'w', 'o', 'r', 'd', 's'}));
  EXPECT_EQ(encode(small_tree(), "\xC3\xA9word", false), (ids{0xC3, 0xA9, 'w', 'o', 'r', 'd'}));  // after a letter
}

TEST(bpe, ignore_merges_takes_whole_pieces) {
  auto tree               = small_tree();
  tree["model"]["merges"] = json_value::array();
  EXPECT_EQ(encode(tree, "abc"), (ids{'a', 'b', 'c'}));
  tree["model"]["ignore_merges"] = true;
  EXPECT_EQ(encode(tree, "abc"), (ids{257}));
}

TEST(bpe, prefix_space) {
  auto tree                                 = small_tree();
  tree["pre_tokenizer"]["add_prefix_space"] = true;
  EXPECT_EQ(encode(tree, "ac"), (ids{259, 'c'}));
  EXPECT_EQ(encode(tree, " ac"), (ids{259, 'c'}));
  auto const e =
      bpe_tokenizer(read_tokenizer_json({tree.dump(), "small"}, "small")).encode_with_spans("ac x", {false, false});
  EXPECT_EQ(e.spans, (std::vector<token_span>{{0, 1}, {1, 2}, {2, 3}, {3, 4}}));
}

TEST(bpe, any_bytes_are_text) {
  bpe_tokenizer const t(read_tokenizer_json({small_tree().dump(), "small"}, "small"));
  std::mt19937        random(7);
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (int n = static_cast<int>(random() % 40); n > 0; --n)
      text += static_cast<char>(random() % 3 ? random() % 256 : 'a' + random() % 3);
    EXPECT_EQ(t.decode(t.encode(text, false)), text);
    expect_spans_cover(t, text);
  }
  EXPECT_EQ(t.encode("a\xFF"
                     "b",
                     false),
            (ids{'a', 0xFF, 'b'}));
  EXPECT_EQ(t.encode(std::string("a\0b", 3), false), (ids{'a', 0, 'b'}));
}

// A word of a million equal letters must not take a million squared steps; the bound is on work, not on time: the heap
// holds at most two candidates per merge.
TEST(bpe, one_long_word) {
  bpe_tokenizer const t(read_tokenizer_json({small_tree().dump(), "small"}, "small"));
  std::string const   text(1'000'000, 'a');
  auto const          got = t.encode(text, false);
  EXPECT_EQ(got, ids(250'000, 261));
  EXPECT_EQ(t.encode(std::string(200'000, '_'), false).size(), 200'000u);
  EXPECT_EQ(t.encode(std::string(200'000, ' '), false).size(), 200'000u);
}

struct split_case {
  char const* behavior;
  bool        invert;
  ids         wanted;  // of "a-bc--a" with merges of the pieces made visible by ignore_merges
};
TEST(bpe, split_behaviours) {
  for (auto const& [behavior, invert, wanted] : {
           split_case{"Isolated", false, {'a', '-', 258, '-', '-', 'a'}},
           split_case{"Removed", false, {'a', 258, 'a'}},
           split_case{"Removed", true, {'-', '-', '-'}},
           split_case{"MergedWithPrevious", false, {401, 258, '-', '-', 'a'}},
           split_case{"MergedWithNext", false, {'a', '-', 258, '-', 402}},
           split_case{"Contiguous", false, {'a', '-', 258, 400, 'a'}},
       }) {
    auto tree                          = small_tree();
    tree["model"]["ignore_merges"]     = true;
    tree["model"]["merges"]            = {"b c"};
    tree["model"]["vocab"]["--"]       = 400;
    tree["model"]["vocab"]["a-"]       = 401;
    tree["model"]["vocab"]["-a"]       = 402;
    tree["pre_tokenizer"]["use_regex"] = false;
    json_value const split             = {
                    {"type", "Split"}, {"pattern", {{"String", "-"}}}, {"behavior", behavior}, {"invert", invert}};
    tree["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, tree["pre_tokenizer"]}}};
    EXPECT_EQ(encode(tree, "a-bc--a"), wanted) << behavior << invert;
  }
}

TEST(bpe, white_space_is_unicodes) {
  EXPECT_EQ(pattern(R"(\s)", "p").matches("\xE1\xA0\x8E").size(), 0u);  // U+180E
  EXPECT_EQ(pattern(R"([^\s]+)", "p")
                .matches("a\xE3\x80\x80"
                         "b")
                .size(),
            2u);
  EXPECT_EQ(pattern(R"(\S+)", "p")
                .matches("a\xC2\x85"
                         "b")
                .size(),
            2u);
}

TEST(bpe, runaway_patterns_end_in_an_error) {
  pattern const p("(a*)*$b", "p");
  try {
    (void)p.matches(std::string(5000, 'a'));
  } catch (error const& e) {
    EXPECT_TRUE(std::string(e.what()).starts_with("p: pattern fails on the text: found ")) << e.what();
  }
}

TEST(nfc, composes_orders_and_maps_back) {
  EXPECT_TRUE(is_nfc("plain \xC3\xA9 \xE7\xBA\xA2\xEA\xB0\x80"));
  EXPECT_FALSE(is_nfc("e\xCC\x81"));
  auto const n = to_nfc("xe\xCC\x81y");
  EXPECT_EQ(n.text, "x\xC3\xA9y");
  ASSERT_EQ(n.origin.size(), 4u);
  EXPECT_EQ(n.origin[1], (token_span{1, 4}));
  EXPECT_EQ(n.origin[2], (token_span{1, 4}));
  EXPECT_EQ(n.origin[3], (token_span{4, 5}));
  EXPECT_EQ(to_nfc("a\xCC\x81\xCC\xA3").text, "\xE1\xBA\xA1\xCC\x81");             // dot below first
  EXPECT_EQ(to_nfc("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8").text, "\xEA\xB0\x81");  // Hangul
  EXPECT_EQ(to_nfc("\xE2\x84\xAB").text, "\xC3\x85");                              // Angstrom sign
  EXPECT_EQ(to_nfc("\xE0\xA5\x98").text, "\xE0\xA4\x95\xE0\xA4\xBC");              // excluded from composition
  auto tree          = small_tree();
  tree["normalizer"] = {{"type", "NFC"}};
  EXPECT_EQ(encode(tree, "e\xCC\x81"), (ids{0xC3, 0xA9}));
  auto const e = bpe_tokenizer(read_tokenizer_json({tree.dump(), "small"}, "small"))
                     .encode_with_spans("xe\xCC\x81y", {false, false});
  EXPECT_EQ(e.spans, (std::vector<token_span>{{0, 1}, {1, 4}, {1, 4}, {4, 5}}));
}

// tokenizer.json with one thing wrong, and the end of the message about it.
TEST(bpe, refusals_name_the_key) {
  struct refusal {
    char const* patch;  // JSON merge patch
    char const* message;
  };
  for (auto const& [patch, message] : {
           refusal{R"({"model": null})", "small: model: missing: found nothing, expected an object"},
           refusal{R"({"model": 3})", "small: model: wrong type: found 3, expected an object"},
           refusal{R"({"model": {"type": "Unigram"}})",
                   "small: model.type: unsupported tokenizer: found \"Unigram\", expected BPE"},
           refusal{R"({"model": {"vocab": [1]}})",
                   "small: model.vocab: wrong type: found an array, expected an object"},
           refusal{R"({"model": {"vocab": {"zz": -1}}})",
                   "small: model.vocab \"zz\": out of range: found -1, expected an integer from 0 to 4194303"},
           refusal{R"({"model": {"vocab": {"zz": 1e99}}})",
                   "small: model.vocab \"zz\": wrong type: found 1e+99, expected an integer from 0 to 4194303"},
           refusal{R"({"model": {"vocab": {"zz": 99999999999}}})",
                   "small: model.vocab \"zz\": out of range: found 99999999999, expected an integer from 0 to 4194303"},
           refusal{R"({"model": {"vocab": {"zz": 256}}})",
                   "small: model.vocab: two tokens have one id: found 256 for \"zz\" too, expected an id for each"},
           refusal{R"({"model": {"merges": null}})", "small: model.merges: missing: found nothing, expected an array"},
           refusal{
               R"({"model": {"merges": ["ab"]}})",
               "small: model.merges[0]: is not a merge: found \"ab\", expected two tokens with one space between them"},
           refusal{R"({"model": {"merges": ["a b", ["a"]]}})",
                   "small: model.merges[1]: is not a merge: found an array, expected two tokens"},
           refusal{R"({"model": {"merges": ["a qq"]}})",
                   "small: model.merges[0]: names a token outside the vocabulary: found \"qq\", expected one of "
                   "model.vocab"},
           refusal{R"({"model": {"dropout": 0.5}})", "small: model.dropout: unsupported: found 0.5, expected none"},
           refusal{R"({"model": {"end_of_word_suffix": "</w>"}})",
                   "small: model.end_of_word_suffix: unsupported: found \"</w>\", expected none"},
           refusal{R"({"model": {"unk_token": "nope"}})",
                   "small: model.unk_token: is not in the vocabulary: found \"nope\", expected a vocabulary entry"},
           refusal{
               R"({"normalizer": {"type": "BertNormalizer"}})",
               "small: normalizer.type: unsupported normalizer: found \"BertNormalizer\", expected one of NFC, NFD, "
               "NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, Precompiled, Sequence"},
           refusal{R"({"pre_tokenizer": {"type": "BertPreTokenizer"}})",
                   "small: pre_tokenizer.type: unsupported pre-tokenizer: found \"BertPreTokenizer\", expected one of "
                   "ByteLevel, Metaspace, Split, Digits, Punctuation, Whitespace, WhitespaceSplit, Sequence"},
           refusal{R"({"pre_tokenizer": null})",
                   "small: pre_tokenizer: unsupported tokenizer: found no ByteLevel step, expected a byte-level BPE"},
           refusal{R"({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"}})",
                   "small: pre_tokenizer.pattern: broken pattern: found \"(a\" (missing closing parenthesis), expected "
                   "a regular expression"},
           refusal{R"({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Twice"}})",
                   "small: pre_tokenizer.behavior: unknown: found \"Twice\", expected one of Removed, Isolated, "
                   "MergedWithPrevious, MergedWithNext, Contiguous"},
           refusal{R"({"decoder": {"type": "WordPiece"}})",
                   "small: decoder.type: unsupported decoder: found \"WordPiece\", expected ByteLevel"},
           refusal{R"({"post_processor": {"type": "PairProcessing"}})",
                   "small: post_processor.type: unsupported post-processor: found \"PairProcessing\", expected "
                   "TemplateProcessing, RobertaProcessing, BertProcessing, ByteLevel, Sequence or none"},
           refusal{R"({"added_tokens": [{"id": 97, "content": "b"}]})",
                   "small: added_tokens[0].id: belongs to another token: found 97, which is \"a\", expected an id for "
                   "\"b\""},
           refusal{R"({"added_tokens": [{"id": "x", "content": "b"}]})",
                   "small: added_tokens[0].id: wrong type: found \"x\", expected an integer from 0 to 4194303"},
       }) {
    auto tree = small_tree();
    tree.merge_patch(json_value::parse(patch));
    try {
      (void)bpe_tokenizer(read_tokenizer_json({tree.dump(), "small"}, "small"));
      ADD_FAILURE() << patch;
    } catch (error const& e) {
      EXPECT_STREQ(e.what(), message);
    }
  }
}

// llama2.c: a vocabulary in its own layout.
std::string llama2c_file(std::vector<std::pair<std::string, float>> const& tokens, std::int32_t longest = 16) {
  std::string file(reinterpret_cast<char const*>(&longest), 4);
  for (auto const& [bytes, score] : tokens) {
    auto const length = static_cast<std::int32_t>(bytes.size());
    file.append(reinterpret_cast<char const*>(&score), 4)
        .append(reinterpret_cast<char const*>(&length), 4)
        .append(bytes);
  }
  return file;
}

std::vector<std::pair<std::string, float>> llama2c_tokens(bool bytes) {
  std::vector<std::pair<std::string, float>> tokens{{"<unk>", 0.f}, {"\n<s>\n", 0.f}, {"\n</s>\n", 0.f}};
  char                                       text[8];
  for (int b = 0; bytes && b < 256; ++b)
    std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(b)), tokens.emplace_back(text, 0.f);
  for (char const* piece : {" ", "a", "b", "ab", " a", "aa", "\xC3\xA9"})
    tokens.emplace_back(piece, -static_cast<float>(tokens.size()));
  return tokens;
}

TEST(llama2c, merges_by_score) {
  piece_tokenizer const t(read_llama2c(llama2c_file(llama2c_tokens(true)), "t"));
  EXPECT_EQ(t.encode(""), (ids{1}));
  EXPECT_EQ(t.encode("ab"), (ids{1, 259, 262}));  // "ab" scores above " a"
  EXPECT_EQ(t.encode("a"), (ids{1, 263}));
  EXPECT_EQ(t.encode("aa", false), (ids{263, 260}));  // " a" scores above "aa"
  EXPECT_EQ(t.encode("\xC3\xA9"), (ids{1, 259, 265}));
  EXPECT_EQ(t.encode("\n\xFFz"), (ids{1, 259, 13, 258, 3 + 'z'}));
  EXPECT_EQ(t.encode("<s>"), (ids{1, 259, 3 + '<', 3 + 's', 3 + '>'}));
  EXPECT_EQ(t.decode(t.encode("a\n\xFF\xC3\xA9 b")), "a\n\xFF\xC3\xA9 b");
  EXPECT_EQ(t.decode(ids{263}), "a");
  EXPECT_EQ(t.decode(ids{263}, 260), " a");  // in the middle of a text
  EXPECT_EQ(t.decode(ids{1, 259, 263, 2}), " a");
  expect_spans_cover(t, "ab \xF0\x9F\x90\xB1 \xC3");
}

TEST(llama2c, unknown_characters_without_byte_tokens) {
  piece_tokenizer const t(read_llama2c(llama2c_file(llama2c_tokens(false)), "t"));
  EXPECT_EQ(t.encode("a\n\xF0\x9F\x90\xB1"
                     "b\xFF"),
            (ids{1, 7, 0, 0, 5, 0}));
  EXPECT_EQ(t.eos_ids(), (ids{1, 2}));
}

TEST(llama2c, one_long_word) {
  piece_tokenizer const t(read_llama2c(llama2c_file(llama2c_tokens(true)), "t"));
  EXPECT_EQ(t.encode(std::string(400'001, 'a'), false).size(), 200'001u);
}

TEST(llama2c, broken_files) {
  auto const good   = llama2c_file(llama2c_tokens(false));
  auto const expect = [](std::string const& bytes, char const* message) {
    try {
      (void)read_llama2c(bytes, "t");
      ADD_FAILURE() << message;
    } catch (error const& e) {
      EXPECT_STREQ(e.what(), message);
    }
  };
  expect(good.substr(0, 2),
         "t: is truncated in token 0: found 2 bytes, expected 4 bytes of the longest token's length");
  expect(good.substr(0, 6), "t: is truncated in token 0: found 2 bytes, expected 4 bytes of a score");
  expect(good.substr(0, 14), "t: token 0: is truncated: found 2 bytes, expected 5");
  expect(good.substr(0, 17), "t: has too few tokens: found 1, expected at least 3: unknown, begin, end");
  expect(llama2c_file({{"a", 0.f}}, -1),
         "t: is not a llama2.c vocabulary: found tokens of up to -1 bytes, expected 1 to 1024");
  expect(llama2c_file({{"abc", 0.f}}, 2), "t: token 0: has a wrong length: found 3, expected 0 to 2");
  expect(llama2c_file({{"abc", NAN}}),
         "t: token 0: has a score that is no number: found nan, expected a finite number");
  auto lying = good;
  std::memset(lying.data() + 8, 0xFF, 4);
  expect(lying, "t: token 0: has a wrong length: found -1, expected 0 to 16");
}

TEST(tiktoken, small_files_and_what_is_wrong_with_them) {
  std::string                file;  // 256 bytes in order, then "ab"
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t b = 0; b < 256; ++b)
    file += {digits[b >> 2], digits[(b & 3) << 4], '=', '=', ' '}, file += std::to_string(b) + "\n";
  std::string const good = file + "YWI= 256\n";
  EXPECT_TRUE(looks_like_tiktoken(good));
  EXPECT_FALSE(looks_like_tiktoken("not base64! 5\n"));
  EXPECT_FALSE(looks_like_tiktoken("{}"));
  EXPECT_EQ(bpe_tokenizer(read_tiktoken(good, "f", "gpt2")).encode("ab a1"), (ids{256, ' ', 'a', '1'}));
  EXPECT_EQ(bpe_tokenizer(read_tiktoken(good, "f", "b|[^b]+")).encode("ab"), (ids{'a', 'b'}));
  struct fault {
    std::string text, message;
  };
  for (auto const& [text, message] : {fault{good, "does not say how to cut words"},
                                      {file + "YWI 256\n", "is not a token"},
                                      {file + "YWI=\n", "is not a token"},
                                      {file + "YWI= 2x\n", "has no rank"},
                                      {file + "YWI= -1\n", "has no rank"},
                                      {file + "YWI= 99999999999\n", "has no rank"},
                                      {file + "YWI= 100000\n", "has no rank"},
                                      {file + "YWI= 7\n", "has the rank of another token"},
                                      {"", "holds no token"}}) {
    try {
      (void)read_tiktoken(text, "f");
      ADD_FAILURE() << message;
    } catch (error const& e) {
      EXPECT_NE(std::string(e.what()).find(message), std::string::npos) << e.what();
    }
  }
  EXPECT_THROW(bpe_tokenizer(read_tiktoken("YWI= 0\n", "f", "gpt2")), error);  // no bytes
}

TEST(load_tokenizer, by_name_and_content) {
  test::scratch_folder const folder;
  test::write_text(folder / "tokenizer.json", small_tree().dump());
  test::write_text(folder / "t.bin", llama2c_file(llama2c_tokens(true)));
  test::write_text(folder / "t.model", "x");
  test::write_text(folder / "other.json", "{\"a\": 0}");
  test::write_text(folder / "empty.bin", "");
  auto const path = [&](char const* name) { return (folder / name).string(); };
  EXPECT_EQ(load_tokenizer(path("tokenizer.json"))->encode("abc", false), (ids{257}));
  EXPECT_EQ(load_tokenizer(path("t.bin"))->encode("a"), (ids{1, 263}));
  EXPECT_EQ(find_tokenizer(path("")), path("tokenizer.json"));
  constexpr char const* known =
      ", expected a tokenizer.json, vocab.json with merges.txt, SentencePiece's .model, GGUF, tiktoken's ranks or a "
      "llama2.c .bin vocabulary";
  for (auto const& [name, message] :
       {std::pair<char const*, std::string>{"t.model", "unsupported tokenizer file: found \".model\""},
        {"other.json", "unsupported tokenizer file: found JSON without \"model\""},
        {"empty.bin", "is empty: found 0 bytes"}})
    try {
      (void)load_tokenizer(path(name));
      ADD_FAILURE() << name;
    } catch (error const& e) {
      EXPECT_EQ(e.what(), path(name) + ": " + message + known);
    }
}

}  // namespace
