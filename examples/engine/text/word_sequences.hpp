#pragma once
//  Words of the tokenizers that cut several times, each cut inside the pieces of the one before: by hand in one pass.
//
//  Each function says where the word that begins at p ends, from what follows alone; the cuts themselves are the regular
//  expressions of `steps_of` (word_patterns.hpp), isolated one after the other. Linear in the text.
//  Test: tests/engine/text/word_sequences_test.cpp (every word against PCRE2 on the same expressions).
#include <cstddef>
#include <string>
#include <string_view>

#include "engine/text/run_scanner.hpp"

namespace tenon::engine::detail {

std::size_t starcoder_word_end(run_scanner& s, std::size_t p);
std::size_t falcon_word_end(run_scanner& s, std::size_t p);
std::size_t deepseek_coder_word_end(run_scanner& s, std::size_t p);
std::size_t deepseek_llm_word_end(run_scanner& s, std::size_t p);
std::size_t deepseek_v3_word_end(run_scanner& s, std::size_t p);

/// A regular expression in the one spelling that expressions are compared in: lines as \r and \n, \x{...} beyond ASCII as the
/// character.
std::string plain_spelling(std::string_view expression);

}  // namespace tenon::engine::detail
