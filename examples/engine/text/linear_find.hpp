#pragma once
//  Where a text is in another one, in linear time, whatever the two are: std::string_view::find takes time by their
//  product.
//
//  Test: tests/engine/text/added_tokens_test.cpp, and by the templates' str.find
#include <cstddef>
#include <cstring>
#include <string_view>

namespace tenon::engine {

/// The first place of `part`, which is not empty, from `from` on; npos: none. (memmem: the two-way search of Crochemore
/// and Perrin 1991.)
[[nodiscard]] inline std::size_t linear_find(std::string_view text, std::string_view part, std::size_t from) {
  if (from >= text.size()) return text.npos;
  void const* const found = ::memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found ? static_cast<std::size_t>(static_cast<char const*>(found) - text.data()) : text.npos;
}

}  // namespace tenon::engine
