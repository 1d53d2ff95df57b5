//  Texts that have brought down tokenizers: llama.cpp GHSA-7rxv-5jhh-j6xx, #9195 and #11738, openai/tiktoken#195, coder/ai-tokenizer#6.
//  Every one comes back as it was, at once and token by token.
#include <engine/text/detokenizer.hpp>
#include <engine/text/tokenizer.hpp>
#include <engine/text/utf8.hpp>

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace {

using namespace tenon::engine;

std::string repeated(std::string const& text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

std::string random_bytes(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::string  text;
  for (std::size_t i = 0; i < n; ++i) text += static_cast<char>(static_cast<unsigned char>(random() % 256));
  return text;
}

TEST(hostile_text, comes_back_as_it_was) {
  auto const t = load_tokenizer(std::string(TENON_SOURCE_DIR) + "/examples/models/tenon-demo/tokenizer.json");
  std::vector<std::string> const texts = {
      "",
      repeated("_", 50'000),
      repeated("a", 1 << 20),    // one word
      random_bytes(1 << 16, 1),  // most of it no UTF-8
      repeated(" ", 1 << 18),
      repeated("\n ", 1 << 16),
      repeated("\xE2\x80\x8B", 1 << 14),  // words of nothing
      repeated("a\xCC\x81\xCC\x80", 1 << 14),
      std::string(1 << 16, '\0'),
      std::string("a\0b\0\0c", 6),
      "\xED\xA0\x80\xED\xBF\xBF",    // lone surrogates
      "a\xED\xA0\xBD\xED\xB8\x80z",  // a pair of them, as CESU-8 has it
      "\xF4\x90\x80\x80 \xF8\x88\x80\x80\x80 \xFE\xFF \xC0\x80 \xC1\xBF \x80\xBF",
      "\xE2\x82",  // a character that does not end
      "\xEF\xBB\xBF text \xEF\xBF\xBF \xEF\xBF\xBE",
      repeated("<|endoftext|>", 1000),
      "<|endoftext|" + repeated("<|endof", 1000) + "|>",
      repeated("'s't're've'm'll'd", 1000),
      repeated("0123456789", 10'000),
      repeated("\xF0\x9F\x91\xA9\xE2\x80\x8D", 2000),  // emoji joined without end
  };
  for (std::size_t i = 0; i < texts.size(); ++i) {
    SCOPED_TRACE(i);
    std::string const& text = texts[i];
    encoding const     e    = t->encode_with_spans(text, {.add_special = false, .control_in_text = false});
    ASSERT_EQ(e.ids.size(), e.spans.size());
    ASSERT_EQ(t->encode(text, encode_options{false, false}), e.ids);
    std::size_t at = 0;
    for (token_span const s : e.spans) {
      ASSERT_EQ(s.begin, at);
      at = s.end;
    }
    ASSERT_EQ(at, text.size());
    ASSERT_EQ(t->decode(e.ids), text);
    detokenizer stream(*t, -1, {"a text that does not come \x01", std::string(1 << 16, 'z')});
    std::string out;
    for (std::int32_t const id : e.ids) {
      ASSERT_GE(id, 0);
      ASSERT_LT(id, t->vocabulary());
      ASSERT_FALSE(t->is_special(id));
      std::string const piece = stream.feed(id);
      ASSERT_TRUE(is_utf8(piece));  // never half a character
      out += piece;
    }
    ASSERT_EQ(out + stream.finish(), to_utf8(text));
  }
}

}  // namespace
