#pragma once
//  SentencePiece's `.model` (google/sentencepiece, sentencepiece_model.proto): BPE, Unigram and character models.
//
//  What it says of the text is followed: the dummy space in front, extra spaces, the precompiled map of characters.
//  Bytes that are not UTF-8 become byte tokens where there are any, else U+FFFD as in SentencePiece. One thing differs:
//  where extra spaces go, those inside of a piece of the user's go, too.
#include <optional>
#include <string>
#include <string_view>

#include "engine/text/piece_definition.hpp"

namespace tenon::engine {

/// What its directory's tokenizer_config.json says, where there is one.
struct sentencepiece_options {
  std::optional<bool> add_bos, add_eos;  // otherwise a beginning is added where there is such a piece, and no end
};

/// Whether `bytes` begin as such a file does: with a piece.
[[nodiscard]] bool looks_like_sentencepiece(std::string_view bytes);

/// What the file defines; other kinds of models are refused. `file` is for messages.
[[nodiscard]] piece_definition read_sentencepiece(std::string_view bytes, std::string file,
                                                  sentencepiece_options options = {});

}  // namespace tenon::engine
