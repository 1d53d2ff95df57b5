#pragma once
//  (left id, right id) -> merge: open addressing with linear probing, filled once, at most half full.
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/text/merge.hpp"

namespace tenon::engine {

class pair_table {
 public:
  explicit pair_table(std::size_t entries = 0) {
    std::size_t size = 16;
    while (size < 2 * entries) size *= 2;
    slots_.resize(size);
  }

  /// A pair that comes again keeps its later merge, as in huggingface/tokenizers. At most `entries` pairs fit.
  void insert(std::int32_t left, std::int32_t right, std::uint32_t rank, std::int32_t id) {
    slot& s = slots_[place(key_of(left, right))];
    s       = {key_of(left, right), rank, id};
  }

  [[nodiscard]] merge_result operator()(std::int32_t left, std::int32_t right) const {
    slot const& s = slots_[place(key_of(left, right))];
    return {s.rank, s.id};
  }

 private:
  struct slot {
    std::uint64_t key  = 0;
    std::uint32_t rank = 0;
    std::int32_t  id   = -1;  // negative: free
  };
  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) | static_cast<std::uint32_t>(right);
  }
  [[nodiscard]] std::size_t place(std::uint64_t key) const {
    std::uint64_t     h    = (key ^ (key >> 29)) * 0x9e3779b97f4a7c15u;
    std::size_t const mask = slots_.size() - 1;
    std::size_t       at   = static_cast<std::size_t>(h >> 32) & mask;
    while (slots_[at].id >= 0 && slots_[at].key != key) at = (at + 1) & mask;
    return at;
  }

  std::vector<slot> slots_;
};

}  // namespace tenon::engine
