#include "engine/text/character_map.hpp"

#include <algorithm>

#include "engine/error.hpp"

namespace tenon::engine {
namespace {

constexpr std::size_t most_results = 32;  // of one search that count: google/sentencepiece, normalizer.h

// A unit of the array: its label (8 bits, or bit 31 for a leaf), whether a leaf follows, and the way to its children.
std::uint32_t label_of(std::uint32_t unit) { return unit & (std::uint32_t{1} << 31 | 0xFFu); }
bool          has_leaf(std::uint32_t unit) { return (unit >> 8 & 1) == 1; }
std::size_t   offset_of(std::uint32_t unit) { return std::size_t{unit >> 10} << ((unit & (1u << 9)) >> 6); }
std::size_t   value_of(std::uint32_t leaf) { return leaf & ~(std::uint32_t{1} << 31); }

}  // namespace

character_map::character_map(std::string_view blob, std::string const& subject) {
  if (blob.empty()) return;
  auto const number = [&](std::size_t at) {
    std::uint32_t v = 0;
    for (std::size_t i = 4; i-- > 0;) v = v << 8 | static_cast<unsigned char>(blob[at + i]);
    return v;
  };
  std::size_t const size = blob.size() < 4 ? 0 : number(0);
  if (blob.size() < 4 || size % 4 != 0 || size == 0 || size > blob.size() - 4)
    throw wrong(subject, "is broken",
                std::to_string(blob.size()) + " bytes with an array of " + std::to_string(size) + " bytes",
                "a length, as many bytes of units of 4, and texts");
  for (std::size_t at = 4; at < 4 + size; at += 4) units_.push_back(number(at));
  results_ = blob.substr(4 + size);
  results_ += '\0';  // the last one ends, too
  note_starts();
}

void character_map::note_starts() {
  auto const is_child = [&](std::size_t base, std::size_t byte) {
    return (base ^ byte) < units_.size() && label_of(units_[base ^ byte]) == byte;
  };
  std::size_t const root = offset_of(units_[0]);
  for (std::size_t b = 0; b < starts_.size(); ++b) {
    if (!is_child(root, b)) continue;
    starts_[b]                 = anything;
    std::uint32_t const unit   = units_[root ^ b];
    std::size_t const   behind = root ^ b ^ offset_of(unit);
    bool                alone  = has_leaf(unit);
    for (std::size_t c = 0; c < 128 && !alone; ++c) alone = is_child(behind, c);
    if (alone) starts_[b] |= by_itself;
  }
}

character_map::rule character_map::find(std::string_view text, bool first) const {
  rule found;
  if (units_.empty()) return found;
  std::size_t at = offset_of(units_[0]), results = 0;
  for (std::size_t i = 0; i < text.size() && results < most_results; ++i) {
    auto const byte = static_cast<unsigned char>(text[i]);
    at ^= byte;
    if (at >= units_.size() || label_of(units_[at]) != byte) break;
    std::uint32_t const unit = units_[at];
    at ^= offset_of(unit);
    if (!has_leaf(unit)) continue;
    if (at >= units_.size()) break;
    std::size_t const value = value_of(units_[at]);
    if (value >= results_.size()) break;
    std::string_view const rest = std::string_view(results_).substr(value);
    found                       = {i + 1, rest.substr(0, rest.find('\0'))};
    ++results;
    if (first) break;
  }
  return found;
}

}  // namespace tenon::engine
