#include "engine/text/template/marked_text.hpp"

#include <algorithm>

namespace tenon::engine {
namespace {

/// The first span that ends behind `at`.
auto first_behind(std::vector<token_span> const& spans, std::size_t at) {
  return std::upper_bound(spans.begin(), spans.end(), at,
                          [](std::size_t value, token_span const& s) { return value < s.end; });
}

}  // namespace

text_origin marked_text::origin(std::size_t at) const {
  auto const s = first_behind(foreign_, at);
  return s != foreign_.end() && s->begin <= at ? text_origin::foreign : text_origin::own;
}

void marked_text::mark(std::size_t begin, std::size_t end) {
  if (begin == end) return;
  if (!foreign_.empty() && foreign_.back().end == begin) foreign_.back().end = end;
  else foreign_.push_back({begin, end});
}

void marked_text::append(std::string_view bytes, text_origin from) {
  std::size_t const begin = bytes_.size();
  bytes_ += bytes;
  if (from == text_origin::foreign) mark(begin, bytes_.size());
}

void marked_text::append(marked_text const& other, std::size_t begin, std::size_t end) {
  std::size_t const at = bytes_.size();
  bytes_.append(other.bytes_, begin, end - begin);
  for (auto s = first_behind(other.foreign_, begin); s != other.foreign_.end() && s->begin < end; ++s)
    mark(at + std::max(s->begin, begin) - begin, at + std::min(s->end, end) - begin);
}

}  // namespace tenon::engine
