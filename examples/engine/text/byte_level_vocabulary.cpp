#include "engine/text/byte_level_vocabulary.hpp"

#include <utility>

#include "engine/error.hpp"
#include "engine/text/byte_alphabet.hpp"
#include "engine/text/json_lists.hpp"

namespace tenon::engine {

void byte_level_vocabulary::put(std::int64_t id, bpe_definition::entry entry, std::string const& subject) {
  auto& e = into_.entry_at(id);
  if (e.present) throw wrong(subject, "two tokens have one id", std::to_string(id), "an id for each");
  e = std::move(entry);
}

void byte_level_vocabulary::add_token(std::int64_t id, std::string_view spelled, std::string const& subject) {
  auto bytes = gpt2_alphabet.bytes(spelled);
  if (!bytes) return add_plain(id, spelled, subject);
  bool const single = bytes->size() == 1;
  put(id, {std::move(*bytes), true, true}, subject);
  if (single) {
    made_.resize(into_.entries.size());
    made_[static_cast<std::size_t>(id)] = true;
  }
  ids_.push_back(static_cast<std::int32_t>(id));
  if (names_.add(spelled) >= 0) throw wrong(subject, "is there twice", in_quotes(spelled), "every token once");
}

void byte_level_vocabulary::add_plain(std::int64_t id, std::string_view content, std::string const& subject) {
  put(id, {std::string(content), true, false}, subject);
}

void byte_level_vocabulary::add_merge(std::string_view pair, std::string const& subject) {
  auto const parts = split_merge(pair);
  if (!parts) throw wrong(subject, "is not a merge", in_quotes(pair), "two tokens with one space between them");
  auto const token = [&](std::string_view spelled) {
    std::int32_t const at = names_.find(spelled);
    if (at < 0) throw wrong(subject, "names a token outside the vocabulary", in_quotes(spelled), "one of its tokens");
    return ids_[static_cast<std::size_t>(at)];
  };
  auto const [left, right] = *parts;
  auto const a = token(left), b = token(right), c = token(std::string(left).append(right));
  into_.merges.push_back({a, b, c});
  made_.resize(into_.entries.size());
  made_[static_cast<std::size_t>(c)] = true;
}

std::int32_t byte_level_vocabulary::id_of(std::string_view bytes) const {
  std::int32_t const at = names_.find(gpt2_alphabet.text(bytes));
  return at < 0 ? at : ids_[static_cast<std::size_t>(at)];
}

bool byte_level_vocabulary::is_made(std::int32_t id) const {
  return static_cast<std::size_t>(id) < made_.size() && made_[static_cast<std::size_t>(id)];
}

}  // namespace tenon::engine
