#pragma once
//  A template's text to tokens, with the white space that Transformers' settings take away (trim_blocks, lstrip_blocks).
//
//  Follows Jinja2's lexer.py (Pallets, BSD): newlines become \n, the last one of the template is dropped.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/template/execution.hpp"

namespace tenon::engine::jinja {

enum class token_kind : unsigned char {
  data,  // text between tags
  block_begin,
  block_end,
  print_begin,
  print_end,
  name,
  string,
  integer,
  real,
  symbol,  // + - * ** / // % ~ == != < <= > >= = . : | , ; ( ) [ ] { }
  end
};

struct token {
  token_kind   kind    = token_kind::end;
  place        at      = {};
  std::string  text    = {};  // data, a name, a symbol, the value of a string
  std::int64_t integer = 0;
  double       real    = 0;

  [[nodiscard]] bool is(std::string_view symbol) const { return kind == token_kind::symbol && text == symbol; }
  [[nodiscard]] bool is_name(std::string_view word) const { return kind == token_kind::name && text == word; }
};

/// All of `source`; the last one is `end`. Throws template_error.
[[nodiscard]] std::vector<token> tokens_of(std::string_view source, std::string const& name);

/// White space as Python's str.isspace() has it.
[[nodiscard]] bool is_python_space(char32_t code);
/// Bytes of white space at the beginning and at the end of `text`.
[[nodiscard]] std::size_t leading_space(std::string_view text);
[[nodiscard]] std::size_t trailing_space(std::string_view text);

}  // namespace tenon::engine::jinja
