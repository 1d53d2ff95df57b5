#pragma once
//  Where runs of letters, numbers, spaces and of everything else end in a text.
//
//  ASCII goes 64 bytes at a time through masks (ascii_masks.hpp), longer characters one by one through Unicode's
//  classes.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "engine/text/ascii_masks.hpp"
#include "engine/text/unicode_classes.hpp"

namespace tenon::engine {

struct character {
  unsigned    bits;    // unicode_class
  std::size_t length;  // bytes
  char32_t    code;
};

/// Over valid UTF-8 that outlives it.
class run_scanner {
 public:
  explicit run_scanner(std::string_view text) : text_(text) {}

  [[nodiscard]] std::size_t      size() const { return text_.size(); }
  [[nodiscard]] char             byte(std::size_t p) const { return text_[p]; }
  [[nodiscard]] std::string_view from(std::size_t p) const { return text_.substr(p); }

  [[nodiscard]] character at(std::size_t p) const {
    auto const first = static_cast<unsigned char>(text_[p]);
    return first < 0x80 ? character{ascii_classes[first], 1, first} : longer(p);
  }

  template <bool OrMarks = false>
  [[nodiscard]] std::size_t letters_end(std::size_t p) {
    return run(
        p, [](ascii_masks const& m) { return m.letter; },
        [](unsigned bits) { return (bits & (OrMarks ? is_letter | is_mark : is_letter)) != 0; });
  }
  [[nodiscard]] std::size_t numbers_end(std::size_t p) {
    return run(
        p, [](ascii_masks const& m) { return m.digit; }, [](unsigned bits) { return (bits & is_number) != 0; });
  }
  [[nodiscard]] std::size_t spaces_end(std::size_t p) {
    return run(
        p, [](ascii_masks const& m) { return m.space; }, [](unsigned bits) { return (bits & is_space) != 0; });
  }
  /// Neither letters, numbers nor spaces.
  template <bool NorMarks = false>
  [[nodiscard]] std::size_t others_end(std::size_t p) {
    return run(
        p, [](ascii_masks const& m) { return ~(m.letter | m.digit | m.space | m.high); },
        [](unsigned bits) { return (bits & (is_letter | is_number | is_space | (NorMarks ? is_mark : 0))) == 0; });
  }
  [[nodiscard]] std::size_t upper_side_end(std::size_t p) {
    return run(
        p, [](ascii_masks const& m) { return m.letter & ~m.lower; },
        [](unsigned bits) { return (bits & is_upper_side) != 0; });
  }
  [[nodiscard]] std::size_t lower_side_end(std::size_t p) {
    return run(
        p, [](ascii_masks const& m) { return m.lower; }, [](unsigned bits) { return (bits & is_lower_side) != 0; });
  }

 private:
  static constexpr unsigned cjk = is_letter | is_upper_side | is_lower_side;  // the class of U+4E00 to U+9FFF

  [[nodiscard]] character longer(std::size_t p) const {
    auto const  b    = [&](std::size_t i) { return static_cast<unsigned char>(text_[p + i]); };
    char32_t    code = b(0);
    std::size_t n    = 2;
    if (code >= 0xF0) n = 4, code = (code & 7) << 18 | (b(1) & 63u) << 12 | (b(2) & 63u) << 6 | (b(3) & 63u);
    else if (code >= 0xE0) n = 3, code = (code & 15) << 12 | (b(1) & 63u) << 6 | (b(2) & 63u);
    else code = (code & 31) << 6 | (b(1) & 63u);
    if (code - 0x4E00 < 0x5200) return {cjk, n, code};  // without its table
    return {unicode_class_of(code), n, code};
  }

  template <class Ascii, class Wide>
  std::size_t run(std::size_t p, Ascii const& ascii, Wide const& wide) {
    while (p < text_.size()) {
      if (p - base_ >= 64) load(p);  // in front of the window, too: then the difference is huge
      std::uint64_t const stops = ~ascii(masks_) >> (p - base_);
      if (stops == 0) {
        p = base_ + 64;
        continue;
      }
      p += static_cast<std::size_t>(std::countr_zero(stops));
      if (p >= text_.size()) break;
      if (static_cast<unsigned char>(text_[p]) < 0x80) return p;
      do {
        if (auto const b = [&](std::size_t k) { return unsigned{static_cast<unsigned char>(text_[k])}; };
            wide(cjk) && (b(p) << 8 | b(p + 1)) - 0xE4B8u <= 0xE9BFu - 0xE4B8u) {  // U+4E00 to U+9FFF
          p += 3;
          continue;
        }
        character const c = at(p);
        if (!wide(c.bits)) return p;
        p += c.length;
      } while (p < text_.size() && static_cast<unsigned char>(text_[p]) >= 0x80);
    }
    return text_.size();
  }

  void load(std::size_t p) {
    base_ = p;
    if (text_.size() - p >= 64) {
      masks_ = classify_ascii(text_.data() + p);
      return;
    }
    char padded[64] = {};
    std::memcpy(padded, text_.data() + p, text_.size() - p);
    masks_ = classify_ascii(padded);
  }

  std::string_view text_;
  std::size_t      base_ = static_cast<std::size_t>(0) - 64;  // of the window
  ascii_masks      masks_;
};

}  // namespace tenon::engine
