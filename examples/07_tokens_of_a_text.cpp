//  Text to tokens and back with the engine's text alone: no model, no device.
//  $ ./07_tokens_of_a_text          prints:
//    The| cat|’|s| |3| k|itt|ens| |<|||end|o|ft|e|xt|||>
//    19 tokens; with control tokens 12
//    [The][ cat][’][s][ ][3][ ][][] stopped by "kittens"
//    The cat’s 3 kittens <|endoftext|>
#include <engine/text/detokenizer.hpp>
#include <engine/text/tokenizer.hpp>

#include <cstdio>
#include <string>

int main() {
  auto const        words = tenon::engine::load_tokenizer(TENON_DEMO "/tokenizer.json");
  std::string const text  = "The cat\xE2\x80\x99s 3 kittens <|endoftext|>";

  // What a person wrote: control tokens in it are text.
  auto const found = words->encode_with_spans(text, {.add_special = false, .control_in_text = false});
  for (std::size_t i = 0; i < found.ids.size(); ++i)
    std::printf("%s%s", i ? "|" : "",
                text.substr(found.spans[i].begin, found.spans[i].end - found.spans[i].begin).c_str());
  std::printf("\n%zu tokens; with control tokens %zu\n", found.ids.size(), words->encode(text).size());

  // What a model writes, token by token: never half a character, and nothing from the stop text on.
  tenon::engine::detokenizer stream(*words, -1, {"kittens"});
  for (std::int32_t const id : found.ids) {
    std::printf("[%s]", stream.feed(id).c_str());
    if (stream.stopped()) break;
  }
  std::printf(" stopped by \"%s\"\n%s\n", stream.stop_text().c_str(), words->decode(found.ids).c_str());
}
