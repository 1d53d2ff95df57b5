#pragma once
//  tokenizer.json with a byte-level BPE model: GPT-2, GPT-NeoX, Llama 3, Qwen2 and their kin.
//
//  added tokens -> normaliser -> pre-tokenisers (splits by patterns) -> bytes -> merges by rank -> template.
//  File format: huggingface/tokenizers. What the file asks for and is not implemented is refused when it is loaded.
//  Known patterns are cut by hand (word_patterns.hpp), words are divided in linear time (byte_pairs.hpp); what is neither goes
//  through PCRE2 and a heap of merges.
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/files/json.hpp"
#include "engine/text/added_tokens.hpp"
#include "engine/text/pair_table.hpp"
#include "engine/text/pattern.hpp"
#include "engine/text/tokenizer.hpp"
#include "engine/text/word_encoder.hpp"
#include "engine/text/word_patterns.hpp"

namespace tenon::engine {

class bpe_tokenizer final : public tokenizer {
 public:
  /// `file` is for messages.
  bpe_tokenizer(json_value const& tree, std::string file);

  [[nodiscard]] std::string  token_bytes(std::int32_t id) const override;
  [[nodiscard]] std::string  text_after(std::int32_t previous, std::int32_t id) const override;
  [[nodiscard]] std::int32_t vocabulary() const override { return static_cast<std::int32_t>(entries_.size()); }
  [[nodiscard]] bool         is_special(std::int32_t id) const override;
  [[nodiscard]] std::optional<std::int32_t>   bos_id() const override;
  [[nodiscard]] std::vector<std::int32_t>     eos_ids() const override { return {}; }
  [[nodiscard]] std::span<std::int32_t const> added_before() const override { return before_; }
  [[nodiscard]] std::span<std::int32_t const> added_after() const override { return after_; }
  [[nodiscard]] std::string                   description() const override { return "byte-level BPE (tokenizer.json)"; }

 private:
  [[nodiscard]] encoding encode_text(std::string_view text, encode_options options, bool spans) const override;

  enum class entry_kind : unsigned char { absent, text, user, control };
  struct entry {
    std::string bytes;
    entry_kind  kind = entry_kind::absent;
  };
  enum class split_behaviour { removed, isolated, merged_with_previous, merged_with_next, contiguous };
  struct split_step {  // cuts pieces at the matches of a pattern
    pattern         expression;
    split_behaviour behaviour = split_behaviour::isolated;
    bool            inverted  = false;

    std::optional<word_pattern> known = {};  // cuts like it
  };
  struct step {  // of pre-tokenisation, in the file's order
    std::optional<split_step> split;
    bool                      prefix_space = false;  // ByteLevel's add_prefix_space
  };
  struct piece {
    std::string_view text;
    std::size_t      origin;            // of its first byte in the input
    bool             prefixed = false;  // its first byte is a space that the input lacks
  };

  void   read_vocabulary(json_fields const& model);
  void   read_merges(json_fields const& model);
  void   read_added_tokens(json_fields const& root);
  void   read_normalizer(json_fields const& normalizer, int depth);
  void   read_pre_tokenizer(json_fields const& pre, int depth);
  void   read_split(json_fields const& pre);
  void   find_known_words();
  void   read_post_processor(json_fields const& post, int depth);
  void   read_decoder(json_fields const& decoder, int depth);
  entry& entry_at(std::int64_t id);

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
  void encode_piece(piece const& word, std::vector<symbol>& scratch, sink& to) const;
  static std::vector<piece> cut(std::vector<piece> const& pieces, split_step const& step);

  std::string                                   file_;
  std::vector<entry>                            entries_;  // by id
  std::unordered_map<std::string, std::int32_t> ids_;      // of text entries, by their bytes
  pair_table                                    merges_;
  word_encoder                                  encoder_;     // the same merges, where its pairs are usable
  std::array<std::int32_t, 256>                 byte_ids_{};  // -1: the vocabulary lacks the byte
  std::int32_t                                  unknown_       = -1;
  bool                                          ignore_merges_ = false, nfc_ = false, byte_level_ = false;
  std::vector<step>                             steps_;
  std::optional<word_pattern>                   words_;  // all steps together, where they are a known pattern
  added_token_matcher                           raw_added_, normalized_added_;
  std::vector<std::int32_t>                     before_, after_;
};

}  // namespace tenon::engine
