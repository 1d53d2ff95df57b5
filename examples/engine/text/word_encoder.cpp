#include "engine/text/word_encoder.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "engine/text/word_batch.hpp"

namespace tenon::engine {

word_encoder::word_encoder(byte_pairs pairs, bool whole_words, std::span<std::int32_t const> apart)
    : pairs_(std::move(pairs)), whole_(pairs_.tokens()) {
  for (std::size_t id = 0; id < whole_.size(); ++id)
    whole_[id] = whole_words || pairs_.made(static_cast<std::int32_t>(id));
  for (std::int32_t const id : apart)
    if (static_cast<std::size_t>(id) < whole_.size()) whole_[static_cast<std::size_t>(id)] = pairs_.made(id);
  static std::atomic<std::uint64_t> encoders{0};
  number_ = ++encoders;
}

std::size_t word_encoder::encode_word(std::string_view word, std::int32_t* ids) const {
  if (std::int32_t const id = pairs_.exact(word); is_whole(id)) {
    *ids = id;
    return 1;
  }
  return pairs_.encode(word, ids);
}

/// A short word that is not in its set.
std::size_t word_encoder::encode_new(std::string_view word, bool part, word_cache& cache, word_set& set,
                                     std::int32_t* to) const {
  word_key const key = word_key::of(word);
  if (std::size_t const count = cache.find_beside(set, key, to)) return count;
  std::size_t        count = 1;
  std::int32_t const id    = pairs_.exact(key, key.hash());
  bool const         made  = id >= 0 && pairs_.made(id);
  if (made || (is_whole(id) && !part)) *to = id;
  else count = part ? pairs_.encode(word, to) : encode_many(word, cache.longer, to);
  // What is a token only as a whole word is another thing as a part.
  if (count <= word_set::most_ids && (made || !is_whole(id))) cache.insert(set, key, to, count);
  return count;
}

/// A short word that is no token: some have more of them than a set holds.
std::size_t word_encoder::encode_many(std::string_view word, long_words& known, std::int32_t* to) const {
  char padded[16] = {};
  std::memcpy(padded, word.data(), word.size());
  std::string_view const bytes(padded, word.size());
  std::uint64_t const    hash = long_words::hash_of(padded, word.size());
  if (std::uint32_t const place = known.find(hash); place != long_words::absent)
    if (std::size_t const count = known.read(place, bytes, to)) return count;
  std::size_t const count = pairs_.encode(word, to);
  if (count > word_set::most_ids) known.keep(hash, bytes, to, count);
  return count;
}

template <word_pattern P>
void word_encoder::encode_words(std::string_view text, std::vector<std::int32_t>& ids) const {
  word_cache& cache = word_cache::of(number_);
  word_batch  batch(text, cache, pairs_.seams());
  run_scanner runs(text);
  if (std::size_t const want = ids.size() + text.size() / 3; ids.capacity() < want)
    ids.reserve(std::max(want, 2 * ids.size()));
  for (std::size_t p = 0; p < text.size();) {
    std::size_t const begin = std::exchange(p, batch.cut<P>(runs, p));
    if (batch.words().empty()) {
      std::size_t const done = ids.size();
      ids.resize(done + p - begin);
      ids.resize(done + encode_word(text.substr(begin, p - begin), ids.data() + done));
      continue;
    }
    // A short one's ids; where they end.
    auto const take = [&](word_batch::word const& word, bool part, std::int32_t* at) {
      std::uint64_t const low = word.low, high = word.high;
      word_set&           set = *word.set;
      // 0: it is this one
      std::uint64_t const first  = (set.keys[0].low ^ low) | (set.keys[0].high ^ high) << (64 - word_set::id_count);
      std::uint64_t const second = (set.keys[1].low ^ low) | (set.keys[1].high ^ high) << (64 - word_set::id_count);
      if (std::min(first, second) != 0) return at + encode_new(batch.bytes(word), part, cache, set, at);
      std::size_t const which = (first | -first) >> 63;  // without a branch, which nothing could predict
      std::memcpy(at, set.ids[which],
                  sizeof set.ids[which]);  // with some behind the last, that the next ones replace
      return at + (set.keys[which].high >> word_set::id_count);
    };
    std::int32_t* to = batch.ids();
    for (word_batch::word const& word : batch.words()) {
      if (word.high != 0) {
        to = take(word, false, to);
        continue;
      }
      word_batch::long_word const& known = batch.long_of(word);
      std::string_view const       bytes = batch.bytes(word);
      if (known.place != long_words::absent) {
        std::size_t const count = cache.longer.read(known.place, bytes, to);
        to += count != 0 ? count : encode_word(bytes, to);
        continue;
      }
      std::int32_t* const from  = to;
      auto const          parts = batch.parts_of(known);
      for (word_batch::word const& part : parts) {
        if (part.high != 0) to = take(part, parts.size() > 1, to);
        else to += parts.size() > 1 ? pairs_.encode(batch.bytes(part), to) : encode_word(bytes, to);
      }
      cache.longer.keep(known.hash, bytes, from, static_cast<std::size_t>(to - from));
    }
    ids.insert(ids.end(), batch.ids(), to);
  }
}

void word_encoder::encode(word_pattern pattern, std::string_view text, std::vector<std::int32_t>& ids) const {
  switch (pattern) {
    case word_pattern::gpt2: return encode_words<word_pattern::gpt2>(text, ids);
    case word_pattern::llama3: return encode_words<word_pattern::llama3>(text, ids);
    case word_pattern::qwen2: return encode_words<word_pattern::qwen2>(text, ids);
    case word_pattern::cl100k: return encode_words<word_pattern::cl100k>(text, ids);
    case word_pattern::o200k: return encode_words<word_pattern::o200k>(text, ids);
    case word_pattern::tekken: return encode_words<word_pattern::tekken>(text, ids);
    case word_pattern::qwen35: return encode_words<word_pattern::qwen35>(text, ids);
    case word_pattern::starcoder: return encode_words<word_pattern::starcoder>(text, ids);
    case word_pattern::falcon: return encode_words<word_pattern::falcon>(text, ids);
    case word_pattern::deepseek_coder: return encode_words<word_pattern::deepseek_coder>(text, ids);
    case word_pattern::deepseek_llm: return encode_words<word_pattern::deepseek_llm>(text, ids);
    case word_pattern::deepseek_v3: return encode_words<word_pattern::deepseek_v3>(text, ids);
  }
}

}  // namespace tenon::engine
