#pragma once
//  What each token adds to a text, for decoding: 16 bytes per token, copied whole, of which the last says how many count.
//
//  Longer ones lie apart. Test: tests/engine/text/piece_table_test.cpp
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/large_vector.hpp"

namespace tenon::engine {

class piece_table {
 public:
  void reserve(std::size_t ids) { slots_.reserve(ids); }
  /// The piece of the next id.
  void add(std::string_view bytes) {
    slot s;
    if (bytes.size() < sizeof s.bytes) {
      if (!bytes.empty()) std::memcpy(s.bytes, bytes.data(), bytes.size());
      s.bytes[15] = static_cast<char>(bytes.size());
    } else {
      auto const index = static_cast<std::uint32_t>(long_.size());
      std::memcpy(s.bytes, &index, sizeof index);
      s.bytes[15] = apart;
      long_.emplace_back(bytes);
    }
    slots_.push_back(s);
  }

  /// Appends the pieces of all ids; one that no piece was added for has none.
  void append(std::span<std::int32_t const> ids, std::string& to) const {
    char        some[4096];
    std::size_t size  = 0;
    auto const  flush = [&] { to.append(some, size), size = 0; };
    to.reserve(to.size() + 4 * ids.size());
    for (std::int32_t const id : ids) {
      if (static_cast<std::size_t>(id) >= slots_.size()) continue;  // negative ones, too
      slot const& s = slots_[static_cast<std::size_t>(id)];
      if (s.bytes[15] == apart) {
        std::uint32_t index = 0;
        std::memcpy(&index, s.bytes, sizeof index);
        flush();
        to += long_[index];
        continue;
      }
      std::memcpy(some + size, s.bytes, sizeof s.bytes);
      size += static_cast<std::size_t>(s.bytes[15]);
      if (size > sizeof some - sizeof s.bytes) flush();
    }
    flush();
  }

 private:
  static constexpr char apart = 16;  // its first bytes are an index into long_

  struct slot {
    char bytes[16] = {};
  };
  large_vector<slot>       slots_;
  std::vector<std::string> long_;
};

}  // namespace tenon::engine
