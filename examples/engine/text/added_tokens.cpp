#include "engine/text/added_tokens.hpp"

#include <algorithm>

#include "engine/text/linear_find.hpp"
#include "engine/text/pattern.hpp"
#include "engine/text/utf8.hpp"

namespace tenon::engine {
namespace {

std::uint64_t edge(std::int32_t parent, unsigned char byte) { return (static_cast<std::uint64_t>(parent) << 8) | byte; }

bool is_word(utf8_step step) {
  if (step.kind != utf8_kind::character) return false;
  if (step.code < 0x80)
    return (step.code >= '0' && step.code <= '9') || (step.code >= 'A' && step.code <= 'Z') ||
           (step.code >= 'a' && step.code <= 'z') || step.code == '_';
  static pattern const word("[" + std::string(word_class) + "]", "\\w");
  std::string          character;
  append_utf8(character, step.code);
  return !word.matches(character).empty();
}

}  // namespace

std::int32_t added_token_matcher::child(std::int32_t parent, unsigned char byte) const {
  if (parent == 0) return first_[byte];
  auto const at = edges_.find(edge(parent, byte));
  return at == edges_.end() ? 0 : at->second;
}

void added_token_matcher::add(added_token const& token) {
  if (token.content.size() > longest_short) return long_.push_back(token);
  std::int32_t at = 0;
  for (char const c : token.content) {
    auto const   byte = static_cast<unsigned char>(c);
    std::int32_t next = child(at, byte);
    if (next == 0) {
      next = static_cast<std::int32_t>(nodes_.size());
      nodes_.push_back({});
      if (at == 0) first_[byte] = next, first_byte_ = c, ++first_bytes_;
      else edges_.emplace(edge(at, byte), next);
    }
    at = next;
  }
  nodes_[static_cast<std::size_t>(at)].token = static_cast<std::int32_t>(tokens_.size());
  tokens_.push_back(token);
}

/// Where the long tokens are in a text, from a place on that only goes forward.
class added_token_matcher::long_tokens {
 public:
  long_tokens(std::vector<added_token> const& tokens, std::string_view text) : tokens_(tokens), text_(text) {
    for (added_token const& t : tokens) places_.push_back(find(t, 0));
    first_ = least();
  }

  /// Where the next of them begins; the text's end: nowhere.
  std::size_t first_from(std::size_t at) {
    if (first_ >= at) return first_;
    for (std::size_t k = 0; k < places_.size(); ++k)
      if (places_[k] < at) places_[k] = find(tokens_[k], at);
    return first_ = least();
  }

  /// Bytes of the longest at `at`, else `length`; the last one of those with the same text, as with short ones.
  std::size_t longer(std::size_t at, std::size_t control, std::size_t length, added_token const*& token) const {
    for (std::size_t k = 0; at == first_ && k < places_.size(); ++k) {
      std::size_t const size = tokens_[k].content.size();
      if (places_[k] == at && size >= length && (!tokens_[k].special || size <= control))
        length = size, token = &tokens_[k];
    }
    return length;
  }

 private:
  [[nodiscard]] std::size_t find(added_token const& t, std::size_t at) const {
    return std::min(linear_find(text_, t.content, at), text_.size());
  }
  [[nodiscard]] std::size_t least() const {
    auto const at = std::min_element(places_.begin(), places_.end());
    return at == places_.end() ? text_.size() : *at;
  }

  std::vector<added_token> const& tokens_;
  std::string_view                text_;
  std::vector<std::size_t>        places_;
  std::size_t                     first_ = 0;
};

/// Bytes of the longest token at the beginning of `text`; 0: none.
std::size_t added_token_matcher::longest(std::string_view text, std::size_t control, added_token const*& token) const {
  std::size_t  length = 0;
  std::int32_t at     = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    at = child(at, static_cast<unsigned char>(text[i]));
    if (at == 0) break;
    auto const index = nodes_[static_cast<std::size_t>(at)].token;
    if (index < 0) continue;
    auto const& found = tokens_[static_cast<std::size_t>(index)];
    if (found.special && i >= control) continue;
    token  = &found;
    length = i + 1;
  }
  return length;
}

std::size_t added_token_matcher::first_from(std::string_view text, std::size_t at) const {
  if (first_bytes_ == 0) return text.size();
  if (first_bytes_ == 1) return std::min(text.find(first_byte_, at), text.size());
  while (at < text.size() && first_[static_cast<unsigned char>(text[at])] == 0) ++at;
  return at;
}

bool touches(std::span<token_span const> spans, token_span part) {
  auto const at = std::partition_point(spans.begin(), spans.end(), [&](token_span s) { return s.end <= part.begin; });
  return at != spans.end() && at->begin < part.end;
}

std::vector<text_part> added_token_matcher::split(std::string_view text, bool control,
                                                  std::span<token_span const> foreign, std::size_t origin) const {
  std::vector<text_part> parts;
  std::size_t            done   = 0;  // end of the last part
  auto const             append = [&](std::int32_t id, std::size_t begin, std::size_t end) {
    if (begin < end) parts.push_back({id, {begin, end}});
  };
  auto const own = [&](std::size_t at) -> std::size_t {  // bytes from `at` that are not foreign
    if (!control) return 0;
    while (!foreign.empty() && foreign.front().end <= origin + at) foreign = foreign.subspan(1);
    if (foreign.empty()) return text.size() - at;
    return foreign.front().begin <= origin + at ? 0 : foreign.front().begin - origin - at;
  };
  long_tokens more(long_, text);
  for (std::size_t at = 0; (at = std::min(first_from(text, at), more.first_from(at))) < text.size();) {
    added_token const* token   = nullptr;
    std::size_t const  trusted = own(at);
    std::size_t const  length  = more.longer(at, trusted, longest(text.substr(at), trusted, token), token);
    if (length == 0) {
      ++at;
      continue;
    }
    std::size_t begin = at, end = at + length;
    at = end;
    if (token->single_word && ((begin > 0 && is_word(last_utf8(text.substr(0, begin)))) ||
                               (end < text.size() && is_word(next_utf8(text.substr(end))))))
      continue;
    if (token->strip_left) begin -= trailing_bytes(text.substr(done, begin - done), is_white_space);
    if (token->strip_right) end += leading_bytes(text.substr(end), is_white_space);
    append(-1, done, begin);
    append(token->id, begin, end);
    done = at = end;
  }
  append(-1, done, text.size());
  return parts;
}

}  // namespace tenon::engine
