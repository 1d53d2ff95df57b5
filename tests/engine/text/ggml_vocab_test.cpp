//  47 texts each with the ids that the families' own tokenizers give them (ggml-org/llama.cpp, models/).
#include <engine/text/tokenizer.hpp>

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "../../support/shared_data.hpp"

namespace {

using namespace tenon::engine;
using ids = std::vector<std::int32_t>;

std::string text_of(std::string const& name) {
  std::ifstream      in(test::shared_data() / "tokenizers/ggml-vocab" / ("ggml-vocab-" + name), std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

struct family {
  char const *name, *tokenizer;
};
class ggml_vocab : public testing::TestWithParam<family> {};

TEST_P(ggml_vocab, gives_the_published_ids) {
  if (test::shared_data().empty()) GTEST_SKIP() << test::no_shared_data;
  auto const         t     = load_tokenizer((test::shared_data() / "tokenizers" / GetParam().tokenizer).string());
  std::string        texts = text_of(GetParam().name + std::string(".gguf.inp"));
  std::istringstream out(text_of(GetParam().name + std::string(".gguf.out")));
  std::string const  mark  = "\n__ggml_vocab_test__\n";
  int                count = 0;
  for (std::size_t at = 0; at <= texts.size(); ++count) {
    std::size_t const end  = std::min(texts.find(mark, at), texts.size());
    std::string const text = texts.substr(at, end - at);
    std::string       line;
    std::getline(out, line);
    std::istringstream numbers(line);
    ids const          wanted{std::istream_iterator<std::int32_t>(numbers), {}};
    EXPECT_EQ(t->encode(text, false), wanted) << count << ": " << text;
    EXPECT_EQ(t->decode(t->encode(text, false)), text) << count;
    encoding const e = t->encode_with_spans(text, {false, false});
    EXPECT_EQ(e.ids, wanted);
    std::size_t covered = 0;
    for (token_span const& s : e.spans) {
      EXPECT_LE(s.begin, covered);
      covered = std::max(covered, s.end);
    }
    EXPECT_EQ(covered, text.size()) << count;
    at = end + mark.size();
  }
  EXPECT_EQ(count, 47);
}

INSTANTIATE_TEST_SUITE_P(families, ggml_vocab,
                         testing::Values(family{"llama-bpe", "llama3/tokenizer.model"},
                                         family{"qwen2", "qwen2/vocab.json"}, family{"gpt-2", "gpt2/vocab.bpe"},
                                         family{"gpt-2", "ggml-vocab/ggml-vocab-gpt-2.gguf"},
                                         family{"deepseek-coder", "ggml-vocab/ggml-vocab-deepseek-coder.gguf"},
                                         family{"deepseek-llm", "ggml-vocab/ggml-vocab-deepseek-llm.gguf"},
                                         family{"falcon", "ggml-vocab/ggml-vocab-falcon.gguf"},
                                         family{"mpt", "ggml-vocab/ggml-vocab-mpt.gguf"},
                                         family{"refact", "ggml-vocab/ggml-vocab-refact.gguf"},
                                         family{"starcoder", "ggml-vocab/ggml-vocab-starcoder.gguf"},
                                         family{"llama-spm", "ggml-vocab/ggml-vocab-llama-spm.gguf"},
                                         family{"phi-3", "ggml-vocab/ggml-vocab-phi-3.gguf"}),
                         [](auto const& one) {
                           std::string name = one.param.name + std::string("_") + one.param.tokenizer;
                           for (char& c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

}  // namespace
