#pragma once
//  Copies between pages of a cache, as those who manage pages hand them to those who own the device's memory.
#include <tenon/kv/block_pool.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace tenon {

/// The first `tokens` tokens of page `from` into page `to`, in every layer: before one owner of a page that others own, too,
/// writes to it (copy on write), and where a request shares the first part of a cached page. One row of copy_pages' list.
struct block_copy {
  block_id     from   = no_block;
  block_id     to     = no_block;
  std::int32_t tokens = 0;

  friend constexpr bool operator==(block_copy const&, block_copy const&) = default;
};

/// How many of `copies`, from the first on, may be made in any order, or at once: none of them writes a page that another
/// reads or writes. At least one of a list that is not empty. For lists of a step: the square of the answer.
inline std::size_t independent_copies(std::span<block_copy const> copies) {
  for (std::size_t n = 0; n < copies.size(); ++n)
    for (block_copy const& before : copies.first(n))
      if (copies[n].to == before.to || copies[n].to == before.from || copies[n].from == before.to) return n;
  return copies.size();
}

}  // namespace tenon
