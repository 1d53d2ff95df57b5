#pragma once
//  Text that knows which of its bytes came from outside the template, through every cut and join.
//
//  That is how a prompt's control tokens are told from the same characters in a message: a control token is one only
//  where the template wrote all of its bytes. Test: tests/engine/text/template_test.cpp
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/tokenizer.hpp"

namespace tenon::engine {

enum class text_origin : unsigned char { own, foreign };  // the template's, or what it was given

class marked_text {
 public:
  marked_text() = default;
  marked_text(std::string bytes, text_origin from) : bytes_(std::move(bytes)) {
    if (from == text_origin::foreign && !bytes_.empty()) foreign_.push_back({0, bytes_.size()});
  }

  [[nodiscard]] std::string const& bytes() const { return bytes_; }
  [[nodiscard]] std::size_t        size() const { return bytes_.size(); }
  [[nodiscard]] bool               empty() const { return bytes_.empty(); }

  /// The bytes from outside: not empty, apart from each other, in order.
  [[nodiscard]] std::span<token_span const> foreign() const { return foreign_; }
  [[nodiscard]] text_origin                 origin(std::size_t at) const;

  void append(std::string_view bytes, text_origin from = text_origin::own);
  void append(marked_text const& other) { append(other, 0, other.size()); }
  /// Bytes [begin, end) of `other`, which is another text.
  void append(marked_text const& other, std::size_t begin, std::size_t end);

  [[nodiscard]] marked_text part(std::size_t begin, std::size_t end) const {
    marked_text cut;
    cut.append(*this, begin, end);
    return cut;
  }

 private:
  void mark(std::size_t begin, std::size_t end);

  std::string             bytes_;
  std::vector<token_span> foreign_;
};

}  // namespace tenon::engine
