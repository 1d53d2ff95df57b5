//  vocab.json with merges.txt: found by either name, its control tokens and words by what lies beside it.
#include <engine/error.hpp>
#include <engine/text/byte_alphabet.hpp>
#include <engine/text/tokenizer.hpp>
#include <engine/text/vocab_merges.hpp>
#include <engine/text/word_families.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "../../support/shared_data.hpp"

namespace {

using namespace tenon::engine;
namespace fs = std::filesystem;
using ids    = std::vector<std::int32_t>;

/// A folder of its own, removed at the end.
class folder {
 public:
  explicit folder(std::string const& name) : path_(fs::temp_directory_path() / ("tenon_vocab_merges_" + name)) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  folder(folder const&) = delete;
  void write(char const* name, std::string const& text) const { std::ofstream(path_ / name, std::ios::binary) << text; }
  [[nodiscard]] std::string path(char const* name = "") const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

/// 256 bytes, then `more`.
std::string vocabulary(std::vector<std::string> const& more) {
  std::string json = "{";
  int         id   = 0;
  auto const  add  = [&](std::string const& token) {
    json += id ? ", \"" : "\"";
    for (char const c : token) json.append(c == '"' || c == '\\' ? "\\" : "").append(1, c);
    json += "\": " + std::to_string(id++);
  };
  for (char32_t const c : gpt2_alphabet.character) {
    std::string token;
    append_utf8(token, c);
    add(token);
  }
  for (std::string const& token : more) add(token);
  return json + "}";
}

std::string message_of(auto const& f) {
  try {
    f();
  } catch (error const& e) {
    return e.what();
  }
  return "no error";
}

TEST(vocab_merges, by_either_name_and_by_the_folder) {
  folder const at("names");
  at.write("vocab.json", vocabulary({"ab", "<|endoftext|>"}));
  at.write("merges.txt", "#version: 0.2\na b\n");
  at.write("tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer)"
                                    R"(Fast", "eos_token": "<|endoftext|>"})");
  for (std::string const& path : {at.path("vocab.json"), at.path("merges.txt"), find_tokenizer(at.path())}) {
    auto const t = load_tokenizer(path);
    EXPECT_EQ(t->encode("ab a<|endoftext|>"), (ids{256, ' ', 'a', 257})) << path;
    EXPECT_EQ(t->encode("<|endoftext|>", false).size(), 13u);
    EXPECT_EQ(t->eos_ids(), ids{257});
    EXPECT_TRUE(t->is_special(257));
    EXPECT_EQ(t->decode(ids{256, 257, ' '}), "ab ");
  }
  EXPECT_FALSE(vocab_merges_of("x/tokenizer.json"));
  EXPECT_FALSE(vocab_merges_of("x/myvocab.json"));
  EXPECT_EQ(vocab_merges_of("x/small-vocab.json")->merges, "x/small-merges.txt");
  EXPECT_EQ(vocab_merges_of("x/vocab.bpe")->vocab, "x/encoder.json");
}

TEST(vocab_merges, what_lies_beside_them) {
  std::string const vocab = vocabulary({"ab", "<|im_start|>"});
  std::string const config =
      R"({"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": true, "bos_token": {"content": "<begin>"}, "eos_token": "<|end|>",
          "added_tokens_decoder": {"300": {"content": "<begin>", "special": true},
                                   "301": {"content": "<tool>", "special": false, "lstrip": true}}})";
  std::string const    added = R"({"<|end|>": 302, "<tool>": 301, "plain": 303})";
  bpe_definition const d     = read_vocab_merges({vocab, "a b\n", added, config}, {"vocab.json", "merges.txt"});
  EXPECT_EQ(d.before, ids{300});
  EXPECT_EQ(d.ends, ids{302});
  EXPECT_TRUE(d.after.empty());
  EXPECT_TRUE(d.nfc);
  ASSERT_EQ(d.added.size(), 5u);
  for (added_token const& t : d.added) {
    EXPECT_EQ(t.special, t.id == 257 || t.id == 300 || t.id == 302) << t.content;
    EXPECT_EQ(t.strip_left, t.id == 301);
  }
}

