#pragma once
//  A tokenizer of pieces, as SentencePiece, llama2.c and many a tokenizer.json have it (piece_definition.hpp).
//
//  control and added tokens -> normaliser -> words -> a space in front -> merges or the likeliest division -> bytes of
//  unknown characters -> template. Bytes that are not UTF-8 become byte tokens, where there are any: every text comes
//  back as it was.
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/added_tokens.hpp"
#include "engine/text/piece_definition.hpp"
#include "engine/text/piece_lattice.hpp"
#include "engine/text/piece_merger.hpp"
#include "engine/text/tokenizer.hpp"

namespace tenon::engine {

class piece_tokenizer final : public tokenizer {
 public:
  explicit piece_tokenizer(piece_definition definition);

  [[nodiscard]] std::string  token_bytes(std::int32_t id) const override;
  [[nodiscard]] std::string  text_after(std::int32_t previous, std::int32_t id) const override;
  [[nodiscard]] std::int32_t vocabulary() const override { return static_cast<std::int32_t>(d_.entries.size()); }
  [[nodiscard]] bool         is_special(std::int32_t id) const override;
  [[nodiscard]] std::optional<std::int32_t>   bos_id() const override;
  [[nodiscard]] std::vector<std::int32_t>     eos_ids() const override { return d_.ends; }
  [[nodiscard]] std::span<std::int32_t const> added_before() const override { return d_.before; }
  [[nodiscard]] std::span<std::int32_t const> added_after() const override { return d_.after; }
  [[nodiscard]] std::string                   description() const override { return d_.description; }

 private:
  [[nodiscard]] encoding encode_text(std::string_view text, encode_options options, bool spans) const override;

  struct sink;
  void encode_part(std::string_view text, encode_options options, sink& to) const;
  void encode_normalized(std::string_view text, encode_options options, sink& to) const;
  void encode_word(std::string_view word, bool begins, sink& to) const;
  void encode_spelled(std::string_view text, sink& to) const;
  void divide_known(std::string_view word, sink& to) const;
  void divide(std::string_view word, bool whole, sink& to) const;
  void emit(std::vector<symbol> const& symbols, std::string_view text, sink& to) const;

  piece_definition              d_;
  piece_merger                  merger_;
  piece_lattice                 lattice_;
  std::array<std::int32_t, 256> byte_ids_{};  // -1: none
  added_token_matcher           raw_added_, normalized_added_, users_;
  bool                          has_users_ = false, leaves_out_ = false;
};

}  // namespace tenon::engine
