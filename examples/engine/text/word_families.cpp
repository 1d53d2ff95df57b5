#include "engine/text/word_families.hpp"

namespace tenon::engine {
namespace {

using text = std::string_view;

constexpr text gpt2   = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr text llama3 = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
                        R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr text qwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr text qwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr text cl100k = R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+)"
                        R"(|\s++$|\s*[\r\n]|\s+(?!\S)|\s)";
constexpr text o200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr text tekken = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
                        R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
                        R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Hangul and most of what lies between U+0800 and the Chinese characters are words of their own in DeepSeek's first files.
constexpr text deepseek_wide = R"([一-龥ࠀ-一가-퟿]+)";
// The letters of scripts that have case, as of Unicode 12 and but for a few.
constexpr text deepseek_letters =
    R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝ)"
    R"(\x{1F5F}-\x{1F7D}ᾀ-ᾴᾶ-ᾼ\x{1FBE}ῂ-ῄῆ-ῌ\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\x{2126}ℨ)"
    R"(\x{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)";
constexpr text deepseek_v3_words =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr text gpt2_steps[] = {gpt2}, llama3_steps[] = {llama3}, qwen2_steps[] = {qwen2}, qwen35_steps[] = {qwen35},
               cl100k_steps[] = {cl100k}, o200k_steps[] = {o200k}, tekken_steps[] = {tekken};
constexpr text deepseek_coder_steps[] = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", deepseek_wide, R"(\p{N})"};
constexpr text deepseek_llm_steps[]   = {R"([\r\n])", deepseek_letters, R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)",
                                         R"(\s+$)",   deepseek_wide,    R"(\p{N})"};
constexpr text deepseek_v3_steps[]    = {R"(\p{N}{1,3})", R"([一-龥぀-ゟ゠-ヿ]+)", deepseek_v3_words};
constexpr text falcon_steps[]         = {R"([\p{P}$+<=>^~|`]+)", gpt2, R"([0-9]+)", R"([0-9][0-9][0-9])"};
constexpr text starcoder_steps[]      = {R"(\p{N})", gpt2};
constexpr text ggml_steps[]           = {R"([\p{P}$+<=>^~|]+)", gpt2, R"(\p{N}+)", R"([0-9][0-9][0-9])"};

constexpr word_family families[] = {{"gpt2", gpt2_steps},
                                    {"llama3", llama3_steps},
                                    {"qwen2", qwen2_steps, true},
                                    {"cl100k", cl100k_steps},
                                    {"o200k", o200k_steps},
                                    {"gpt-neox", gpt2_steps, true},
                                    {"deepseek-coder", deepseek_coder_steps},
                                    {"deepseek-llm", deepseek_llm_steps},
                                    {"deepseek-v3", deepseek_v3_steps},
                                    {"falcon", falcon_steps},
                                    {"starcoder", starcoder_steps},
                                    {"tekken", tekken_steps},
                                    {"qwen35", qwen35_steps, true},
                                    {"ggml-default", ggml_steps}};

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
    for (std::string_view const step : family->steps) to.add_split(step, subject, split_behaviour::isolated);
  return family;
}

ggml_pre_tokenizer const* find_ggml_pre_tokenizer(std::string_view name) {
  for (ggml_pre_tokenizer const& p : pre_tokenizers)
    if (p.name == name) return &p;
  return nullptr;
}

}  // namespace tenon::engine
