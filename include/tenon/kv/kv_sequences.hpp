#pragma once
//  Where the tokens of several sequences lie, when every kv head may have pages, and a length, of its own.
//
//  Token t of kv head h of a request lies in page block_table(request, h, t / page_size), at place t % page_size. Heads
//  that share their pages and lengths have strides of 0 there: one_table_for_all_heads. Pages that hold one head each
//  are the view (pages, page_size, kv_heads, head_dim) with a stride of 0 for kv_heads: pages_of_one_head.
#include <tenon/core/contract.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_format.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cstdint>

namespace tenon {

struct kv_sequences {
  tensor_view<std::int32_t const, 3> block_table;  // (requests, kv_heads, max_pages)
  tensor_view<std::int32_t const, 2> length;       // (requests, kv_heads): tokens
};

/// Tables (requests, max_pages) and lengths (requests), as paged_attention takes them, for kv_heads heads.
constexpr kv_sequences one_table_for_all_heads(tensor_view<std::int32_t const, 2> table,
                                               tensor_view<std::int32_t const, 1> length, index_t kv_heads) {
  return {{table.data, {table.extent[0], kv_heads, table.extent[1]}, {table.stride[0], 0, table.stride[1]}},
          {length.data, {length.extent[0], kv_heads}, {length.stride[0], 0}}};
}

/// Pages that hold one head each, (pages, page_size, 1, width), as pages in which each of kv_heads heads finds its own.
template <class E>
constexpr tensor_view<E, 4> pages_of_one_head(tensor_view<E, 4> pages, index_t kv_heads) {
  pages.extent[2] = kv_heads, pages.stride[2] = 0;
  return pages;
}
template <kv_codes Format>
constexpr kv_code_pages<Format> pages_of_one_head(kv_code_pages<Format> const& pages, index_t kv_heads) {
  return {pages_of_one_head(pages.code, kv_heads), pages_of_one_head(pages.scale, kv_heads)};
}

/// Column d of a request's token, as a float.
template <class Pages>
constexpr float kv_value(Pages const& pages, kv_sequences const& sequences, index_t request, index_t head,
                         index_t token, index_t d) {
  index_t const page_size = kv_places(pages).extent[1];
  return kv_value(pages, sequences.block_table(request, head, token / page_size), token % page_size, head, d);
}

/// The shapes of `sequences`, whose heads are the cache's.
constexpr contract& check_sequences(contract& check, kv_sequences const& sequences, extent& requests, extent& kv_heads,
                                    extent& max_pages) {
  return check.shape(sequences.block_table, requests, kv_heads, max_pages).shape(sequences.length, requests, kv_heads);
}

}  // namespace tenon
