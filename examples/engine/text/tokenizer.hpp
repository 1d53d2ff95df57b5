#pragma once
//  Text to token ids and back, on bytes.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::engine {

/// Bytes [begin, end) of the input that a token stands for; empty for tokens that were added.
struct token_span {
  std::size_t begin = 0, end = 0;
  friend bool operator==(token_span, token_span) = default;
};

struct encode_options {
  bool add_special     = true;  // the beginning and end tokens that the tokenizer's own file asks for
  bool control_in_text = true;  // control tokens spelled out in the text become that token; false: they are text
  std::span<token_span const> foreign =
      {};  // they are text where they touch these bytes, which are in order (marked_text)
};

struct encoding {
  std::vector<std::int32_t> ids;
  std::vector<token_span>   spans;  // one per id, where they are wanted
};

/// Immutable after loading: every member may be called from several threads at once.
class tokenizer {
 public:
  virtual ~tokenizer() = default;

  /// Any bytes are text, invalid UTF-8 included.
  [[nodiscard]] encoding encode_with_spans(std::string_view text, encode_options options) const {
    return encode_text(text, options, true);
  }
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text, encode_options options = {}) const {
    return encode_text(text, options, false).ids;
  }
  /// `add_special` false: nothing is added and control tokens in the text are text.
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text, bool add_special) const {
    return encode(text, encode_options{add_special, add_special});
  }
  /// The ids of each text, as `encode` has them, by so many threads (0: one per processor).
  [[nodiscard]] std::vector<std::vector<std::int32_t>> encode_batch(std::span<std::string_view const> texts,
                                                                    encode_options                    options = {},
                                                                    unsigned threads = 0) const;

  /// The bytes of a vocabulary entry as it stands alone. Throws `error` for an id outside the vocabulary.
  [[nodiscard]] virtual std::string token_bytes(std::int32_t id) const = 0;
  /// What `id` adds to a text whose last token is `previous` (-1: it begins the text); control tokens add nothing.
  [[nodiscard]] virtual std::string text_after(std::int32_t previous, std::int32_t id) const = 0;
  /// The bytes of a whole text: text_after of each id in turn.
  [[nodiscard]] std::string decode(std::span<std::int32_t const> ids, std::int32_t previous = -1) const {
    std::string bytes;
    append_text(ids, previous, bytes);
    return bytes;
  }
  /// Appends what decode returns.
  virtual void append_text(std::span<std::int32_t const> ids, std::int32_t previous, std::string& bytes) const;

  [[nodiscard]] virtual std::int32_t                vocabulary() const                = 0;  ///< ids are below it
  [[nodiscard]] virtual bool                        is_special(std::int32_t id) const = 0;  ///< a control token
  [[nodiscard]] virtual std::optional<std::int32_t> bos_id() const                    = 0;
  [[nodiscard]] virtual std::vector<std::int32_t>   eos_ids() const                   = 0;  ///< that end a text
  /// What `add_special` puts before and after every text.
  [[nodiscard]] virtual std::span<std::int32_t const> added_before() const = 0;
  [[nodiscard]] virtual std::span<std::int32_t const> added_after() const  = 0;
  /// For `info`: "byte-level BPE (tokenizer.json)".
  [[nodiscard]] virtual std::string description() const = 0;

 private:
  /// Without `spans` there need be none: that is faster.
  [[nodiscard]] virtual encoding encode_text(std::string_view text, encode_options options, bool spans) const = 0;
};

/// By the file's name and first bytes: tokenizer.json, vocab.json with merges.txt, SentencePiece's `.model` (with the
/// tokenizer_config.json beside it), GGUF, tiktoken's ranks or llama2.c `.bin`; others are refused with the list of
/// known kinds. `pattern` cuts words where the file does not say how (word_families.hpp).
[[nodiscard]] std::unique_ptr<tokenizer> load_tokenizer(std::string const& path, std::string_view pattern = {});

/// The tokenizer file of a model's directory: tokenizer.json, tokenizer.bin, tokenizer.model, vocab.json with
/// merges.txt, or the only GGUF file there, the first of them that it holds. A GGUF file in place of a directory is its
/// own.
[[nodiscard]] std::optional<std::string> tokenizer_in(std::string const& model_directory);
/// The same; throws where there is none.
[[nodiscard]] std::string find_tokenizer(std::string const& model_directory);

}  // namespace tenon::engine
