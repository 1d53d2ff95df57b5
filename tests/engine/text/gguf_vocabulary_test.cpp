//  Vocabularies in GGUF files of this test's own: kinds of tokens, what is added, what is refused.
#include <engine/error.hpp>
#include <engine/text/bpe_tokenizer.hpp>
#include <engine/text/byte_alphabet.hpp>
#include <engine/text/gguf_vocabulary.hpp>
#include <engine/text/piece_tokenizer.hpp>

#include <gtest/gtest.h>

#include <cstdio>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "../scratch_folder.hpp"
#include "gguf_bytes.hpp"

namespace {

using namespace tenon::engine;
using namespace test::gguf;
using ids = std::vector<std::int32_t>;

/// A vocabulary of 256 bytes, `more` with their types, and merges.
struct sample {
  std::string              model = "gpt2", pre = "gpt-2";
  std::vector<std::string> more   = {};
  std::vector<int>         types  = {};  // of those
  std::vector<std::string> merges = {};
  std::optional<int>       begin = {}, end = {}, turn = {}, unknown = {};
  std::optional<bool>      add_begin = {}, add_end = {};

  [[nodiscard]] std::string file() const {
    std::vector<std::string> tokens;
    for (char32_t const c : gpt2_alphabet.character) append_utf8(tokens.emplace_back(), c);
    tokens.insert(tokens.end(), more.begin(), more.end());
    std::vector<std::int32_t> kinds(256, 1);
    kinds.insert(kinds.end(), types.begin(), types.end());
    std::uint64_t keys = 0;
    bytes         b;
    auto const    texts = [&](char const* key, std::vector<std::string> const& all) {
      ++keys, b.key(key, array).u32(string).u64(all.size());
      for (auto const& t : all) b.text(t);
    };
    auto const id = [&](char const* key, std::optional<int> v) {
      if (v) ++keys, b.key(key, u32).u32(static_cast<std::uint32_t>(*v));
    };
    auto const flag = [&](char const* key, std::optional<bool> v) {
      if (v) ++keys, b.key(key, boolean).number(static_cast<std::uint8_t>(*v));
    };
    ++keys, b.key("tokenizer.ggml.model", string).text(model);
    if (!pre.empty()) ++keys, b.key("tokenizer.ggml.pre", string).text(pre);
    texts("tokenizer.ggml.tokens", tokens), texts("tokenizer.ggml.merges", merges);
    ++keys, b.key("tokenizer.ggml.token_type", array).u32(i32).u64(kinds.size());
    for (auto const k : kinds) b.number(k);
    id("tokenizer.ggml.bos_token_id", begin), id("tokenizer.ggml.eos_token_id", end);
    id("tokenizer.ggml.eot_token_id", turn), id("tokenizer.ggml.unknown_token_id", unknown);
    flag("tokenizer.ggml.add_bos_token", add_begin), flag("tokenizer.ggml.add_eos_token", add_end);
    return bytes().header(0, keys).raw(b.str()).str();
  }
};

bpe_tokenizer load(sample const& s, std::string_view pattern = {}) {
  std::string const file = s.file();
  return bpe_tokenizer(read_gguf_bpe(gguf_file(file, "f.gguf"), pattern));
}

std::string refusal(sample const& s, std::string_view pattern = {}) {
  try {
    (void)load(s, pattern);
  } catch (error const& e) {
    return e.what();
  }
  return "taken";
}

TEST(gguf_vocabulary, kinds_of_tokens) {
  sample const s{.more   = {"ab", "<s>", "<tool>", "<unk>", "ac", "[PAD261]", "[PAD9]"},
                 .types  = {1, 3, 4, 2, 5, 4, 4},
                 .merges = {"a b"},
                 .begin  = 257,
                 .end    = 259,
                 .turn   = 258};
  auto const   t = load(s);
  EXPECT_EQ(t.encode("ab<tool>"), (ids{256, 258}));
  EXPECT_EQ(t.encode("<s>"), ids{257});
  EXPECT_EQ(t.encode("<s>", false), (ids{'<', 's', '>'}));  // a control token in a text is text
  EXPECT_EQ(t.encode("<unk>", false).size(), 5u);           // so is the unknown one
  EXPECT_EQ(t.encode("<tool>", false), ids{258});           // the user's are not
  EXPECT_EQ(t.encode("ac"), (ids{'a', 'c'}));               // an unused token is none
  EXPECT_EQ(t.encode("[PAD261]").size(), 8u);               // nor is what fills a gap
  EXPECT_EQ(t.encode("[PAD9]"), ids{262});                  // which this is not
  EXPECT_EQ(t.eos_ids(), (ids{259, 258}));
  EXPECT_TRUE(t.is_special(257));
  EXPECT_FALSE(t.is_special(258));
  EXPECT_EQ(t.token_bytes(260), "ac");
  EXPECT_EQ(t.vocabulary(), 263);
}

TEST(gguf_vocabulary, what_is_added_around_a_text) {
  sample s{.more = {"<s>", "</s>"}, .types = {3, 3}, .merges = {}, .begin = 256, .end = 257};
  EXPECT_EQ(load(s).encode("a"), ids{'a'});
  s.add_begin = s.add_end = true;
  EXPECT_EQ(load(s).encode("a"), (ids{256, 'a', 257}));
  s.add_begin = s.add_end = {};
  s.pre                   = "llama-bpe";  // adds its beginning where the file does not say
  EXPECT_EQ(load(s).encode("a"), (ids{256, 'a'}));
  s.add_begin = false;
  EXPECT_EQ(load(s).encode("a"), ids{'a'});
}

TEST(gguf_vocabulary, pattern) {
  sample s{.more = {"11", "111"}, .types = {1, 1}, .merges = {"1 1", "11 1"}};
  EXPECT_EQ(load(s).encode("111"), ids{257});
  EXPECT_EQ(load(s, "qwen2").encode("111"), (ids{'1', '1', '1'}));
  EXPECT_EQ(load(s, "1{2}").encode("111"), (ids{256, '1'}));
  s.pre = "qwen2";
  EXPECT_EQ(load(s).encode("111"), (ids{'1', '1', '1'}));
  EXPECT_EQ(load(s).encode("e\xCC\x81"), load(s).encode("\xC3\xA9"));  // its own tokenizer composes
  s.pre = "odd";
  EXPECT_EQ(refusal(s).substr(0, 84),
            "f.gguf: does not say how to cut words: found tokenizer.ggml.pre \"odd\", expected a na");
  EXPECT_EQ(refusal(s, "gpt2"), "taken");
  s.pre = "";
  EXPECT_EQ(refusal(s).substr(0, 66), "f.gguf: does not say how to cut words: found no tokenizer.ggml.pre");
}

TEST(gguf_vocabulary, refuses) {
  sample const good{.more = {"ab"}, .types = {1}, .merges = {"a b"}};
  EXPECT_EQ(refusal(good), "taken");
  auto const with = [&](auto const& change) {
    sample s = good;
    change(s);
    return refusal(s);
  };
  EXPECT_EQ(with([](sample& s) { s.model = "rwkv"; }),
            "f.gguf: \"tokenizer.ggml.model\": unsupported tokenizer: found \"rwkv\", expected gpt2 or llama");
  EXPECT_EQ(with([](sample& s) { s.types = {}; }),
            "f.gguf: \"tokenizer.ggml.token_type\": does not fit the tokens: found 256 types, expected 257");
  EXPECT_EQ(with([](sample& s) { s.types = {7}; }),
            "f.gguf: \"tokenizer.ggml.token_type\"[256]: unknown type: found 7, expected 0 to 6");
  EXPECT_EQ(with([](sample& s) { s.types = {-1}; }),
            "f.gguf: \"tokenizer.ggml.token_type\"[256]: unknown type: found -1, expected 0 to 6");
  EXPECT_EQ(with([](sample& s) { s.more = {"a"}; }),
            "f.gguf: \"tokenizer.ggml.tokens\"[256]: is there twice: found \"a\", expected every token once");
  EXPECT_EQ(with([](sample& s) { s.merges = {"a c"}; }),
            "f.gguf: \"tokenizer.ggml.merges\"[0]: names a token outside the vocabulary: found \"ac\", expected one of "
            "its tokens");
  EXPECT_EQ(with([](sample& s) { s.merges = {"a"}; }),
            "f.gguf: \"tokenizer.ggml.merges\"[0]: is not a merge: found \"a\", expected two tokens with one space "
            "between them");
  EXPECT_EQ(with([](sample& s) { s.end = 257; }),
            "f.gguf: \"tokenizer.ggml.eos_token_id\": is out of range: found 257, expected an integer from 0 to 256");
  EXPECT_EQ(with([](sample& s) { s.begin = -1; }).substr(0, 54),
            "f.gguf: \"tokenizer.ggml.bos_token_id\": is out of range");
  EXPECT_EQ(
      with([](sample& s) { s.add_begin = true; }),
      "f.gguf: \"tokenizer.ggml.add_bos_token\": names no token: found true without \"tokenizer.ggml.bos_token_id\", "
      "expected its id");
}

/// A vocabulary of pieces by scores, ids 0 to 2 as llama has them.
struct piece_sample {
  struct piece {
    std::string text;
    float       score = 0;
    int         type  = 1;
  };
  std::vector<piece>  pieces       = {{"<unk>", 0, 2}, {"<s>", 0, 3}, {"</s>", 0, 3}};
  std::string         architecture = "llama";
  std::optional<bool> add_begin = {}, add_space = {};
  std::size_t         scores = 0;  // more than there are tokens

