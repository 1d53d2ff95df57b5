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
  if (stops_.empty()) return;
  nodes_.push_back({.stop = 0, .depth = 0, .byte = 0});
  for (std::size_t i = 0; i < stops_.size(); ++i) add(static_cast<std::int32_t>(i));
  link();
}

std::int32_t stop_matcher::child_of(std::int32_t parent, char byte) const {
  std::int32_t c = nodes_[static_cast<std::size_t>(parent)].child;
  while (c >= 0 && nodes_[static_cast<std::size_t>(c)].byte != byte) c = nodes_[static_cast<std::size_t>(c)].sibling;
  return c;
}

void stop_matcher::add(std::int32_t stop) {
  std::int32_t at = 0;
  for (char const byte : stops_[static_cast<std::size_t>(stop)]) {
    std::int32_t next = child_of(at, byte);
    if (next < 0) {
      next         = static_cast<std::int32_t>(nodes_.size());
      node& parent = nodes_[static_cast<std::size_t>(at)];
      node  added{.sibling = parent.child, .stop = stop, .depth = parent.depth + 1, .byte = byte};
      parent.child = next;
      nodes_.push_back(added);
    }
    at = next;
  }
  if (nodes_[static_cast<std::size_t>(at)].whole < 0) nodes_[static_cast<std::size_t>(at)].whole = stop;
}

/// `shorter` and `whole` of every node, in the order of their depths.
void stop_matcher::link() {
  std::vector<std::int32_t> order{0};
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::int32_t const parent = order[i];
    for (std::int32_t c = nodes_[static_cast<std::size_t>(parent)].child; c >= 0;
         c              = nodes_[static_cast<std::size_t>(c)].sibling) {
      order.push_back(c);
      node&        n     = nodes_[static_cast<std::size_t>(c)];
      std::int32_t other = parent, found = -1;
      while (other != 0 && found < 0) {
        other = nodes_[static_cast<std::size_t>(other)].shorter;
        found = child_of(other, n.byte);
      }
      n.shorter = std::max(found, 0);
      if (n.whole < 0) n.whole = nodes_[static_cast<std::size_t>(n.shorter)].whole;
    }
  }
}

std::string stop_matcher::feed(std::string_view text) {
  if (stopped_) return {};
  if (nodes_.empty()) return std::string(text);
  std::string_view const before = held();
  std::size_t            end    = text.size();  // of what is looked at
  std::size_t            keep   = 0;            // bytes at that end which are not certain
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::int32_t next = child_of(at_, text[i]);
    while (next < 0 && at_ != 0) at_ = nodes_[static_cast<std::size_t>(at_)].shorter, next = child_of(at_, text[i]);
    at_ = std::max(next, 0);
    if (std::int32_t const whole = nodes_[static_cast<std::size_t>(at_)].whole; whole >= 0) {
      stopped_   = true;
      stop_text_ = stops_[static_cast<std::size_t>(whole)];
      end        = i + 1;
      keep       = stop_text_.size();
      at_        = 0;
      break;
    }
  }
  if (!stopped_) keep = held().size();
  std::size_t const certain = before.size() + end - keep;
  std::string       out(before.substr(0, certain));
  if (certain > before.size()) out += text.substr(0, certain - before.size());
  return out;
}

std::string stop_matcher::finish() {
  std::string rest(nodes_.empty() ? std::string_view() : held());
  at_ = 0;
  return rest;
}

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
