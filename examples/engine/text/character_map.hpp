#pragma once
//  SentencePiece's precompiled_charsmap: rules from short texts to texts (nmt_nfkc and its kin), found by the longest match.
//
//  The blob is a length, a double array of the Darts-clone library (google/sentencepiece, third_party/darts_clone) and the
//  results, each ended by a zero byte. Nothing in it is believed: every step of a search is checked against the array's end.
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
  /// A byte that no rule begins with.
  [[nodiscard]] bool untouched(char first) const { return untouched_[static_cast<unsigned char>(first)]; }

 private:
  [[nodiscard]] rule find(std::string_view text, bool first) const;

  std::vector<std::uint32_t> units_;
  std::string                results_;
  std::vector<bool>          untouched_ = std::vector<bool>(256, true);
};

}  // namespace tenon::engine
