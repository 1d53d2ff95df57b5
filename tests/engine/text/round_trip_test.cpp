//  Random bytes to ids and back, with every vocabulary of the shared data: nothing is lost.
#include <engine/text/detokenizer.hpp>
#include <engine/text/tokenizer.hpp>
#include <engine/text/utf8.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace tenon::engine;
using ids = std::vector<std::int32_t>;

enum class keeps {
  bytes,      // any
  utf8,       // any UTF-8; the vocabulary lacks bytes that are in none
  composed,   // common characters, and in NFC: others come back composed, and the vocabulary lacks bytes of rare ones
  characters  // UTF-8, but that U+2581 becomes a space, and that a first space may be taken for the one which is added
};

struct vocabulary {
  char const* name;
  char const* path;  // in tokenizers/, or in models/
  keeps       kept;
};
void PrintTo(vocabulary const& v, std::ostream* out) { *out << v.path; }

constexpr vocabulary vocabularies[] = {
    {"gpt2", "tokenizers/tiktoken/r50k_base.tiktoken", keeps::bytes},
    {"gpt2_merges", "tokenizers/gpt2/encoder.json", keeps::bytes},
    {"cl100k", "tokenizers/tiktoken/cl100k_base.tiktoken", keeps::bytes},
    {"o200k", "tokenizers/tiktoken/o200k_base.tiktoken", keeps::bytes},
    {"llama3", "tokenizers/llama3/tokenizer.model", keeps::bytes},
    {"gpt_neox", "tokenizers/gpt-neox-20b/tokenizer.json", keeps::composed},
    {"minimind", "tokenizers/minimind/tokenizer.json", keeps::bytes},
    {"mistral_v1", "tokenizers/mistral/tokenizer.model.v1", keeps::characters},
    {"mistral_v3", "tokenizers/mistral/mistral_instruct_tokenizer_240323.model.v3", keeps::characters},
    {"mistral_v3_json", "tokenizers/mistral/hf-v0.3/tokenizer.json", keeps::characters},
    {"stories260K", "models/stories260K/tok512.bin", keeps::bytes},
    {"deepseek_llm", "tokenizers/ggml-vocab/ggml-vocab-deepseek-llm.gguf", keeps::utf8},
    {"falcon", "tokenizers/ggml-vocab/ggml-vocab-falcon.gguf", keeps::composed},
    {"starcoder", "tokenizers/ggml-vocab/ggml-vocab-starcoder.gguf", keeps::composed},
    {"mpt", "tokenizers/ggml-vocab/ggml-vocab-mpt.gguf", keeps::composed},
    {"llama2", "tokenizers/ggml-vocab/ggml-vocab-llama-spm.gguf", keeps::characters},
};

/// Any bytes, characters of every length, or what texts are made of; in turn.
std::string random_text(std::mt19937& random, int kind, std::size_t length) {
  auto const below = [&](unsigned n) { return std::uniform_int_distribution<unsigned>(0, n - 1)(random); };
  constexpr std::string_view parts[] = {
      "the", " of",           "'ll", "\n\n", "  ",       "e\xCC\x81", "\xE4\xB8\xAD", "\xF0\x9F\x91\x8D",
      "123", "<|endoftext|>", "\t",  "\r\n", "if (x) {", "\xC2\xA0",  "\xFF",         "\xE4\xB8"};
  std::string text;
  while (text.size() < length) {
    if (kind == 0) {
      text += static_cast<char>(static_cast<unsigned char>(below(256)));
    } else if (kind == 1) {
      auto const code = static_cast<char32_t>(below(2) ? below(0x3000) : below(0x110000));
      if (code < 0xD800 || code > 0xDFFF) append_utf8(text, code);
    } else {
      text += parts[below(std::size(parts))];
    }
  }
  return text;
}

std::string with_spaces(std::string text) {
  constexpr std::string_view mark = "\xE2\x96\x81";
  for (std::size_t at = 0; (at = text.find(mark, at)) != std::string::npos; ++at) text.replace(at, mark.size(), " ");
  return text;
}

/// Letters of several scripts, signs and emoji, none of which is made of others.
std::string unchanged_text(std::mt19937& random, std::size_t length) {
  struct {
    unsigned first, last;
  } constexpr ranges[] = {{0x20, 0x7E},     {0x20, 0x20},       {0x410, 0x418}, {0x3B1, 0x3C9},
                          {0x4E00, 0x9FA5}, {0x1F300, 0x1F5FF}, {9, 10}};
  std::string text;
  while (text.size() < length) {
    auto const& r = ranges[std::uniform_int_distribution<std::size_t>(0, std::size(ranges) - 1)(random)];
    append_utf8(text, static_cast<char32_t>(std::uniform_int_distribution<unsigned>(r.first, r.last)(random)));
  }
  return text;
}

class round_trip : public testing::TestWithParam<vocabulary> {};

TEST_P(round_trip, random_bytes) {
  std::string const path = std::string(TENON_SHARED_DATA) + "/" + GetParam().path;
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no shared data: " << path;
  std::unique_ptr<tokenizer> const words = load_tokenizer(path);
  std::mt19937                     random(1);
  for (int n = 0; n < 300; ++n) {
    std::string text = random_text(random, n % 3, static_cast<std::size_t>(n * n / 60));
    if (GetParam().kept == keeps::utf8) text = to_utf8(text);
    if (GetParam().kept == keeps::characters) text = "x" + to_utf8(text);
    if (GetParam().kept == keeps::composed) text = unchanged_text(random, static_cast<std::size_t>(n * n / 60));
    SCOPED_TRACE(testing::Message() << "text " << n);
    ids const         found = words->encode(text, encode_options{true, false});
    std::string const kept  = GetParam().kept == keeps::characters ? with_spaces(text) : text;
    ASSERT_EQ(words->decode(found), kept);

    std::string streamed;  // and as a completion behind what the template puts in front
    auto const  before = words->added_before(), after = words->added_after();
    detokenizer stream(*words, before.empty() ? -1 : before.back());
    for (std::size_t i = before.size(); i + after.size() < found.size(); ++i) streamed += stream.feed(found[i]);
    streamed += stream.finish();
    ASSERT_EQ(streamed, to_utf8(kept));
  }
}

INSTANTIATE_TEST_SUITE_P(every_vocabulary, round_trip, testing::ValuesIn(vocabularies),
                         [](auto const& v) { return std::string(v.param.name); });

}  // namespace
