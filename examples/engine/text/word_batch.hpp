#pragma once
//  Some words of a text, whose places in the cache are on their way from far memory; and room for their ids.
//
//  First all words are cut and their places asked for, then the long ones are looked up: what the cache has of them is
//  asked for, the others are cut into parts where no token holds two characters together (char_seams.hpp), which are
//  short words again. Part of word_encoder.cpp. Test: tests/engine/text/word_encoder_test.cpp
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/text/char_seams.hpp"
#include "engine/text/word_cache.hpp"
#include "engine/text/word_starts.hpp"

namespace tenon::engine {

class word_batch {
 public:
  static constexpr std::size_t most_words = 128, most_bytes = 2048, window = 64;

  struct word {                 // without initial values: there are many
    std::uint64_t low, high;    // its key; `high` is 0 for those that have none: then `low` is the number of a long one
    word_set*     set;          // where the cache would have it
    std::uint32_t begin, size;  // bytes, from the batch's first one
  };
  struct long_word {
    std::uint64_t hash;
    std::uint32_t place;  // long_words::find
    std::uint8_t  word;   // which of all
    std::uint16_t first_part, behind_part;
  };

  word_batch(std::string_view text, word_cache& cache, char_seams const& seams)
      : text_(text), cache_(cache), seams_(seams) {}

  /// From p on as many as there is room for but at least one; returns where they end. One that is longer comes alone,
  /// and is not among the words.
  template <word_pattern P>
  std::size_t cut(run_scanner& runs, std::size_t p) {
    first_ = p, words_size_ = longs_size_ = parts_size_ = 0;
    while (p < text_.size() && words_size_ < most_words && p - first_ < most_bytes) {
      if (detail::has_word_starts<P> && text_.size() - p >= window + inside && detail::begins_window(text_[p])) {
        std::size_t const before   = p;
        auto const [starts, ascii] = detail::word_starts<P>(text_.data() + p);
        if (ascii) p = add_all(p, starts, [](std::size_t) { return word_key::longest; });
        else p = add_all(p, starts, [this](std::size_t end) { return short_until(end); });
        if (p > before) continue;
      }
      std::size_t const end = detail::word_end<P>(runs, p);
      if (end - first_ > most_bytes + window) {
        if (words_size_ == 0) p = end;
        break;
      }
      word& w = words_[words_size_++];
      if (text_.size() - p >= inside) add(w, p, end, short_until(end));
      else set_last(w, p, end);
      p = end;
    }
    cache_.longer.make_room(8 * (most_bytes + window));
    for (std::size_t i = 0; i < longs_size_; ++i) look_up(longs_[i]);
    return p;
  }

  [[nodiscard]] std::span<word const> words() const { return {words_.data(), words_size_}; }
  [[nodiscard]] long_word const&      long_of(word const& w) const { return longs_[w.low]; }
  /// Of one that the cache lacks.
  [[nodiscard]] std::span<word const> parts_of(long_word const& l) const {
    return {parts_.data() + l.first_part, parts_.data() + l.behind_part};
  }
  [[nodiscard]] std::string_view bytes(word const& w) const { return text_.substr(first_ + w.begin, w.size); }
  [[nodiscard]] std::int32_t*    ids() { return ids_.data(); }

 private:
  // So many bytes may be read of a word that is not among the text's last ones.
  static constexpr std::size_t inside    = 16;
  static constexpr std::size_t room      = most_words + window;
  static constexpr std::size_t part_room = (most_bytes + window) / 3 + room;

  /// What has more bytes, and ends there, has more tokens than a set holds, as a rule.
  [[nodiscard]] std::size_t short_until(std::size_t end) const {
    if (static_cast<unsigned char>(text_[end - 1]) < 0x80) return word_key::longest;
    return end >= 3 && char_seams::is_lead(text_[end - 3]) ? 4 : 8;
  }
  /// What begins at `starts`, up to the last of them, which is returned.
  template <class ShortUntil>
  std::size_t add_all(std::size_t p, std::uint64_t starts, ShortUntil const& most) {
    std::size_t const base = p;
    word*             w    = words_.data() + words_size_;
    for (starts &= starts - 1; starts != 0; starts &= starts - 1) {
      std::size_t const end = base + static_cast<unsigned>(std::countr_zero(starts));
      add(*w++, p, end, most(end)), p = end;
    }
    words_size_ = static_cast<std::size_t>(w - words_.data());
    return p;
  }
  /// One of more than `most` bytes is a long one.
  [[gnu::always_inline]] void add(word& w, std::size_t begin, std::size_t end, std::size_t most) {
    if (end - begin <= most) return set(w, begin, end, word_key::of(text_.data() + begin, end - begin));
    place(w, begin, end);
    long_word& l = longs_[longs_size_];
    l.hash       = long_words::hash_of(text_.data() + begin, end - begin);
    l.word       = static_cast<std::uint8_t>(&w - words_.data());
    w.low = longs_size_++, w.high = 0;
    cache_.longer.prefetch(l.hash);
  }
  void place(word& w, std::size_t begin, std::size_t end) {
    w.begin = static_cast<std::uint32_t>(begin - first_), w.size = static_cast<std::uint32_t>(end - begin);
  }
  void set(word& w, std::size_t begin, std::size_t end, word_key key) {
    place(w, begin, end);
    w.low = key.low, w.high = key.high, w.set = cache_.set_of(key.hash());
    __builtin_prefetch(w.set);
  }
  /// Of at most 15 bytes.
  void set_last(word& w, std::size_t begin, std::size_t end) {
    set(w, begin, end, word_key::of(text_.substr(begin, end - begin)));
  }

  void look_up(long_word& l) {
    word const& w = words_[l.word];
    l.place       = cache_.longer.find(l.hash);
    if (l.place != long_words::absent) return cache_.longer.prefetch_at(l.place);
    l.first_part          = static_cast<std::uint16_t>(parts_size_);
    std::size_t       p   = first_ + w.begin;
    std::size_t const end = p + w.size;
    for (std::size_t i = p; i + 6 <= end;) {
      bool const        lead = char_seams::is_lead(text_[i]);
      std::size_t const next = i + (lead ? 3 : 1);
      if (lead && char_seams::is_lead(text_[next]) && !seams_.joined(text_.data() + i)) add_part(p, next), p = next;
      i = next;
    }
    add_part(p, end);
    l.behind_part = static_cast<std::uint16_t>(parts_size_);
  }
  void add_part(std::size_t begin, std::size_t end) {
    word& w = parts_[parts_size_++];
    if (end - begin > word_key::longest) place(w, begin, end), w.high = 0;
    else if (text_.size() - begin < inside) set_last(w, begin, end);
    else set(w, begin, end, word_key::of(text_.data() + begin, end - begin));
  }

  std::string_view                                                 text_;
  word_cache&                                                      cache_;
  char_seams const&                                                seams_;
  std::size_t                                                      first_      = 0;  // byte of the text
  std::size_t                                                      words_size_ = 0, longs_size_ = 0, parts_size_ = 0;
  std::array<word, room>                                           words_;
  std::array<word, part_room>                                      parts_;
  std::array<long_word, room>                                      longs_;
  std::array<std::int32_t, most_bytes + window + long_words::room> ids_;
};

}  // namespace tenon::engine
