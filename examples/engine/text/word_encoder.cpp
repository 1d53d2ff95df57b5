#include "engine/text/word_encoder.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <utility>

namespace tenon::engine {

namespace {

constexpr std::size_t longest_word = 15, most_ids = 3;

/// Two numbers that no other word of up to 15 bytes has.
struct word_key {
  std::uint64_t low, high;
  friend bool   operator==(word_key, word_key) = default;
};

constexpr auto masks = [] {
  std::array<word_key, longest_word + 1> m{};
  for (std::size_t n = 0; n <= longest_word; ++n) {
    m[n].low  = n >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * n)) - 1;
    m[n].high = n <= 8 ? 0 : (std::uint64_t{1} << (8 * (n - 8))) - 1;
  }
  return m;
}();

/// Of the first n bytes at p, where 16 may be read.
word_key key_of(char const* p, std::size_t n) {
  word_key k;
  std::memcpy(&k.low, p, 8), std::memcpy(&k.high, p + 8, 8);
  return {k.low & masks[n].low, (k.high & masks[n].high) | std::uint64_t{n} << 56};
}

/// A few words whose keys share a cache line, and another with what they are.
struct alignas(64) word_set {
  static constexpr std::size_t ways = 4;
  struct value {
    std::uint32_t count         = 0;
    std::int32_t  ids[most_ids] = {};
  };
  word_key keys[ways]   = {};  // of length 0: no word's
  value    values[ways] = {};

  [[nodiscard]] value const* find(word_key k) const {
    for (std::size_t i = 0; i < ways; ++i)
      if (keys[i] == k) return &values[i];
    return nullptr;
  }
};

class word_cache {
 public:
  /// This thread's, emptied where it was another encoder's.
  static word_cache& of(std::uint64_t encoder) {
    thread_local word_cache own;
    if (own.encoder_ != encoder) own.encoder_ = encoder, own.sets_.assign(std::size_t{1} << sets_bits, {});
    return own;
  }

  [[nodiscard]] word_set& set_of(word_key k) {
    std::uint64_t const h = (k.low ^ k.high * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
    return sets_[h >> (64 - sets_bits)];
  }
  void insert(word_set& set, word_key k, std::int32_t const* ids, std::size_t count) {
    std::size_t const i = next_++ % word_set::ways;
    set.keys[i] = k, set.values[i].count = static_cast<std::uint32_t>(count);
    std::memcpy(set.values[i].ids, ids, count * sizeof *ids);
  }

 private:
  static constexpr int sets_bits = 13;

  std::uint64_t         encoder_ = 0;
  std::size_t           next_    = 0;
  std::vector<word_set> sets_;
};

}  // namespace

word_encoder::word_encoder(byte_pairs pairs, bool whole_words, std::vector<std::int32_t> apart)
    : pairs_(std::move(pairs)), whole_words_(whole_words), apart_(std::move(apart)) {
  std::sort(apart_.begin(), apart_.end());
  static std::atomic<std::uint64_t> encoders{0};
  number_ = ++encoders;
}

std::size_t word_encoder::encode_word(std::string_view word, std::int32_t* ids) const {
  if (whole_words_)
    if (std::int32_t const id = pairs_.exact(word); id >= 0 && !std::binary_search(apart_.begin(), apart_.end(), id)) {
      *ids = id;
      return 1;
    }
  return pairs_.encode(word, ids);
}

template <word_pattern P>
void word_encoder::encode_words(std::string_view text, std::vector<std::int32_t>& ids) const {
  word_cache&       cache = word_cache::of(number_);
  run_scanner       runs(text);
  std::size_t       done  = ids.size();  // ids are written in front of the vector's end, which is moved in steps
  std::size_t const close = text.size() < 16 ? 0 : text.size() - 16;  // up to here 16 bytes may be read
  for (std::size_t p = 0; p < text.size();) {
    std::size_t const end = detail::word_end<P>(runs, p), n = end - p;
    if (ids.size() - done < n + most_ids) ids.resize(done + n + most_ids + (text.size() - p) / 3);
    std::int32_t* const to = ids.data() + done;
    if (n > longest_word) {
      done += encode_word(text.substr(p, n), to);
      p = end;
      continue;
    }
    word_key key;
    if (p <= close && text.size() >= 16) {
      key = key_of(text.data() + p, n);
    } else {
      char padded[16] = {};
      std::memcpy(padded, text.data() + p, n);
      key = key_of(padded, n);
    }
    word_set& set = cache.set_of(key);
    if (word_set::value const* const known = set.find(key)) {
      std::memcpy(to, known->ids, sizeof known->ids);
      done += known->count;
    } else {
      std::size_t const count = encode_word(text.substr(p, n), to);
      if (count <= most_ids) cache.insert(set, key, to, count);
      done += count;
    }
    p = end;
  }
  ids.resize(done);
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
