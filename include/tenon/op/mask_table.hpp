#pragma once
//  Masks that read tables: prefixes, documents, bits, trees. Views are read by kernels, so they hold addresses of the
//  device; the caller keeps the tables as they are until the call has run.
#include <tenon/config.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/op/mask.hpp>

#include <cstdint>

namespace tenon {

/// A prefix that all queries of the request see, causal behind it: k < prefix[request] or k <= q. Raffel et al. 2020, "T5"
/// (prefix LM); PaliGemma.
struct prefix_lm {
  tensor_view<std::int32_t const, 1> prefix;  // (requests), keys

  static constexpr bool       same_for_all_heads = true;
  TENON_HD constexpr coverage classify(int request, int, int q_first, int q_last, int k_first, int k_last) const {
    int const before = prefix(request);
    if (k_first > q_last && k_first >= before) return coverage::empty;
    return k_last <= q_first || k_last < before ? coverage::full : coverage::partial;
  }
  TENON_HD constexpr bool     keep(int request, int, int q, int k) const { return k <= q || k < prefix(request); }
  TENON_HD constexpr key_span span(int request, int, int q_last) const {
    int const before = prefix(request);
    return {0, q_last + 1 < before ? before : q_last + 1};
  }
};

/// Keys of the query's own document: document(request, k) == document(request, q). Positions outside the view belong to no
/// document: they see nothing and are not seen. Says nothing of later keys: causal{} & it.
///
/// `ascending`: the numbers never decrease along a request (sequences packed one behind the other). Then tiles of other
/// documents are not read, and the span is found by bisection.
struct document_mask {
  tensor_view<std::int32_t const, 2> document;  // (requests, positions)
  bool                               ascending = false;

  static constexpr bool       same_for_all_heads = true;
  TENON_HD constexpr coverage classify(int request, int, int q_first, int q_last, int k_first, int k_last) const {
    if (!ascending || !inside(q_first) || !inside(q_last) || !inside(k_first) || !inside(k_last))
      return coverage::partial;
    std::int32_t const of_q = document(request, q_first), q_end = document(request, q_last);
    std::int32_t const of_k = document(request, k_first), k_end = document(request, k_last);
    if (q_end < of_k || k_end < of_q) return coverage::empty;
    return of_q == q_end && of_k == of_q && k_end == of_q ? coverage::full : coverage::partial;
  }
  TENON_HD constexpr bool keep(int request, int, int q, int k) const {
    return inside(q) && inside(k) && document(request, q) == document(request, k);
  }
  TENON_HD constexpr key_span span(int request, int q_first, int q_last) const {
    int const all = static_cast<int>(document.extent[1]);
    if (!ascending) return {0, all};
    int const from = q_first < 0 ? 0 : q_first, to = q_last < all ? q_last : all - 1;
    if (to < from) return {0, 0};
    return {first_not_below(request, document(request, from), 0),
            first_not_below(request, static_cast<std::int64_t>(document(request, to)) + 1, to)};
  }

 private:
  TENON_HD constexpr bool inside(int position) const { return position >= 0 && position < document.extent[1]; }

