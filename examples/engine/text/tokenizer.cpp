#include "engine/text/tokenizer.hpp"

#include <filesystem>
#include <utility>

#include "engine/error.hpp"
#include "engine/files/gguf.hpp"
#include "engine/files/json.hpp"
#include "engine/files/mapped_file.hpp"
#include "engine/text/bpe_tokenizer.hpp"
#include "engine/text/gguf_vocabulary.hpp"
#include "engine/text/llama2c_file.hpp"
#include "engine/text/piece_tokenizer.hpp"
#include "engine/text/sentencepiece_file.hpp"
#include "engine/text/tiktoken_file.hpp"
#include "engine/text/tokenizer_json.hpp"
#include "engine/text/vocab_merges.hpp"

namespace tenon::engine {

namespace fs = std::filesystem;

void tokenizer::append_text(std::span<std::int32_t const> ids, std::int32_t previous, std::string& bytes) const {
  for (auto const id : ids) {
    bytes += text_after(previous, id);
    previous = id;
  }
}

namespace {

/// What a model's directory says about the tokens that SentencePiece files are silent about.
sentencepiece_options options_beside(fs::path const& model) {
  sentencepiece_options options;
  fs::path const        path = model.parent_path() / "tokenizer_config.json";
  std::error_code       ignored;
  if (!fs::exists(path, ignored)) return options;
  json_value const  tree = read_json(path.string());
  json_fields const f(tree, path.string());
  if (f.has("add_bos_token")) options.add_bos = f.flag_or("add_bos_token", true);
  if (f.has("add_eos_token")) options.add_eos = f.flag_or("add_eos_token", false);
  return options;
}

}  // namespace

std::unique_ptr<tokenizer> load_tokenizer(std::string const& path, std::string_view pattern) {
  constexpr char const* known =
      "a tokenizer.json, vocab.json with merges.txt, SentencePiece's .model, GGUF, tiktoken's ranks or a llama2.c .bin "
      "vocabulary";
  if (auto const pair = vocab_merges_of(path))
    return std::make_unique<bpe_tokenizer>(read_vocab_merges(*pair, pattern));
  mapped_file const file(path);
  std::string const kind = fs::path(path).extension().string();
  if (looks_like_gguf(file.text())) {
    gguf_file const f(file.text(), file.name());
    if (is_gguf_of_pieces(f)) return std::make_unique<piece_tokenizer>(read_gguf_pieces(f));
    return std::make_unique<bpe_tokenizer>(read_gguf_bpe(f, pattern));
  }
  if (looks_like_tiktoken(file.text()))
    return std::make_unique<bpe_tokenizer>(read_tiktoken(file.text(), file.name(), pattern));
  if (looks_like_sentencepiece(file.text()))
    return std::make_unique<piece_tokenizer>(read_sentencepiece(file.text(), file.name(), options_beside(path)));
  if (kind == ".model" || kind == ".tiktoken" || kind == ".gguf" || kind == ".txt")
    throw wrong(path, "unsupported tokenizer file", in_quotes(kind), known);
  if (file.size() == 0) throw wrong(path, "is empty", "0 bytes", known);
  auto const first = file.text().find_first_not_of(" \t\r\n");
  if (kind == ".json" || (first != std::string_view::npos && file.text()[first] == '{')) {
    tokenizer_tree const tree(file.text(), file.name());
    if (tree.root.is_object() && !tree.root.contains("model"))
      throw wrong(path, "unsupported tokenizer file", "JSON without \"model\"", known);
    return tokenizer_of_json(tree, file.name());
  }
  return std::make_unique<piece_tokenizer>(read_llama2c(file.text(), file.name()));
}

std::optional<std::string> tokenizer_in(std::string const& model_directory) {
  std::error_code ignored;
  fs::path const  folder = model_directory;
  for (char const* name : {"tokenizer.json", "tokenizer.bin", "tokenizer.model"})
    if (fs::path const path = folder / name; fs::exists(path, ignored)) return path.string();
  for (char const* name : {"vocab.json", "encoder.json"}) {
    std::string const path = (folder / name).string();
    if (fs::exists(path, ignored) && fs::exists(vocab_merges_of(path)->merges, ignored)) return path;
  }
  auto const is_gguf = [&](fs::path const& path) {
    return path.extension() == ".gguf" && fs::is_regular_file(path, ignored);
  };
  if (is_gguf(folder)) return model_directory;
  std::optional<std::string> only;
  for (auto at = fs::directory_iterator(folder, ignored); at != fs::directory_iterator(); at.increment(ignored))
    if (is_gguf(at->path()) && std::exchange(only, at->path().string())) return {};  // several
  return only;
}

std::string find_tokenizer(std::string const& model_directory) {
  if (auto path = tokenizer_in(model_directory)) return std::move(*path);
  throw wrong(model_directory, "holds no tokenizer",
              "neither tokenizer.json, tokenizer.bin, tokenizer.model, vocab.json with merges.txt nor a single .gguf",
              "one of them, or --tokenizer FILE");
}

}  // namespace tenon::engine
