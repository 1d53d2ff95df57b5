#pragma once
//  Caches, queries and tables of one cell, made where they lie. Keys, values and queries are normal of deviation 1: caches of
//  codes have the codes that quantising such numbers gives, with scales to match.
#include <tenon/kv/paged_kv.hpp>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <type_traits>
#include <typeinfo>

#include "cell.hpp"

namespace bench {

/// Codes whose numbers are normal: deviation 448 / 4 of fp8, 127 / 4 of int8, 7 / 2.5 of int4 (two in a byte).
template <class Format>
struct normal_codes {
  TENON_HD std::uint8_t operator()(std::uint32_t bits) const {
    two_normal const two(bits);
    if constexpr (std::is_same_v<Format, tenon::kv_fp8>) {
      return tenon::e4m3(two.a * 112.f).bits;
    } else if constexpr (std::is_same_v<Format, tenon::kv_int8>) {
      return static_cast<std::uint8_t>(tenon::kv_code_of<Format>(two.a * 31.75f, {tenon::f16(1.f), tenon::f16(0.f)}));
    } else {
      tenon::kv_range const as_is{tenon::f16(1.f), tenon::f16(0.f)};
      return static_cast<std::uint8_t>(tenon::kv_code_of<Format>(two.a * 2.8f, as_is) |
                                       tenon::kv_code_of<Format>(two.b * 2.8f, as_is) << 4);
    }
  }
};
/// Scales that bring such codes back to deviation 1, within a few percent, and small offsets.
template <class Format>
struct code_scales {
  TENON_HD auto operator()(std::uint32_t bits) const {
    float const near = 1.f + 0.1f * (static_cast<float>(bits >> 16) * 0x1p-16f - 0.5f);
    float const away = 0.1f * (static_cast<float>(bits & 0xffff) * 0x1p-16f - 0.5f);
    if constexpr (std::is_same_v<Format, tenon::kv_fp8>) return (void)away, near / 112.f;
    else if constexpr (std::is_same_v<Format, tenon::kv_int8>)
      return tenon::kv_range{tenon::f16(near / 31.75f), tenon::f16(away)};
    else return tenon::kv_range{tenon::f16(near / 2.8f), tenon::f16(away)};
  }
};

/// Pages of keys or values; the same memory for every cell of a group that asks for as many of one kind.
template <class E>
tenon::kv_pages<E> pages_operand(arena& memory, std::string const& what, index_t pages, index_t page_size,
                                 index_t kv_heads, index_t width, int set) {
  std::string const name = numbered(what + typeid(E).name() + std::to_string(pages) + "x" + std::to_string(page_size) +
                                        "x" + std::to_string(kv_heads) + "x" + std::to_string(width),
                                    set);
  auto const        seed = static_cast<std::uint32_t>(std::hash<std::string>{}(name));
  if constexpr (tenon::is_kv_codes<E>) {
    index_t const page = tenon::kv_page_bytes<E>(page_size, kv_heads, width);
    auto* const   at   = memory.operand<std::byte>(name, pages * page, [&](std::byte* to) {
      auto const over = tenon::kv_pages_over<E>(to, pages, page_size, kv_heads, width);
      fill_rows(over.code.data, pages, tenon::kv_code_bytes<E>(page_size, kv_heads, width), page, seed,
                    normal_codes<E>{});
      fill_rows(over.scale.data, pages, page_size * kv_heads * over.scale.extent[3], over.scale.stride[0], seed + 1,
                    code_scales<E>{});
    });
    return tenon::kv_pages_over<E>(at, pages, page_size, kv_heads, width);
  } else {
    index_t const count = pages * page_size * kv_heads * width;
    return tenon::dense(memory.operand<E>(name, count, [&](E* to) { fill(to, count, seed, normal<E>{1.f}); }), pages,
                        page_size, kv_heads, width);
  }
}

/// Rows of new tokens: queries, or keys and values that a cache is to take.
template <class E>
tenon::tensor_view<E, 3> rows_operand(arena& memory, std::string const& what, index_t tokens, index_t heads,
                                      index_t width, int set, bool drawn = true) {
  index_t const     count = tokens * heads * width;
  std::string const name =
      numbered(what + typeid(E).name() + std::to_string(tokens) + "x" + std::to_string(heads * width), set);
  auto const seed = static_cast<std::uint32_t>(std::hash<std::string>{}(name));
  return tenon::dense(memory.operand<E>(name, count,
                                        [&](E* to) {
                                          if (drawn) fill(to, count, seed, normal<E>{1.f});
                                        }),
                      tokens, heads, width);
}

template <class T>
T* list_operand(arena& memory, std::string const& name, std::vector<T> const& values) {
  return memory.operand<T>(name, static_cast<index_t>(values.size()), [&](T* to) { upload(to, values); });
}

/// Which pages requests have: those of the shared start first, the same for all; in a scattered order.
struct page_tables {
  index_t                   pages = 0, page_size = 0, max_pages = 0;
  std::vector<std::int32_t> table, query_start, kv_length;