  /// The first position from `low` on whose document is not below `number`.
  TENON_HD constexpr int first_not_below(int request, std::int64_t number, int low) const {
    int high = static_cast<int>(document.extent[1]);
    while (low < high) {
      int const middle = low + (high - low) / 2;
      if (document(request, middle) < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
};

/// Any mask, as bits. The query at `position` has the row first_row[request] + position - first_position[request]; bit
/// i % 32 of its word i / 32 says whether it sees key first_key[request] + i. It sees every key before first_key, none behind
/// its words, and nothing at all where it has no row (position < first_position, or a row outside the view).
///
/// Without first_key (no address) bits start at key 0. With it a mask of the new tokens alone is small, however long what
/// they continue: first_key = first_position = kv_length - queries, for trees of more than 64 nodes, say.
struct bit_mask {
  tensor_view<std::uint32_t const, 2> words;           // (rows, words)
  tensor_view<std::int32_t const, 1>  first_row;       // (requests)
  tensor_view<std::int32_t const, 1>  first_position;  // (requests), of a query
  tensor_view<std::int32_t const, 1>  first_key = {};  // (requests)

  static constexpr bool       same_for_all_heads = true;
  TENON_HD constexpr coverage classify(int request, int, int q_first, int q_last, int k_first, int k_last) const {
    int const begin = start(request);
    if (k_first >= begin && k_first - begin >= bits()) return coverage::empty;
    return k_last < begin && has_row(request, q_first) && has_row(request, q_last) ? coverage::full : coverage::partial;
  }
  TENON_HD constexpr bool keep(int request, int, int q, int k) const {
    if (!has_row(request, q)) return false;
    int const bit = k - start(request);
    if (bit < 0) return true;
    return bit < bits() && (words(row(request, q), bit / 32) >> (bit % 32) & 1u) != 0;
  }
  TENON_HD constexpr key_span span(int request, int, int) const {
    index_t const end = start(request) + bits();
    return {0, end < key_span{}.last ? static_cast<int>(end) : key_span{}.last};
  }

 private:
  TENON_HD constexpr int     start(int request) const { return first_key.data ? first_key(request) : 0; }
  TENON_HD constexpr index_t bits() const { return 32 * words.extent[1]; }
  TENON_HD constexpr index_t row(int request, int q) const {
    return static_cast<index_t>(first_row(request)) + (q - first_position(request));
  }
  TENON_HD constexpr bool has_row(int request, int q) const {
    index_t const r = row(request, q);
    return q >= first_position(request) && r >= 0 && r < words.extent[0];
  }
};

/// Verification of a tree of guesses. A request's last min(queries, 64) tokens are the nodes of its tree, in the order of
/// their keys; bit j of a node's word says whether it sees node j, itself included. Nodes see every key before the tree.
/// Queries before the tree (of a request with more than 64) are causal, and their words are not read.
///
/// `sees` has a word for every token of the batch: a prompt in the same batch whose last tokens are no tree has causal words,
/// and a decode of one token the word 1. tree_words makes them. Miao et al. 2024, "SpecInfer".
struct tree_mask {
  tensor_view<std::uint64_t const, 1> sees;         // (tokens)
  tensor_view<std::int32_t const, 1>  query_start;  // (requests + 1), as paged_attention takes it
  tensor_view<std::int32_t const, 1>  kv_length;    // (requests), as paged_attention takes it

  static constexpr bool       same_for_all_heads = true;
  TENON_HD constexpr coverage classify(int request, int, int q_first, int q_last, int k_first, int k_last) const {
    int const first = first_node(request);
    if (q_last < first && k_first > q_last) return coverage::empty;
    return k_last < first && k_last <= q_first ? coverage::full : coverage::partial;
  }
  TENON_HD constexpr bool keep(int request, int, int q, int k) const {
    int const first = first_node(request), node = k - first;
    if (q < first) return k <= q;
    if (node < 0) return true;
    return k < kv_length(request) && (sees(query_start(request + 1) - (kv_length(request) - q)) >> node & 1u) != 0;
  }
  TENON_HD constexpr key_span span(int request, int, int q_last) const {
    return {0, q_last < first_node(request) ? q_last + 1 : kv_length(request)};
  }

 private:
  TENON_HD constexpr int first_node(int request) const {
    int const queries = query_start(request + 1) - query_start(request);
    return kv_length(request) - (queries < 64 ? queries : 64);
  }
};

/// The words of one tree of at most 64 nodes, on the host: node j sees itself and its ancestors. parent[j] < j, or -1 where
/// node j follows the text before the tree. A chain (parent[j] = j - 1) is causal.
constexpr void tree_words(std::int32_t const* parent, int nodes, std::uint64_t* sees) {
  for (int j = 0; j < nodes; ++j)
    sees[j] = (std::uint64_t{1} << j) | (parent[j] >= 0 && parent[j] < j ? sees[parent[j]] : 0);
}

static_assert(attention_mask<prefix_lm> && attention_mask<document_mask>);
static_assert(attention_mask<bit_mask> && attention_mask<tree_mask>);

}  // namespace tenon
