#include "engine/text/word_encoder.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <utility>

#include "engine/text/large_vector.hpp"
#include "engine/text/word_starts.hpp"

namespace tenon::engine {

/// Two words and what they are, in one cache line.
struct alignas(64) word_encoder::word_set {
  static constexpr std::size_t most_ids = 4;
  static constexpr int         id_count = 60;  // the bit of a key's `high` above which it is kept how many there are

  word_key     keys[2]          = {};  // of length 0: no word's
  std::int32_t ids[2][most_ids] = {};

  /// In place of what came in before the last one.
  void insert(word_key k, std::int32_t const* first, std::size_t count) {
    keys[1] = keys[0], std::memcpy(ids[1], ids[0], sizeof ids[0]);
    keys[0] = {k.low, k.high | std::uint64_t{count} << id_count};
    std::memcpy(ids[0], first, count * sizeof *first);
  }
};

namespace {

using word_set = word_encoder::word_set;

/// A word that is long or many tokens.
struct long_word {
  static constexpr std::size_t most_bytes = 48, most_ids = 16;

  char         bytes[most_bytes];
  std::uint8_t size = 0, count = 0;  // size 0: no word
  std::int32_t ids[most_ids];
};

class word_cache {
 public:
  /// This thread's, emptied where it was another encoder's.
  static word_cache& of(std::uint64_t encoder) {
    thread_local word_cache own;
    if (own.encoder_ != encoder) own.reset(encoder);
    return own;
  }

  [[nodiscard]] word_set* sets() { return sets_.data(); }
  static std::size_t      place_of(std::uint64_t hash) { return hash >> (64 - sets_bits); }
  /// Where a word of at most `long_word::most_bytes` would be.
  [[nodiscard]] long_word& place_of_long(std::string_view word) {
    std::uint64_t h = word.size();
    for (; !word.empty(); word.remove_prefix(std::min<std::size_t>(8, word.size()))) {
      std::uint64_t eight = 0;
      std::memcpy(&eight, word.data(), std::min<std::size_t>(8, word.size()));
      h = (h ^ eight) * 0xff51afd7ed558ccdu, h ^= h >> 32;
    }
    return long_[(h * 0x9e3779b97f4a7c15u) >> (64 - long_bits)];
  }

 private:
  static constexpr int sets_bits = 15, long_bits = 10;

  void reset(std::uint64_t encoder) {
    encoder_ = encoder;
    sets_.assign(std::size_t{1} << sets_bits, {});
    long_.assign(std::size_t{1} << long_bits, {});
  }

  std::uint64_t          encoder_ = 0;
  large_vector<word_set> sets_;
  std::vector<long_word> long_;
};

/// Some words of a text, or parts of words, whose places in the cache are on their way from far memory; and room for their ids.
class word_batch {
 public:
  static constexpr std::size_t most_words = 128, most_bytes = 2048;

  struct word {               // without initial values: there are many
    std::uint64_t low, high;  // its key; `high` is 0 for words of more than 15 bytes
    word_set*     set;        // where the cache would have it
    std::uint64_t begin;      // twice, and 1 for a part
  };

  word_batch(std::string_view text, word_cache& cache) : text_(text), sets_(cache.sets()) {}

  /// From p on as many as there is room for but at least one; returns where they end. One longer than `most_bytes` comes alone.
  template <word_pattern P>
  std::size_t cut(run_scanner& runs, std::size_t p, char_seams const& seams) {
    std::size_t const first = p;
    size_                   = 0;
    while (p < text_.size() && size_ < most_words && p - first < most_bytes) {
      if (detail::has_word_starts<P> && text_.size() - p >= window + 16 && static_cast<signed char>(text_[p]) >= 0) {
        std::size_t const base = p;
        for (std::uint64_t starts = detail::word_starts<P>(text_.data() + p) & ~std::uint64_t{1}; starts != 0;
             starts &= starts - 1) {
          std::size_t const end = base + static_cast<unsigned>(std::countr_zero(starts));
          add(p, end, false, true), p = end;
        }
        if (p > base) continue;
      }
      std::size_t const end = detail::word_end<P>(runs, p);
      if (end - first > most_bytes + window) {
        if (size_ == 0) add(p, end, false, false), p = end;
        break;
      }
      std::size_t const begin = p;
      for (std::size_t i = p; i + 6 <= end;) {
        bool const        lead = char_seams::is_lead(text_[i]);
        std::size_t const next = i + (lead ? 3 : 1);
        if (lead && char_seams::is_lead(text_[next]) && !seams.joined(text_.data() + i))
          add(p, next, true, text_.size() - p >= 16), p = next;
        i = next;
      }
      add(p, end, p > begin, text_.size() - p >= 16), p = end;
    }
    words_[size_].begin = 2 * p;
    return p;
  }

  [[nodiscard]] std::size_t      size() const { return size_; }
  [[nodiscard]] word const&      at(std::size_t i) const { return words_[i]; }
  [[nodiscard]] bool             is_part(std::size_t i) const { return (words_[i].begin & 1) != 0; }
  [[nodiscard]] std::string_view bytes(std::size_t i) const {
    std::size_t const begin = words_[i].begin / 2;
    return text_.substr(begin, words_[i + 1].begin / 2 - begin);
  }
  [[nodiscard]] std::int32_t* ids() { return ids_.data(); }

