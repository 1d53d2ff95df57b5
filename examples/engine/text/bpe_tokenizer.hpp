#pragma once
//  Byte-level BPE: text to ids and back, as a file defines it (bpe_definition.hpp).
//
//  added tokens -> normaliser -> words -> bytes -> merges by rank -> template.
//  Known patterns are cut by hand (word_patterns.hpp), words are divided in linear time (byte_pairs.hpp); what is neither goes
//  through PCRE2 and a heap of merges.
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/text/added_tokens.hpp"
#include "engine/text/bpe_definition.hpp"
#include "engine/text/pair_table.hpp"
#include "engine/text/piece_table.hpp"
#include "engine/text/text_normalizer.hpp"
#include "engine/text/tokenizer.hpp"
#include "engine/text/word_encoder.hpp"

namespace tenon::engine {

class bpe_tokenizer final : public tokenizer {
 public:
  explicit bpe_tokenizer(bpe_definition definition);

  [[nodiscard]] std::string token_bytes(std::int32_t id) const override;
  [[nodiscard]] std::string text_after(std::int32_t previous, std::int32_t id) const override;
  void append_text(std::span<std::int32_t const> ids, std::int32_t previous, std::string& bytes) const override;
  [[nodiscard]] std::int32_t vocabulary() const override { return static_cast<std::int32_t>(entries_.size()); }
  [[nodiscard]] bool         is_special(std::int32_t id) const override;
  [[nodiscard]] std::optional<std::int32_t>   bos_id() const override;
  [[nodiscard]] std::vector<std::int32_t>     eos_ids() const override { return ends_; }
  [[nodiscard]] std::span<std::int32_t const> added_before() const override { return before_; }
  [[nodiscard]] std::span<std::int32_t const> added_after() const override { return after_; }
  [[nodiscard]] std::string                   description() const override { return description_; }

 private:
  [[nodiscard]] encoding encode_text(std::string_view text, encode_options options, bool spans) const override;

  enum class entry_kind : unsigned char { absent, text, user, control };
  void               read_merges(bpe_definition const& d, std::span<std::string_view const> tokens,
                                 std::vector<std::int32_t> const& apart);
  static void        add_stand_ins(large_vector<std::string_view>& tokens);
  [[nodiscard]] bool has_stand_in(std::span<std::int32_t const> ids) const;

  /// Where encoded text goes.
  struct sink {
    encoding out;
    bool     spans = true;

    void add(std::int32_t id, token_span s) {
      out.ids.push_back(id);
      if (spans) out.spans.push_back(s);
    }
  };
  void encode_part(std::string_view text, std::size_t origin, encode_options options, sink& to) const;
  void encode_words(std::string_view text, std::size_t origin, sink& to) const;
  void encode_piece(text_piece const& word, std::vector<symbol>& scratch, sink& to) const;

  std::string                                   file_, description_;
  large_vector<bpe_definition::entry>           entries_;             // by id: of what bytes
  std::vector<entry_kind>                       kinds_;               // by id
  piece_table                                   pieces_;              // what each adds to a text
  word_encoder                                  encoder_;             // where its pairs are usable
  std::int32_t                                  first_stand_in_ = 0;  // of its tokens that are none of the vocabulary's
  std::unordered_map<std::string, std::int32_t> ids_;                 // elsewhere: of what text becomes, by its bytes
  pair_table                                    merges_;
  std::array<std::int32_t, 256>                 byte_ids_{};  // -1: the vocabulary lacks the byte
  std::int32_t                                  unknown_     = -1;
  bool                                          whole_words_ = false;
  text_normalizer                               normalizer_;
  pre_tokenizer                                 words_;
  added_token_matcher                           raw_added_, normalized_added_;
  std::vector<std::int32_t>                     before_, after_, ends_;
};

}  // namespace tenon::engine
