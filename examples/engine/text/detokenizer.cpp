#include "engine/text/detokenizer.hpp"

#include <algorithm>
#include <utility>

#include "engine/text/utf8.hpp"

namespace tenon::engine {

std::string utf8_stream::feed(std::string_view bytes) {
  std::string const all = std::exchange(held_, {}).append(bytes);
  std::string       text;
  for (std::string_view rest = all; !rest.empty();) {
    auto const step = next_utf8(rest);
    if (step.kind == utf8_kind::incomplete) {
      held_ = rest;
      break;
    }
    text += step.kind == utf8_kind::character ? rest.substr(0, step.length) : replacement_character;
    rest.remove_prefix(step.length);
  }
  return text;
}

std::string utf8_stream::finish() {
  return std::exchange(held_, {}).empty() ? std::string() : std::string(replacement_character);
}

stop_matcher::stop_matcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](std::string const& s) { return s.empty(); });
}

std::string stop_matcher::feed(std::string_view text) {
  if (stopped_) return {};
  held_ += text;
  // The stop text that is complete first, whatever the pieces in which the text comes; of those, the longest.
  std::size_t begin = 0, end = std::string::npos;
  for (auto const& s : stops_) {
    auto const found = held_.find(s);
    if (found == std::string::npos || found + s.size() > end || (found + s.size() == end && found >= begin)) continue;
    begin      = found;
    end        = found + s.size();
    stop_text_ = s;
  }
  if (end != std::string::npos) {
    stopped_           = true;
    std::string before = held_.substr(0, begin);
    held_.clear();
    return before;
  }
  std::size_t hold = 0;  // bytes at the end that may begin a stop text
  for (auto const& s : stops_)
    for (std::size_t n = std::min(s.size() - 1, held_.size()); n > hold; --n)
      if (std::string_view(held_).ends_with(std::string_view(s).substr(0, n))) hold = n;
  std::string certain = held_.substr(0, held_.size() - hold);
  held_.erase(0, held_.size() - hold);
  return certain;
}

std::string stop_matcher::finish() { return std::exchange(held_, {}); }

detokenizer::detokenizer(tokenizer const& vocabulary, std::int32_t last_prompt_id, std::vector<std::string> stops)
    : vocabulary_(&vocabulary), previous_(last_prompt_id), stops_(std::move(stops)) {}

std::string detokenizer::feed(std::int32_t id) {
  return stops_.feed(characters_.feed(vocabulary_->text_after(std::exchange(previous_, id), id)));
}

std::string detokenizer::finish() {
  std::string text = stops_.feed(characters_.finish());
  return text += stops_.finish();
}

}  // namespace tenon::engine
