#include "engine/text/tokenizer.hpp"

#include <filesystem>

#include "engine/error.hpp"
#include "engine/files/json.hpp"
#include "engine/files/mapped_file.hpp"
#include "engine/text/bpe_tokenizer.hpp"
#include "engine/text/llama2c_tokenizer.hpp"
#include "engine/text/tiktoken_file.hpp"
#include "engine/text/tokenizer_json.hpp"

namespace tenon::engine {

namespace fs = std::filesystem;

void tokenizer::append_text(std::span<std::int32_t const> ids, std::int32_t previous, std::string& bytes) const {
  for (auto const id : ids) {
    bytes += text_after(previous, id);
    previous = id;
  }
}

std::unique_ptr<tokenizer> load_tokenizer(std::string const& path, std::string_view pattern) {
  constexpr char const* known = "a tokenizer.json (byte-level BPE), tiktoken's ranks or a llama2.c .bin vocabulary";
  mapped_file const     file(path);
  std::string const     kind = fs::path(path).extension().string();
  if (looks_like_tiktoken(file.text()))
    return std::make_unique<bpe_tokenizer>(read_tiktoken(file.text(), file.name(), pattern));
  if (kind == ".model" || kind == ".tiktoken" || kind == ".gguf" || kind == ".txt")
    throw wrong(path, "unsupported tokenizer file", in_quotes(kind), known);
  if (file.size() == 0) throw wrong(path, "is empty", "0 bytes", known);
  auto const first = file.text().find_first_not_of(" \t\r\n");
  if (kind == ".json" || (first != std::string_view::npos && file.text()[first] == '{')) {
    json_value const tree = parse_json(file.text(), file.name());
    if (tree.is_object() && !tree.contains("model"))
      throw wrong(path, "unsupported tokenizer file", "JSON without \"model\"", known);
    return std::make_unique<bpe_tokenizer>(read_tokenizer_json(tree, file.name()));
  }
  return std::make_unique<llama2c_tokenizer>(file.text(), file.name());
}

std::string find_tokenizer(std::string const& model_directory) {
  std::error_code ignored;
  for (char const* name : {"tokenizer.json", "tokenizer.bin", "tokenizer.model"})
    if (auto const path = fs::path(model_directory) / name; fs::exists(path, ignored)) return path.string();
  throw wrong(model_directory, "holds no tokenizer", "neither tokenizer.json nor tokenizer.bin",
              "one of them, or --tokenizer FILE");
}

}  // namespace tenon::engine
