//  ids_of_texts TOKENIZER-FILE [PATTERN]: ids of many texts without a process for each.
//
//  stdin: for each text its length (uint32), a mode (one byte: 1 control tokens in the text are tokens, 2 with the template's
//  tokens, 4 with spans) and its bytes. stdout: for each text how many int32 follow (uint32): the ids, and with spans as many
//  pairs of begin and end. In this machine's byte order.
#include <engine/error.hpp>
#include <engine/text/tokenizer.hpp>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace {

bool read_all(std::string& all) {
  char part[1 << 16];
  for (std::size_t n = 0; (n = std::fread(part, 1, sizeof part, stdin)) > 0;) all.append(part, n);
  return std::ferror(stdin) == 0;
}

std::vector<std::int32_t> answer_of(tenon::engine::tokenizer const& words, std::string_view text,
                                    tenon::engine::encode_options options, bool with_spans) {
  if (!with_spans) return words.encode(text, options);
  auto [answer, spans] = words.encode_with_spans(text, options);
  for (tenon::engine::token_span const s : spans) {
    answer.push_back(static_cast<std::int32_t>(s.begin));
    answer.push_back(static_cast<std::int32_t>(s.end));
  }
  return answer;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) return std::fputs("ids_of_texts TOKENIZER-FILE [PATTERN]\n", stderr), 2;
  auto const  words = tenon::engine::load_tokenizer(argv[1], argc > 2 ? argv[2] : "");
  std::string input;
  if (!read_all(input)) return 1;
  std::string_view rest = input;
  while (!rest.empty()) {
    std::uint32_t size = 0;
    if (rest.size() < sizeof size + 1) return 1;
    std::memcpy(&size, rest.data(), sizeof size);
    unsigned const mode = static_cast<unsigned char>(rest[sizeof size]);
    rest.remove_prefix(sizeof size + 1);
    if (rest.size() < size) return 1;
    std::vector<std::int32_t> const answer =
        answer_of(*words, rest.substr(0, size), {(mode & 2) != 0, (mode & 1) != 0}, (mode & 4) != 0);
    std::uint32_t const n = static_cast<std::uint32_t>(answer.size());
    std::fwrite(&n, sizeof n, 1, stdout);
    std::fwrite(answer.data(), sizeof answer[0], answer.size(), stdout);
    rest.remove_prefix(size);
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
} catch (std::exception const& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
