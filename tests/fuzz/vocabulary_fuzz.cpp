//  Any bytes as a GGUF file, or as vocab.json, merges.txt, added_tokens.json and tokenizer_config.json with zeros between them;
//  what loads must encode and decode any text.
#include <engine/text/bpe_tokenizer.hpp>
#include <engine/text/gguf_vocabulary.hpp>
#include <engine/text/piece_tokenizer.hpp>
#include <engine/text/vocab_merges.hpp>

#include <algorithm>
#include <string_view>

#include "attempt.hpp"
#include "use_tokenizer.hpp"

using namespace tenon::engine;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const bytes(reinterpret_cast<char const*>(data), size);
  fuzz::attempt([&] {
    if (looks_like_gguf(bytes)) {
      gguf_file const file(bytes, "input");
      if (is_gguf_of_pieces(file)) fuzz::use(piece_tokenizer(read_gguf_pieces(file)));
      else fuzz::use(bpe_tokenizer(read_gguf_bpe(file)));
      return;
    }
    std::string_view rest = bytes, parts[4];
    for (std::string_view& part : parts) {
      std::size_t const end = std::min(rest.find('\0'), rest.size());
      part                  = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    fuzz::use(bpe_tokenizer(read_vocab_merges({parts[0], parts[1], parts[2], parts[3]}, {"vocab.json", "merges.txt"},
                                              parts[3].empty() ? "llama3" : "")));
  });
  return 0;
}