  [[nodiscard]] std::string file() const {
    std::uint64_t keys = 5;
    bytes         b;
    b.key("general.architecture", string).text(architecture).key("tokenizer.ggml.model", string).text("llama");
    b.key("tokenizer.ggml.tokens", array).u32(string).u64(pieces.size());
    for (auto const& p : pieces) b.text(p.text);
    b.key("tokenizer.ggml.scores", array).u32(f32).u64(pieces.size() + scores);
    for (auto const& p : pieces) b.number(p.score);
    for (std::size_t i = 0; i < scores; ++i) b.number(0.0f);
    b.key("tokenizer.ggml.token_type", array).u32(i32).u64(pieces.size());
    for (auto const& p : pieces) b.number(p.type);
    auto const flag = [&](char const* key, std::optional<bool> v) {
      if (v) ++keys, b.key(key, boolean).number(static_cast<std::uint8_t>(*v));
    };
    flag("tokenizer.ggml.add_bos_token", add_begin), flag("tokenizer.ggml.add_space_prefix", add_space);
    return bytes().header(0, keys).raw(b.str()).str();
  }
  [[nodiscard]] piece_tokenizer load() const {
    std::string const text = file();
    gguf_file const   f(text, "f.gguf");
    EXPECT_TRUE(is_gguf_of_pieces(f));
    return piece_tokenizer(read_gguf_pieces(f));
  }
  [[nodiscard]] std::string refusal() const {
    try {
      (void)load();
    } catch (error const& e) {
      return e.what();
    }
    return "taken";
  }
};

piece_sample with_bytes() {
  piece_sample s;
  char         name[8];
  for (unsigned b = 0; b < 256; ++b) {
    std::snprintf(name, sizeof name, "<0x%02X>", b);
    s.pieces.push_back({name, 0, 6});
  }
  return s;  // the next id is 259
}

TEST(gguf_vocabulary, pieces) {
  piece_sample s = with_bytes();
  for (piece_sample::piece const& p : {piece_sample::piece{"\u2581", -5},
                                       {"a", -6},
                                       {"b", -7},
                                       {"ab", -1},
                                       {"\u2581a", -2},
                                       {"<tool>", 0, 4},
                                       {"bb", -1, 5},
                                       {"[PAD266]", 0, 5}})
    s.pieces.push_back(p);
  auto const t = s.load();
  EXPECT_EQ(t.encode("ab"), (ids{1, 259, 262}));  // the better score first
  EXPECT_EQ(t.encode("aab"), (ids{1, 263, 262}));
  EXPECT_EQ(t.encode("bb", false), (ids{259, 261, 261}));  // an unused piece is taken apart
  EXPECT_EQ(t.encode("c", false), (ids{259, 3 + 'c'}));
  EXPECT_EQ(t.encode("\xFF", false), (ids{259, 3 + 0xFF}));
  EXPECT_EQ(t.encode("a<tool>a", false), (ids{263, 264, 263}));  // a space in front of each part
  EXPECT_EQ(t.encode("<s>a"), (ids{1, 1, 263}));
  EXPECT_EQ(t.encode("<s>", false).size(), 4u);  // text: a space and three bytes
  EXPECT_EQ(t.encode("[PAD266]", false).size(), 9u);
  EXPECT_EQ(t.decode(t.encode(" a  ab\n")), " a  ab\n");
  EXPECT_EQ(t.eos_ids(), ids{2});
  s.add_begin = false, s.add_space = false;
  EXPECT_EQ(s.load().encode("ab"), ids{262});
  EXPECT_EQ(s.load().encode(" ab"), (ids{259, 262}));
}

TEST(gguf_vocabulary, phi3_takes_the_space_behind_its_control_tokens) {
  piece_sample s = with_bytes();
  s.pieces.push_back({"\u2581", -5}), s.pieces.push_back({"<|end|>", 0, 3}),
      s.pieces.push_back({"<|endoftext|>", 0, 3});
  EXPECT_EQ(s.load().encode("<|end|> \n<|endoftext|>"), (ids{1, 260, 259, 259, 3 + '\n', 261}));
  s.architecture = "phi3";
  EXPECT_EQ(s.load().encode("<|end|> \n<|endoftext|>"), (ids{1, 260, 261}));
}

TEST(gguf_vocabulary, refuses_pieces) {
  EXPECT_EQ(with_bytes().refusal(), "taken");
  auto const with = [](piece_sample::piece const& p) {
    piece_sample s = with_bytes();
    s.pieces.push_back(p), s.pieces.push_back({"b"});
    return s.refusal();
  };
  EXPECT_EQ(with({"b"}),
            "f.gguf: \"tokenizer.ggml.tokens\"[260]: is there twice: found \"b\", expected every token once");
  EXPECT_EQ(with({"<0x0g>", 0, 6}),
            "f.gguf: \"tokenizer.ggml.tokens\"[259]: is no byte: found \"<0x0g>\", expected <0x00> to <0xFF>");
  EXPECT_NE(with({"\xFF"}).find("is not UTF-8"), std::string::npos);
  EXPECT_NE(with({std::string(70'000, 'x')}).find("is too long"), std::string::npos);
  EXPECT_NE(with({"x", std::numeric_limits<float>::quiet_NaN()}).find("\"tokenizer.ggml.scores\"[259]: is no number"),
            std::string::npos);
  piece_sample s = with_bytes();
  s.scores       = 1;
  EXPECT_NE(s.refusal().find("does not fit the tokens: found 260 scores, expected 259"), std::string::npos);
}

// CVE-2025-49847: a token longer than the 32 bits that a reader copied its length into. Here lengths are of 64 bits,
// and a token is never copied into less room than it takes.
TEST(gguf_vocabulary, long_tokens) {
  std::string const long_name(200'000, 'x'), spelled(2'000, 'y');
  sample const      s{.more = {long_name, spelled, "ab"}, .types = {4, 1, 1}, .merges = {"a b"}};
  auto const        t = load(s);
  EXPECT_EQ(t.encode("ab" + long_name + "ab"), (ids{258, 256, 258}));
  EXPECT_EQ(t.token_bytes(256), long_name);
  EXPECT_EQ(t.decode(ids{256, 257}), long_name + spelled);
  EXPECT_EQ(t.encode(spelled), ids(2'000, 'y'));

  std::string file = s.file();
  auto const  at   = file.find(long_name) - 8;
  for (std::uint64_t const n : {0x8000'0000ull, 0xFFFF'FFFFull, 0x1'0000'0001ull, ~0ull, ~0ull - 8}) {
    std::memcpy(file.data() + at, &n, sizeof n);
    EXPECT_THROW((void)gguf_file(file, "f.gguf"), error) << n;
  }
}

TEST(gguf_vocabulary, is_found_in_a_folder_where_it_is_the_only_one) {
  test::scratch_folder const folder;
  std::string const          place = (folder / "").string(), file = (folder / "m.gguf").string();
  EXPECT_FALSE(tokenizer_in(place));
  test::write_text(folder / "m.gguf", sample{.more = {"ab"}, .types = {1}, .merges = {"a b"}}.file());
  EXPECT_EQ(tokenizer_in(place), file);
  EXPECT_EQ(tokenizer_in(file), file);
  EXPECT_EQ(load_tokenizer(find_tokenizer(place))->encode("ab", false), ids{256});
  test::write_text(folder / "n.gguf", "GGUF");
  EXPECT_FALSE(tokenizer_in(place));
  EXPECT_THROW((void)find_tokenizer(place), error);
  EXPECT_EQ(tokenizer_in(file), file);
  test::write_text(folder / "tokenizer.model", "x");
  EXPECT_EQ(tokenizer_in(place), (folder / "tokenizer.model").string());
  EXPECT_FALSE(tokenizer_in((folder / "none").string()));
}

}  // namespace
