#include "engine/text/word_sequences.hpp"

#include <algorithm>
#include <array>

#include "engine/text/utf8.hpp"
#include "engine/text/word_patterns.hpp"

namespace tenon::engine {
namespace {

using text = std::string_view;

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

constexpr text gpt2             = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr text starcoder[]      = {R"(\p{N})", gpt2};
constexpr text falcon[]         = {R"([\p{P}$+<=>^~|`]+)", gpt2, R"([0-9]+)", R"([0-9][0-9][0-9])"};
constexpr text deepseek_coder[] = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", deepseek_wide, R"(\p{N})"};
constexpr text deepseek_llm[]   = {R"([\r\n])", deepseek_letters, R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)",
                                   R"(\s+$)",   deepseek_wide,    R"(\p{N})"};
constexpr text deepseek_v3[]    = {R"(\p{N}{1,3})", R"([一-龥぀-ゟ゠-ヿ]+)", deepseek_v3_words};

}  // namespace

std::string detail::plain_spelling(std::string_view expression) {
  std::string plain;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    if (expression[i] == '\r') plain += "\\r";
    else if (expression[i] == '\n') plain += "\\n";
    else if (expression[i] != '\\' || i + 1 == expression.size()) plain += expression[i];
    else if (expression.substr(i).starts_with("\\x{")) {
      char32_t    code = 0;
      std::size_t at   = i + 3;
      for (; at < expression.size() && at < i + 9 && expression[at] != '}'; ++at) {
        auto const digit = text("0123456789ABCDEF").find(expression[at]);
        if (digit == text::npos) break;
        code = code * 16 + static_cast<char32_t>(digit);
      }
      if (at < expression.size() && expression[at] == '}' && code > 0x7F && code < 0x110000 &&
          (code < 0xD800 || code > 0xDFFF)) {
        append_utf8(plain, code);
        i = at;
      } else {
        plain += expression[i];
      }
    } else plain.append(expression.substr(i++, 2));
  }
  return plain;
}

std::span<std::string_view const> steps_of(word_pattern p) {
  switch (p) {
    case word_pattern::starcoder: return starcoder;
    case word_pattern::falcon: return falcon;
    case word_pattern::deepseek_coder: return deepseek_coder;
    case word_pattern::deepseek_llm: return deepseek_llm;
    case word_pattern::deepseek_v3: return deepseek_v3;
    default: break;
  }
  static auto const single = [] {
    std::array<text, std::size(word_patterns)> all{};
    for (word_pattern const q : word_patterns) all[static_cast<std::size_t>(q)] = expression_of(q);
    return all;
  }();
  return std::span(single).subspan(static_cast<std::size_t>(p), 1);
}

std::optional<word_pattern> known_pattern(std::span<std::string const> given) {
  if (given.size() == 1) return known_pattern(given[0]);
  auto const equal = [](std::string const& a, text b) {
    return detail::plain_spelling(a) == detail::plain_spelling(b);
  };
  for (word_pattern const p : word_sequences)
    if (std::ranges::equal(given, steps_of(p), equal)) return p;
  return {};
}

}  // namespace tenon::engine
