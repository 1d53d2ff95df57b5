//  Any bytes as tokenizer.json, as tiktoken's ranks, as SentencePiece's model or as a llama2.c vocabulary; what loads
//  must encode and decode any text.
#include <engine/text/bpe_tokenizer.hpp>
#include <engine/text/llama2c_file.hpp>
#include <engine/text/piece_tokenizer.hpp>
#include <engine/text/sentencepiece_file.hpp>
#include <engine/text/tiktoken_file.hpp>
#include <engine/text/tokenizer_json.hpp>

#include "attempt.hpp"
#include "use_tokenizer.hpp"

namespace {

using namespace tenon::engine;
using fuzz::use;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const bytes(reinterpret_cast<char const*>(data), size);
  fuzz::attempt([&] {
    if (bytes.starts_with('{')) use(*tokenizer_of_json({bytes, "input"}, "input"));
    else if (looks_like_tiktoken(bytes)) use(bpe_tokenizer(read_tiktoken(bytes, "input", "llama3")));
    else if (bytes.starts_with('\n')) use(piece_tokenizer(read_sentencepiece(bytes, "input")));
    else use(piece_tokenizer(read_llama2c(bytes, "input")));
  });
  return 0;
}
