#include "engine/text/word_encoder.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <utility>

#include "engine/text/word_starts.hpp"

namespace tenon::engine {

namespace {

constexpr std::size_t most_ids = 3;

/// Two words and what they are, in one cache line.
struct alignas(64) word_set {
  struct value {
    std::int32_t  ids[most_ids] = {};
    std::uint32_t count         = 0;
  };
  word_key keys[2]   = {};  // of length 0: no word's
  value    values[2] = {};
};

class word_cache {
 public:
  /// This thread's, emptied where it was another encoder's.
  static word_cache& of(std::uint64_t encoder) {
    thread_local word_cache own;
    if (own.encoder_ != encoder) own.encoder_ = encoder, own.sets_.assign(std::size_t{1} << sets_bits, {});
    return own;
  }

  [[nodiscard]] word_set& set_of(std::uint64_t hash) { return sets_[hash >> (64 - sets_bits)]; }
  /// In place of what came in before the last one.
  static void insert(word_set& set, word_key k, std::int32_t const* ids, std::size_t count) {
    set.keys[1] = set.keys[0], set.values[1] = set.values[0];
    set.keys[0] = k, set.values[0].count = static_cast<std::uint32_t>(count);
    std::memcpy(set.values[0].ids, ids, count * sizeof *ids);
  }

 private:
  static constexpr int sets_bits = 15;

  std::uint64_t         encoder_ = 0;
  std::vector<word_set> sets_;
};

/// Some words of a text, and room for their ids.
struct word_batch {
  static constexpr std::size_t most_words = 128, most_bytes = 2048;

  std::array<std::size_t, most_words + 64 + 1>             begins;  // the last one: where the last word ends
  std::array<word_key, most_words + 64>                    keys;
  std::array<std::uint64_t, most_words + 64>               hashes;
  std::array<std::int32_t, most_bytes + 64 + most_ids + 1> ids;
  std::size_t                                              words = 0;
};

/// Cuts words from p on, as many as there is room for but at least one. One longer than `most_bytes` comes alone.
template <word_pattern P>
std::size_t cut_words(run_scanner& runs, std::string_view text, std::size_t p, word_batch& to) {
  std::size_t const first = p;
  to.words                = 0;
  while (p < text.size() && to.words < word_batch::most_words && p - first < word_batch::most_bytes) {
    if (text.size() - p >= 64 && static_cast<signed char>(text[p]) >= 0) {
      std::uint64_t starts = detail::word_starts<P>(text.data() + p);
      auto const    words  = static_cast<std::size_t>(std::popcount(starts)) - 1;
      for (std::size_t i = 0; i <= words; starts &= starts - 1)
        to.begins[to.words + i++] = p + static_cast<std::size_t>(std::countr_zero(starts));
      to.words += words;
      p = to.begins[to.words];
      if (words > 0) continue;
    }
    std::size_t const end = detail::word_end<P>(runs, p);
    if (end - first > word_batch::most_bytes + 64 && to.words > 0) break;
    to.begins[to.words++] = p;
    p                     = end;
  }
  to.begins[to.words] = p;
  return p;
}

}  // namespace

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

template <word_pattern P>
void word_encoder::encode_words(std::string_view text, std::vector<std::int32_t>& ids) const {
  word_cache& cache = word_cache::of(number_);
  run_scanner runs(text);
  word_batch  batch;
  if (std::size_t const want = ids.size() + text.size() / 3; ids.capacity() < want)
    ids.reserve(std::max(want, 2 * ids.size()));
  for (std::size_t p = 0; p < text.size();) {
    std::size_t const first = p;
    p                       = cut_words<P>(runs, text, p, batch);
    if (p - first > word_batch::most_bytes + 64) {  // one word
      std::size_t const done = ids.size();
      ids.resize(done + p - first);
      ids.resize(done + encode_word(text.substr(first, p - first), ids.data() + done));
      continue;
    }
    for (std::size_t i = 0; i < batch.words; ++i) {
      std::size_t const begin = batch.begins[i], n = batch.begins[i + 1] - begin;
      if (n > word_key::longest) continue;
      word_key const key =
          text.size() - begin >= 16 ? word_key::of(text.data() + begin, n) : word_key::of(text.substr(begin, n));
      batch.keys[i]   = key;
      batch.hashes[i] = key.hash();
      __builtin_prefetch(&cache.set_of(batch.hashes[i]));
    }
    std::int32_t* to = batch.ids.data();
    for (std::size_t i = 0; i < batch.words; ++i) {
      std::size_t const begin = batch.begins[i], n = batch.begins[i + 1] - begin;
      if (n > word_key::longest) {
        to += encode_word(text.substr(begin, n), to);
        continue;
      }
      word_key const key    = batch.keys[i];
      word_set&      set    = cache.set_of(batch.hashes[i]);
      bool const     second = set.keys[1] == key;
      if (second | (set.keys[0] == key)) {
        word_set::value const& known = set.values[second];
        std::memcpy(to, &known, sizeof known);  // with some behind the last, that the next ones replace
        to += known.count;
      } else {
        std::size_t count = 1;
        if (std::int32_t const id = pairs_.exact(key, batch.hashes[i]); is_whole(id)) *to = id;
        else count = pairs_.encode(text.substr(begin, n), to);
        if (count <= most_ids) word_cache::insert(set, key, to, count);
        to += count;
      }
    }
    ids.insert(ids.end(), batch.ids.data(), to);
  }
}

void word_encoder::encode(word_pattern pattern, std::string_view text, std::vector<std::int32_t>& ids) const {
  switch (pattern) {
    case word_pattern::gpt2: return encode_words<word_pattern::gpt2>(text, ids);
    case word_pattern::llama3: return encode_words<word_pattern::llama3>(text, ids);
    case word_pattern::qwen2: return encode_words<word_pattern::qwen2>(text, ids);
    case word_pattern::cl100k: return encode_words<word_pattern::cl100k>(text, ids);
    case word_pattern::o200k: return encode_words<word_pattern::o200k>(text, ids);
  }
}

}  // namespace tenon::engine
