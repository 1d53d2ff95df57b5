#include "engine/program/train_tokenizer.hpp"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "engine/error.hpp"
#include "engine/files/mapped_file.hpp"
#include "engine/text/bpe_trainer.hpp"

namespace tenon::engine {

int run_train_tokenizer(options const& from, std::ostream& out) {
  train_options const& train = from.train;
  auto const           start = std::chrono::steady_clock::now();
  if (std::error_code ignored; std::filesystem::exists(train.out, ignored))
    throw wrong(train.out, "is there already", "a file", "a name that is free");
  std::string const text    = read_bytes(*from.file);
  std::string const pattern = from.pattern.empty() ? "gpt2" : from.pattern;
  word_counts const words   = count_words(text, pattern, train.special);
  if (words.empty()) throw wrong(*from.file, "holds no words", "none", "text to train on");
  trained_bpe const trained = train_bpe(words, train.vocabulary, train.special, train.least);
  std::string const json    = to_tokenizer_json(trained, pattern);
  std::ofstream     file(train.out, std::ios::binary);
  if (!(file << json).flush()) throw wrong(train.out, "cannot be written", "an output error", "a place for the result");

  std::size_t const tokens = trained.special.size() + trained.tokens.size();
  if (from.output == output_format::json)
    out << nlohmann::ordered_json{{"tokens", tokens}, {"merges", trained.merges.size()}, {"words", words.size()}}.dump()
        << '\n';
  else
    out << train.out << ": " << tokens << " tokens, " << trained.merges.size() << " merges, from " << words.size()
        << " different words\n";
  double const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!from.quiet) std::cerr << text.size() << " bytes in " << std::round(seconds * 100) / 100 << " s\n";
  return 0;
}

}  // namespace tenon::engine
