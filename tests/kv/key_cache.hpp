#pragma once
//  Keys of several sequences in pages of any format, in the operator's memory and on the host.
#include <tenon/kv/kv_append_ref.hpp>
#include <tenon/kv/kv_sequences.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "index_table.hpp"
#include "kv_memory.hpp"

namespace test {

struct cache_shape {
  index_t page_size, kv_heads, head_dim;
  bool    own_pages = false;  // each head has pages, and a length, of its own
};

/// Normal keys; tokens that no sequence has are NaN where numbers can be.
template <class E>
struct key_cache {
  cache_shape               shape;
  index_t                   requests, max_pages;
  std::vector<std::int32_t> lengths;  // (requests, kv_heads)
  index_table<3>            table;
  index_table<2>            length;
  kv_shape                  pages;
  std::vector<std::uint8_t> host;
  tensor<std::uint8_t, 1>   device;

  key_cache(cache_shape const& s, std::vector<std::int32_t> const& tokens, std::uint64_t seed)
      : shape(s),
        requests(std::ssize(tokens)),
        max_pages((*std::max_element(tokens.begin(), tokens.end()) + s.page_size - 1) / s.page_size + 1),
        lengths(lengths_of(s, tokens)),
        table(shuffled(requests * table_heads() * max_pages, seed), requests, table_heads(), max_pages),
        length(lengths, requests, s.kv_heads),
        pages{requests * table_heads() * max_pages, s.page_size, s.own_pages ? 1 : s.kv_heads, s.head_dim},
        host(std::size_t(kv_bytes<E>(pages)), 0xff),
        device(kv_bytes<E>(pages)) {
    std::mt19937_64            random(seed + 1);
    std::normal_distribution<> normal(0.2, 1);
    auto const                 at = over_heads(kv_over<E>(host.data(), pages));
    auto const                 of = sequences_at(table.at, length.at);
    for (index_t r = 0; r < requests; ++r)
      for (index_t h = 0; h < s.kv_heads; ++h)
        for (index_t t = 0; t < of.length(r, h); ++t) {
          std::vector<float> row(std::size_t(s.head_dim));
          for (float& v : row) v = float(normal(random));
          tenon::ref::store_kv_row(at, of.block_table(r, h, t / s.page_size), t % s.page_size, h,
                                   [&](index_t d) { return row[std::size_t(d)]; });
        }
    device.assign(host);
  }

  index_t            table_heads() const { return shape.own_pages ? shape.kv_heads : 1; }
  tenon::kv_pages<E> over_heads(tenon::kv_pages<E> const& view) const {
    return shape.own_pages ? tenon::pages_of_one_head(view, shape.kv_heads) : view;
  }
  tenon::kv_pages<E>  reference() { return over_heads(kv_over<E>(host.data(), pages)); }
  tenon::kv_pages<E>  view() { return over_heads(kv_over<E>(device.view().data, pages)); }
  tenon::kv_sequences reference_sequences() const { return sequences_at(table.at, length.at); }
  tenon::kv_sequences sequences() const { return sequences_at(table.view(), length.view()); }
  index_t             max_tokens() const { return max_pages * shape.page_size; }

 private:
  static std::vector<std::int32_t> lengths_of(cache_shape const& s, std::vector<std::int32_t> const& tokens) {
    std::vector<std::int32_t> all;
    for (auto const n : tokens)
      for (index_t h = 0; h < s.kv_heads; ++h) all.push_back(s.own_pages ? std::max(n - std::int32_t(3 * h), 0) : n);
    return all;
  }
  tenon::kv_sequences sequences_at(tenon::tensor_view<std::int32_t const, 3> pages_at,
                                   tenon::tensor_view<std::int32_t const, 2> lengths_at) const {
    return {shape.own_pages ? pages_at : shared_by_heads(pages_at, shape.kv_heads), lengths_at};
  }
};

}  // namespace test
