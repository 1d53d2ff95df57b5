#pragma once
//  SentencePiece's precompiled_charsmap: rules from short texts to texts (nmt_nfkc and its kin), found by the longest
//  match.
//
//  The blob is a length, a double array of the Darts-clone library (google/sentencepiece, third_party/darts_clone) and
//  the results, each ended by a zero byte. Nothing in it is believed: every step of a search is checked against the
//  array's end.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::engine {

class character_map {
 public:
  character_map() = default;  ///< without rules
  /// `subject` names the file and key for messages.
  character_map(std::string_view blob, std::string const& subject);

  [[nodiscard]] bool empty() const { return units_.empty(); }

  struct rule {
    std::size_t      length = 0;  // bytes of text that it stands for; 0: no rule
    std::string_view result;
  };
  /// The longest rule for what `text` begins with.
  [[nodiscard]] rule longest(std::string_view text) const { return find(text, false); }
  /// The shortest one.
  [[nodiscard]] rule shortest(std::string_view text) const { return find(text, true); }
  /// Bytes at the beginning of `text` that no rule stands for, found without a search: ASCII, for the most part.
  [[nodiscard]] std::size_t plain(std::string_view text) const {
    std::size_t n = 0;
    for (; n < text.size(); ++n) {
      auto const b = static_cast<unsigned char>(text[n]);
      if (b >= 0x80) break;
      bool const before_ascii = n + 1 == text.size() || static_cast<unsigned char>(text[n + 1]) < 0x80;
      if ((starts_[b] & (before_ascii ? by_itself : anything)) != 0) break;
    }
    return n;
  }

 private:
  [[nodiscard]] rule find(std::string_view text, bool first) const;
  void               note_starts();

  // Which rules begin with a byte: those of it alone or with an ASCII character behind it; any at all.
  enum : unsigned char { by_itself = 1, anything = 2 };

  std::vector<std::uint32_t>     units_;
  std::string                    results_;
  std::array<unsigned char, 128> starts_{};  // of ASCII
};

}  // namespace tenon::engine
