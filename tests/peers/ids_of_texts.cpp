//  ids_of_texts TOKENIZER-FILE [PATTERN]: ids of many texts without a process for each.
//
//  stdin: for each text its length (uint32), a mode (one byte: 1 control tokens in the text are tokens, 2 with the template's
//  tokens) and its bytes. stdout: for each text the number of ids (uint32) and the ids (int32). In this machine's byte order.
#include <engine/error.hpp>
#include <engine/text/tokenizer.hpp>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>

namespace {

bool read_all(std::string& all) {
  char part[1 << 16];
  for (std::size_t n = 0; (n = std::fread(part, 1, sizeof part, stdin)) > 0;) all.append(part, n);
  return std::ferror(stdin) == 0;
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
    auto const          ids = words->encode(rest.substr(0, size), {(mode & 2) != 0, (mode & 1) != 0});
    std::uint32_t const n   = static_cast<std::uint32_t>(ids.size());
    std::fwrite(&n, sizeof n, 1, stdout);
    std::fwrite(ids.data(), sizeof ids[0], ids.size(), stdout);
    rest.remove_prefix(size);
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
} catch (std::exception const& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