  explicit page_tables(cell const& c) {
    index_t const longest  = *std::max_element(c.keys.begin(), c.keys.end());
    auto const    requests = static_cast<index_t>(c.keys.size());
    page_size              = c.page > 0 ? c.page : longest;
    index_t const shared   = c.page > 0 ? c.shared / page_size : 0;
    max_pages              = tenon::ceil_div(longest, page_size);
    pages                  = shared;
    for (index_t const keys : c.keys) pages += tenon::ceil_div(keys, page_size) - shared;
    std::vector<std::int32_t> order(static_cast<std::size_t>(pages));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(4));
    table.assign(static_cast<std::size_t>(requests * max_pages), 0);
    std::size_t  next  = static_cast<std::size_t>(shared);
    std::int32_t start = 0;
    query_start.push_back(0);
    for (std::size_t r = 0; r < c.keys.size(); ++r) {
      for (index_t p = 0; p < tenon::ceil_div(c.keys[r], page_size); ++p)
        table[r * static_cast<std::size_t>(max_pages) + static_cast<std::size_t>(p)] =
            p < shared ? order[static_cast<std::size_t>(p)] : order[next++];
      query_start.push_back(start += static_cast<std::int32_t>(c.queries[r]));
      kv_length.push_back(static_cast<std::int32_t>(c.keys[r]));
    }
  }
  std::string name() const {
    std::uint64_t hash = 1469598103934665603u;  // FNV-1a
    for (auto const* list : {&table, &query_start, &kv_length})
      for (std::int32_t const v : *list) hash = (hash ^ static_cast<std::uint32_t>(v)) * 1099511628211u;
    return std::to_string(hash) + "/" + std::to_string(page_size);
  }
};

/// What one call of paged_attention takes.
template <class Q, class K, class V>
struct paged_operands {
  tenon::tensor_view<Q, 3>                  o, q;
  tenon::paged_kv<K, V>                     kv;
  tenon::tensor_view<std::int32_t const, 2> block_table;
  tenon::tensor_view<std::int32_t const, 1> query_start, kv_length;
  tenon::tensor_view<float, 2>              lse;
};

template <class Q, class K, class V>
paged_operands<Q, K, V> make_paged_operands(arena& memory, cell const& c, page_tables const& t, int set) {
  index_t const           tokens = tokens_of(c), requests = static_cast<index_t>(c.keys.size());
  paged_operands<Q, K, V> made;
  made.o  = rows_operand<Q>(memory, "o", tokens, c.heads, c.head_dim, set, false);
  made.q  = rows_operand<Q>(memory, "q", tokens, c.heads, c.head_dim, set);
  made.kv = {pages_operand<K>(memory, "k", t.pages, t.page_size, c.kv_heads, c.head_dim, set),
             pages_operand<V>(memory, "v", t.pages, t.page_size, c.kv_heads, c.head_dim, set)};
  made.block_table =
      tenon::dense<std::int32_t const>(list_operand(memory, "table " + t.name(), t.table), requests, t.max_pages);
  made.query_start =
      tenon::dense<std::int32_t const>(list_operand(memory, "start " + t.name(), t.query_start), requests + 1);
  made.kv_length = tenon::dense<std::int32_t const>(list_operand(memory, "keys " + t.name(), t.kv_length), requests);
  if (c.lse)
    made.lse = tenon::dense(rows_operand<float>(memory, "lse", tokens, c.heads, 1, set, false).data, tokens, c.heads);
  return made;
}

/// Bytes and operations of a cell, and how many sets of operands make every call start cold. One is enough where its keys
/// and values alone are ten times the cache.
inline attention_call call_of(cell const& c, index_t query_bytes) {
  attention_call made;
  made.kv_bytes = kv_bytes_of(c);
  if (c.how == call_kind::append) {
    made.moved.bytes = made.kv_bytes + 2 * tokens_of(c) * (c.heads + c.kv_heads) * c.head_dim * query_bytes;
  } else {
    made.moved.bytes      = made.kv_bytes + 2 * tokens_of(c) * c.heads * c.head_dim * query_bytes;
    made.moved.operations = 4 * c.head_dim * c.heads * pairs_of(c);
  }
  made.sets = made.kv_bytes > 10 * last_level_cache() ? 1 : sets_of(made.moved.bytes);
  return made;
}

}  // namespace bench
