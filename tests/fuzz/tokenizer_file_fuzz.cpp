//  Any bytes as tokenizer.json, as tiktoken's ranks, as SentencePiece's model or as a llama2.c vocabulary; what loads must encode
//  and decode any text.
#include <engine/files/json.hpp>
#include <engine/text/bpe_tokenizer.hpp>
#include <engine/text/detokenizer.hpp>
#include <engine/text/llama2c_file.hpp>
#include <engine/text/piece_tokenizer.hpp>
#include <engine/text/sentencepiece_file.hpp>
#include <engine/text/tiktoken_file.hpp>
#include <engine/text/tokenizer_json.hpp>
#include <engine/text/utf8.hpp>

#include <cstdlib>

#include "attempt.hpp"

namespace {

using namespace tenon::engine;

void use(tokenizer const& t) {
  for (std::string_view const text : {std::string_view("Once upon a time,  there was\n\n a cat's 123 <|endoftext|> "
                                                       "e\xCC\x81\xFF \xE7\x8C\xAB aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
                                      std::string_view("\0\x80 \t", 4), std::string_view()})
    for (bool const special : {true, false}) {
      encoding const e = t.encode_with_spans(text, {special, special});
      if (e.ids.size() != e.spans.size()) std::abort();
      for (auto const& s : e.spans)
        if (s.begin > s.end || s.end > text.size()) std::abort();
      detokenizer stream(t, -1, {"upon", "aaa"});
      std::string out;
      for (auto const id : e.ids) {
        if (id < 0 || id >= t.vocabulary()) std::abort();
        out += stream.feed(id);
        (void)t.token_bytes(id);
      }
      if (!is_utf8(out += stream.finish())) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const bytes(reinterpret_cast<char const*>(data), size);
  fuzz::attempt([&] {
    if (bytes.starts_with('{')) use(*tokenizer_of_json(parse_json(bytes, "input"), "input"));
    else if (looks_like_tiktoken(bytes)) use(bpe_tokenizer(read_tiktoken(bytes, "input", "llama3")));
    else if (bytes.starts_with('\n')) use(piece_tokenizer(read_sentencepiece(bytes, "input")));
    else use(piece_tokenizer(read_llama2c(bytes, "input")));
  });
  return 0;
}
