#pragma once
//  Which pages of a block table hold nothing any more when fewer tokens are left: its tail.
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cstdint>
#include <span>

namespace tenon {

/// The pages of `table` that `held` tokens occupied and `kept` tokens at the front do not. Where heads share pages,
/// `kept` is the most that any of them has. None where kept >= held, or without a page size; entries that the table
/// lacks are not counted.
/// Test tests/kv/compact_kv_test.cpp.   Page docs/operators/compact_kv.md.
constexpr std::span<std::int32_t const> freed_pages(std::span<std::int32_t const> table, index_t held, index_t kept,
                                                    index_t page_size) {
  if (page_size < 1) return {};
  auto const    entries = static_cast<index_t>(table.size());
  auto const    pages   = [&](index_t tokens) { return min(tokens <= 0 ? 0 : (tokens - 1) / page_size + 1, entries); };
  index_t const first = pages(kept), end = max(pages(held), first);
  return table.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(end - first));
}

}  // namespace tenon
