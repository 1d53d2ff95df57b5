#pragma once
//  Pages of the documentation whose code or tables a test holds to what they say.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace test {

/// A file of the project, by its path from the root.
inline std::string text_of(std::string const& path) {
  std::ifstream file(std::string(TENON_SOURCE_DIR "/") + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The lines of a source between "// -- the page has this" and "// -- to here".
inline std::string code_for_page(std::string const& source) {
  std::string const text = text_of(source), begin = "\n// -- the page has this\n", end = "\n// -- to here\n";
  auto const        first = text.find(begin), last = text.find(end);
  EXPECT_TRUE(first != std::string::npos && last != std::string::npos && first < last) << source;
  return first < last && last != std::string::npos ? text.substr(first + begin.size(), last + 1 - first - begin.size())
                                                   : "nothing";
}

/// The page has this code as it is.
inline void expect_code_on_page(std::string const& code, std::string const& page) {
  EXPECT_NE(text_of(page).find("```cpp\n" + code + "```"), std::string::npos) << page << " should have\n" << code;
}

}  // namespace test
