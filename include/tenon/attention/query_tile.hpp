#pragma once
//  How the rows of a ragged batch are cut into tiles, without a plan made on the host.
//
//  A row is (query token, head of the group): row = token in the request * group + head in the group. Request r's tiles
//  start at tile floor(query_start[r] * group / rows) + r: since floor(b) - floor(a) + 1 >= ceil(b - a), they never reach
//  into those of request r + 1, and a launch of floor(tokens * group / rows) + requests tiles holds them all.
#include <tenon/config.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/op/mask.hpp>

#include <cstdint>

namespace tenon {

constexpr index_t query_tiles(index_t tokens, index_t requests, index_t group, index_t rows) {
  return tokens * group / rows + requests;
}

/// The rows of one tile.
struct query_tile {
  int     request;
  int     rows;         // rows of the tile; 0: nobody's
  int     first_token;  // of the tile, counted in the request
  int     first_head;   // of the tile's first row, counted in the group
  int     last_token;   // of the tile, counted in the request
  index_t query_start;  // of the request, counted in the batch
  int     keys;         // of the request
  int     position;     // of the request's first query; negative where there are more queries than keys
};

/// Tile `i` of a request.
template <class Starts, class Lengths>
TENON_HD constexpr query_tile query_tile_of(Starts const& query_start, Lengths const& kv_length, int group, int rows,
                                            int request, index_t i) {
  index_t const start     = query_start(request);
  index_t const queries   = static_cast<index_t>(query_start(request + 1)) - start;
  index_t const first_row = i * rows;
  index_t const left      = queries * group - first_row;
  query_tile    t{};
  t.request     = request;
  t.rows        = left <= 0 ? 0 : static_cast<int>(min<index_t>(left, rows));
  t.first_token = static_cast<int>(first_row / group);
  t.first_head  = static_cast<int>(first_row % group);
  t.last_token  = static_cast<int>((first_row + t.rows - 1) / group);
  t.query_start = start;
  t.keys        = static_cast<int>(kv_length(request));
  t.position    = t.keys - static_cast<int>(queries);
  return t;
}

template <class Starts, class Lengths>
TENON_HD constexpr query_tile find_query_tile(Starts const& query_start, Lengths const& kv_length, int group, int rows,
                                              index_t tile) {
  auto first_tile = [&](int r) { return static_cast<index_t>(query_start(r)) * group / rows + r; };
  int  low = 0, high = static_cast<int>(kv_length.extent[0]) - 1;
  while (low < high) {  // the last request whose tiles start at or before this one
    int const middle = low + (high - low + 1) / 2;
    if (first_tile(middle) <= tile) low = middle;
    else high = middle - 1;
  }
  return query_tile_of(query_start, kv_length, group, rows, low, tile - first_tile(low));
}

/// The keys that some row of the tile may see: every other one is hidden from all of them.
template <class Mask>
TENON_HD constexpr key_span keys_of_tile(Mask const& mask, query_tile const& t) {
  key_span const s = key_span_of(mask, t.request, t.position + t.first_token, t.position + t.last_token);
  return {max(s.first, 0), min(s.last, t.keys)};
}

}  // namespace tenon
