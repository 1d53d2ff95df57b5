#pragma once
//  Tokens and merges spelled in GPT-2's byte alphabet, on their way into a bpe_definition: what vocab.json with
//  merges.txt and GGUF have in common.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/bpe_definition.hpp"
#include "engine/text/name_table.hpp"

namespace tenon::engine {

class byte_level_vocabulary {
 public:
  explicit byte_level_vocabulary(bpe_definition& into) : into_(into) {}

  /// A token that text is merged to; one that the alphabet cannot spell stands for itself. `subject` names the place in
  /// the file.
  void add_token(std::int64_t id, std::string_view spelled, std::string const& subject);
  /// A token that stands for itself, whatever its merges.
  void add_plain(std::int64_t id, std::string_view content, std::string const& subject);
  /// "left right": the next in the order of ranks.
  void add_merge(std::string_view pair, std::string const& subject);

  /// Of the token that text with these bytes may become; -1: none.
  [[nodiscard]] std::int32_t id_of(std::string_view bytes) const;
  /// Whether a merge makes it, or it is a single byte.
  [[nodiscard]] bool is_made(std::int32_t id) const;

 private:
  void put(std::int64_t id, bpe_definition::entry entry, std::string const& subject);

  bpe_definition&           into_;
  name_table                names_;  // of tokens that text becomes, as they are spelled
  std::vector<std::int32_t> ids_;    // of those
  std::vector<bool>         made_;
};

}  // namespace tenon::engine
