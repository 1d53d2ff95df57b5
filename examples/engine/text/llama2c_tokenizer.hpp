#pragma once
//  The vocabulary file of llama2.c: int32 length of the longest token, then (float32 score, int32 length, bytes) each.
//
//  Id 0 is unknown, 1 begins a text, 2 ends it; ids 3 to 258 are the bytes <0x00> to <0xFF> where the file has them.
//  A text is a space and then its characters, each a vocabulary entry, else its bytes, else id 0; then the adjacent pair
//  whose joined text has the best score is merged until none is left. karpathy/llama2.c, run.c and tokenizer.py.
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/text/pair_table.hpp"
#include "engine/text/tokenizer.hpp"

namespace tenon::engine {

class llama2c_tokenizer final : public tokenizer {
 public:
  /// `file` is for messages.
  llama2c_tokenizer(std::string_view bytes, std::string file);

  [[nodiscard]] std::string  token_bytes(std::int32_t id) const override;
  [[nodiscard]] std::string  text_after(std::int32_t previous, std::int32_t id) const override;
  [[nodiscard]] std::int32_t vocabulary() const override { return static_cast<std::int32_t>(tokens_.size()); }
  [[nodiscard]] bool         is_special(std::int32_t id) const override { return id == bos || id == eos; }
  [[nodiscard]] std::optional<std::int32_t>   bos_id() const override { return bos; }
  [[nodiscard]] std::vector<std::int32_t>     eos_ids() const override { return {bos, eos}; }
  [[nodiscard]] std::span<std::int32_t const> added_before() const override { return before_; }
  [[nodiscard]] std::span<std::int32_t const> added_after() const override { return {}; }
  [[nodiscard]] std::string                   description() const override;

 private:
  [[nodiscard]] encoding encode_text(std::string_view text, encode_options options, bool spans) const override;

  static constexpr std::int32_t unknown = 0, bos = 1, eos = 2, first_byte = 3;

  struct entry {
    std::string bytes;  // as stored: a byte token is spelled <0x0A>
    float       score;
  };
  [[nodiscard]] std::int32_t find(std::string const& text) const;
  void                       rank_merges();

  std::string                                   file_;
  std::vector<entry>                            tokens_;
  std::unordered_map<std::string, std::int32_t> ids_;     // of the entries that text can become
  pair_table                                    merges_;  // ranked by score
  bool                                          has_bytes_ = false;
  std::vector<std::int32_t>                     before_{bos};
};

}  // namespace tenon::engine