 private:
  static constexpr std::size_t window = 64, room = most_words + (most_bytes + window) / 3 + window;

  /// `inside`: 16 bytes may be read.
  void add(std::size_t begin, std::size_t end, bool part, bool inside) {
    word& w = words_[size_++];
    w.begin = 2 * begin + (part ? 1 : 0);
    if (end - begin > word_key::longest) {
      w.high = 0;
      return;
    }
    word_key const key =
        inside ? word_key::of(text_.data() + begin, end - begin) : word_key::of(text_.substr(begin, end - begin));
    w.low = key.low, w.high = key.high, w.set = sets_ + word_cache::place_of(key.hash());
    __builtin_prefetch(w.set);
  }

  std::string_view                                                   text_;
  word_set*                                                          sets_;
  std::size_t                                                        size_ = 0;
  std::array<word, room + 1>                                         words_;  // and where the last one ends
  std::array<std::int32_t, most_bytes + window + word_set::most_ids> ids_;
};

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

/// A word of more than 15 bytes, or one of fewer that is no token.
std::size_t word_encoder::encode_long(std::string_view word, std::int32_t* to) const {
  if (word.size() > long_word::most_bytes) return encode_word(word, to);
  long_word& known = word_cache::of(number_).place_of_long(word);
  if (known.size == word.size() && std::memcmp(known.bytes, word.data(), word.size()) == 0) {
    std::memcpy(to, known.ids, known.count * sizeof *to);
    return known.count;
  }
  std::size_t const count = encode_word(word, to);
  if (count <= long_word::most_ids && (count > word_set::most_ids || word.size() > word_key::longest)) {
    known.size = static_cast<std::uint8_t>(word.size()), known.count = static_cast<std::uint8_t>(count);
    std::memcpy(known.bytes, word.data(), word.size()), std::memcpy(known.ids, to, count * sizeof *to);
  }
  return count;
}

/// A word that the cache lacks.
std::size_t word_encoder::encode_new(std::string_view word, bool part, word_set& set, std::int32_t* to) const {
  word_key const     key   = word_key::of(word);
  std::size_t        count = 1;
  std::int32_t const id    = pairs_.exact(key, key.hash());
  bool const         made  = id >= 0 && pairs_.made(id);
  if (made || (is_whole(id) && !part)) *to = id;
  else count = part ? pairs_.encode(word, to) : encode_long(word, to);
  // What is a token only as a whole word is another thing as a part.
  if (count <= word_set::most_ids && (made || !is_whole(id))) set.insert(key, to, count);
  return count;
}

template <word_pattern P>
void word_encoder::encode_words(std::string_view text, std::vector<std::int32_t>& ids) const {
  word_batch  batch(text, word_cache::of(number_));
  run_scanner runs(text);
  if (std::size_t const want = ids.size() + text.size() / 3; ids.capacity() < want)
    ids.reserve(std::max(want, 2 * ids.size()));
  for (std::size_t p = 0; p < text.size();) {
    p = batch.cut<P>(runs, p, pairs_.seams());
    if (std::string_view const word = batch.bytes(0); word.size() > word_batch::most_bytes) {
      std::size_t const done = ids.size();
      ids.resize(done + word.size());
      ids.resize(done + encode_word(word, ids.data() + done));
      continue;
    }
    std::int32_t* to = batch.ids();
    for (std::size_t i = 0, count = batch.size(); i < count; ++i) {
      word_batch::word const& word = batch.at(i);
      std::uint64_t const     low = word.low, high = word.high;
      if (high == 0) {
        to += batch.is_part(i) ? pairs_.encode(batch.bytes(i), to) : encode_long(batch.bytes(i), to);
        continue;
      }
      word_set& set = *word.set;
      // 0: it is this one
      std::uint64_t const first  = (set.keys[0].low ^ low) | (set.keys[0].high ^ high) << (64 - word_set::id_count);
      std::uint64_t const second = (set.keys[1].low ^ low) | (set.keys[1].high ^ high) << (64 - word_set::id_count);
      if (std::min(first, second) == 0) {
        std::size_t const which = (first | -first) >> 63;  // without a branch, which nothing could predict
        std::memcpy(to, set.ids[which],
                    sizeof set.ids[which]);  // with some behind the last, that the next ones replace
        to += set.keys[which].high >> word_set::id_count;
      } else {
        to += encode_new(batch.bytes(i), batch.is_part(i), set, to);
      }
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
    case word_pattern::starcoder: return encode_words<word_pattern::starcoder>(text, ids);
    case word_pattern::falcon: return encode_words<word_pattern::falcon>(text, ids);
    case word_pattern::deepseek_coder: return encode_words<word_pattern::deepseek_coder>(text, ids);
    case word_pattern::deepseek_llm: return encode_words<word_pattern::deepseek_llm>(text, ids);
    case word_pattern::deepseek_v3: return encode_words<word_pattern::deepseek_v3>(text, ids);
  }
}

}  // namespace tenon::engine
