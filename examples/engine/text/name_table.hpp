#pragma once
//  Texts by the order in which they came, and back: one buffer for all of them, and open addressing over it.
//
//  Made for vocabularies on their way in, where a std::string and a node for each would take most of the time.
//  Test: tests/engine/text/name_table_test.cpp
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/large_vector.hpp"

namespace tenon::engine {

/// Fewer than 2^31 texts of less than 4 GiB in all.
class text_list {
 public:
  void add(std::string_view text) {
    bytes_ += text;
    ends_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  }
  [[nodiscard]] std::size_t      size() const { return ends_.size() - 1; }
  [[nodiscard]] std::string_view operator[](std::size_t i) const { return range(i, i + 1); }
  /// The texts of [first, last) as one.
  [[nodiscard]] std::string_view range(std::size_t first, std::size_t last) const {
    return {bytes_.data() + ends_[first], ends_[last] - ends_[first]};
  }

 private:
  std::string                 bytes_;
  large_vector<std::uint32_t> ends_ = large_vector<std::uint32_t>(1);
};

class name_table {
 public:
  /// A name with its hash, for `find` some time after `prefetch`.
  struct key {
    std::string_view name;
    std::uint64_t    hash;
  };
  [[nodiscard]] static key key_of(std::string_view name) { return {name, std::hash<std::string_view>{}(name)}; }

  [[nodiscard]] std::size_t      size() const { return names_.size(); }
  [[nodiscard]] std::string_view operator[](std::size_t i) const { return names_[i]; }

  /// The next one. Returns the place of an equal one that it hides from `find`; -1: there is none.
  std::int32_t add(std::string_view name) {
    if (2 * (size() + 1) > slots_.size()) grow();
    key const          k      = key_of(name);
    slot&              s      = slots_[place_of(k)];
    std::int32_t const before = s.index;
    s                         = {tag_of(k.hash), static_cast<std::int32_t>(size())};
    names_.add(name);
    return before;
  }

  /// The place of the last one of this name; -1: none.
  [[nodiscard]] std::int32_t find(std::string_view name) const { return find(key_of(name)); }
  [[nodiscard]] std::int32_t find(key const& k) const { return slots_[place_of(k)].index; }
  void                       prefetch(key const& k) const { __builtin_prefetch(&slots_[k.hash & (slots_.size() - 1)]); }

 private:
  struct slot {
    std::uint32_t tag   = 0;
    std::int32_t  index = -1;  // -1: free
  };
  static std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

  [[nodiscard]] std::size_t place_of(key const& k) const {
    std::size_t const mask = slots_.size() - 1;
    std::size_t       at   = k.hash & mask;
    for (; slots_[at].index >= 0; at = (at + 1) & mask)
      if (slots_[at].tag == tag_of(k.hash) && names_[static_cast<std::size_t>(slots_[at].index)] == k.name) break;
    return at;
  }
  void grow() {
    slots_.assign(4 * slots_.size(), {});
    for (std::size_t i = 0; i < size(); ++i) {
      key const k         = key_of(names_[i]);
      slots_[place_of(k)] = {tag_of(k.hash), static_cast<std::int32_t>(i)};
    }
  }

  text_list          names_;
  large_vector<slot> slots_ = large_vector<slot>(1024);
};

}  // namespace tenon::engine
