#include "engine/text/word_families.hpp"

namespace tenon::engine {
namespace {

using text = std::string_view;

constexpr text ggml_steps[] = {R"([\p{P}$+<=>^~|]+)",
                               R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
                               R"(\p{N}+)", R"([0-9][0-9][0-9])"};

constexpr word_family families[] = {{"gpt2", word_pattern::gpt2, {}, false},
                                    {"llama3", word_pattern::llama3, {}, false},
                                    {"qwen2", word_pattern::qwen2, {}, true},
                                    {"cl100k", word_pattern::cl100k, {}, false},
                                    {"o200k", word_pattern::o200k, {}, false},
                                    {"gpt-neox", word_pattern::gpt2, {}, true},
                                    {"deepseek-coder", word_pattern::deepseek_coder, {}, false},
                                    {"deepseek-llm", word_pattern::deepseek_llm, {}, false},
                                    {"deepseek-v3", word_pattern::deepseek_v3, {}, false},
                                    {"falcon", word_pattern::falcon, {}, false},
                                    {"starcoder", word_pattern::starcoder, {}, false},
                                    {"tekken", word_pattern::tekken, {}, false},
                                    {"qwen35", word_pattern::qwen35, {}, true},
                                    {"ggml-default", {}, ggml_steps, false}};

constexpr ggml_pre_tokenizer pre_tokenizers[] = {
    {"default", "ggml-default"},
    {"gpt-2", "gpt2"},
    {"phi-2", "gpt2"},
    {"jais", "gpt2"},
    {"mpt", "gpt-neox"},
    {"olmo", "gpt-neox"},
    {"llama-bpe", "llama3", false, true, true},
    {"llama3", "llama3", false, true, true},
    {"llama-v3", "llama3", false, true, true},
    {"dbrx", "llama3"},
    {"smaug-bpe", "llama3"},
    {"chatglm-bpe", "llama3"},
    {"glm4", "llama3"},
    {"qwen2", "qwen2"},
    {"deepseek-r1-qwen", "qwen2"},
    {"megrez", "qwen2"},
    {"stablelm2", "qwen2"},
    {"qwen35", "qwen35"},
    {"gpt-4o", "o200k"},
    {"llama4", "o200k"},
    {"tekken", "tekken", false, true, true},
    {"deepseek-coder", "deepseek-coder"},
    {"deepseek-llm", "deepseek-llm"},
    {"deepseek-v3", "deepseek-v3"},
    {"falcon", "falcon"},
    {"starcoder", "starcoder"},
    {"refact", "starcoder"},
    {"smollm", "starcoder"},
    {"codeshell", "starcoder"},
    {"command-r", "starcoder", true},
};

}  // namespace

word_family const* find_word_family(std::string_view name) {
  for (word_family const& f : families)
    if (f.name == name) return &f;
  return nullptr;
}

std::string const& word_family_names() {
  static std::string const names = [] {
    std::string all;
    for (word_family const& f : families) all.append(all.empty() ? "" : "|").append(f.name);
    return all;
  }();
  return names;
}

word_family const* add_words(pre_tokenizer& to, std::string_view name_or_expression, std::string const& subject) {
  word_family const* const family = find_word_family(name_or_expression);
  if (!family) to.add_split(name_or_expression, subject, split_behaviour::isolated);
  else
    for (std::string_view const step : family->words ? steps_of(*family->words) : family->steps)
      to.add_split(step, subject, split_behaviour::isolated);
  return family;
}

ggml_pre_tokenizer const* find_ggml_pre_tokenizer(std::string_view name) {
  for (ggml_pre_tokenizer const& p : pre_tokenizers)
    if (p.name == name) return &p;
  return nullptr;
}

}  // namespace tenon::engine