TEST(vocab_merges, refuses) {
  std::string const vocab = vocabulary({"ab"}), config = R"({"tokenizer_class": "GPT2Tokenizer"})";
  auto const        read = [&](vocab_merges_texts const& texts, std::string_view pattern = {}) {
    return message_of([&] { (void)read_vocab_merges(texts, {"d/vocab.json", "d/merges.txt"}, pattern); });
  };
  EXPECT_EQ(read({vocab, "a b\n", {}, config}), "no error");
  EXPECT_EQ(read({vocab, "a b\n", {}, {}}, "gpt2"), "no error");
  EXPECT_EQ(read({vocab, "a b\n", {}, {}}, "[a-z]+"), "no error");
  EXPECT_EQ(read({vocab, "a b\n", {}, {}}),
            "d/vocab.json: does not say how to cut words: found no tokenizer_config.json and control tokens of no "
            "known family, "
            "expected --pattern " +
                word_family_names() + "|EXPRESSION");
  EXPECT_EQ(read({vocab, "a b\n", {}, R"({"tokenizer_class": "Odd"})"}).substr(0, 81),
            "d/vocab.json: does not say how to cut words: found tokenizer_class \"Odd\" and cont");
  EXPECT_EQ(read({vocab, "a c\n", {}, config}),
            "d/merges.txt: line 1: names a token outside the vocabulary: found \"ac\", expected one of its tokens");
  EXPECT_EQ(read({vocab, "#version: 0.2\na  b\n", {}, config}),
            "d/merges.txt: line 2: is not a merge: found \"a  b\", expected two tokens with one space between them");
  EXPECT_EQ(read({vocab, "#version: 0.2\n", {}, config}),
            "d/merges.txt: holds no merge: found no line with two tokens, expected one per line");
  EXPECT_EQ(read({R"({"a": 0, "b": 0})", "a b\n", {}, config}),
            "d/vocab.json: \"b\": two tokens have one id: found 0, expected an id for each");
  EXPECT_NE(read({R"({"a": 4000000})", "a b\n", {}, config}).find("from 0 to 4097"), std::string::npos);
  EXPECT_NE(read({R"({"a": -1})", "a b\n", {}, config}).find("-1"), std::string::npos);
  EXPECT_EQ(read({"[]", "a b\n", {}, config}).substr(0, 37), "d/vocab.json: is no vocabulary: found");
  EXPECT_EQ(read({vocab, "a b\n", R"({"<x>": 3})", config}).substr(0, 67),
            "d/added_tokens.json: \"<x>\": belongs to another token: found 3, whic");
  EXPECT_EQ(read({vocab, "a b\n", R"({"<x>": 300, "<y>": 300})", config}).substr(0, 52),
            "d/added_tokens.json: \"<y>\": belongs to another token");
  EXPECT_NE(read({vocab, "a b\n", {}, R"({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true})"})
                .find("add_bos_token"),
            std::string::npos);
  EXPECT_NE(
      read({vocab, "a b\n", {}, R"({"added_tokens_decoder": {"x": {"content": "y"}}})"}).find("added_tokens_decoder.x"),
      std::string::npos);
}

TEST(vocab_merges, two_files_of_the_same_many_tokens) {  // minutes, were each looked for among all
  std::string decoder, added;
  for (int i = 0; i < 200'000; ++i) {
    std::string const id = std::to_string(1000 + i), comma = i > 0 ? ", " : "";
    decoder += comma + "\"" + id + "\": {\"content\": \"t" + id + "\"}";
    added += comma + "\"t" + id + "\": " + id;
  }
  std::string const config = R"({"tokenizer_class": "GPT2Tokenizer", "added_tokens_decoder": {)" + decoder + "}}";
  std::string const vocab  = vocabulary({"ab"});
  EXPECT_EQ(read_vocab_merges({vocab, "a b\n", "{" + added + "}", config}, {"vocab.json", "merges.txt"}).added.size(),
            200'000u);
}

TEST(vocab_merges, a_missing_partner_is_named) {
  folder const at("partner");
  at.write("vocab.json", vocabulary({"ab"}));
  EXPECT_NE(message_of([&] { (void)load_tokenizer(at.path("vocab.json")); }).find("merges.txt"), std::string::npos);
  EXPECT_NE(message_of([&] { (void)find_tokenizer(at.path()); }).find("holds no tokenizer"), std::string::npos);
}

// Bytes that the vocabulary lacks are left out, and what is around them merges, as in huggingface/tokenizers.
TEST(vocab_merges, without_all_bytes) {
  folder const at("bytes");
  at.write("vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
  at.write("merges.txt", "a b\n");
  auto const t = load_tokenizer(at.path("vocab.json"), "gpt2");
  EXPECT_EQ(t->encode("abacb"), (ids{2, 2}));
  EXPECT_EQ(t->encode("abab aab\xFF."), (ids{2, 2, 0, 2}));
  EXPECT_TRUE(t->encode("c").empty());
  encoding const e = t->encode_with_spans("cacbc ab", {});
  EXPECT_EQ(e.ids, (ids{2, 2}));
  EXPECT_EQ(e.spans, (std::vector<token_span>{{1, 5}, {6, 8}}));
  EXPECT_EQ(load_tokenizer(at.path("vocab.json"), "[a-z]+")->encode("abacb ab"), (ids{2, 2, 2}));
  EXPECT_EQ(t->vocabulary(), 3);
}

}  // namespace
