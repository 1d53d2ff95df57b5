#pragma once
//  What every tokenizer that loads must do with any text, whatever its file was.
#include <engine/text/detokenizer.hpp>
#include <engine/text/tokenizer.hpp>
#include <engine/text/utf8.hpp>

#include <cstdlib>
#include <string>
#include <string_view>

namespace fuzz {

inline void use(tenon::engine::tokenizer const& t) {
  using namespace tenon::engine;
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

}  // namespace fuzz
