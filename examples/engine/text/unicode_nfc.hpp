#pragma once
//  Unicode normalisation form C (UAX #15) of valid UTF-8, with the way back to the input's bytes.
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.hpp"

namespace tenon::engine {

/// True: `text` is in NFC. False: it may not be.
[[nodiscard]] bool is_nfc(std::string_view text);

struct normalized_text {
  std::string             text;
  std::vector<token_span> origin;  // of each byte of `text`: the input's bytes that its character came from
};

[[nodiscard]] normalized_text to_nfc(std::string_view text);

}  // namespace tenon::engine
