#pragma once
//  Which keys of which rows a block sums up: all of one query tile's, or its share of everybody's.
//
//  A launch without splits has one block per query tile and kv head, the last tiles first: under a causal mask they have the
//  most keys, and what is long should not start last.
//
//  A launch with splits has a fixed number of blocks, whatever the lengths are, so that a captured graph serves new ones. Keys
//  are cut into units at multiples of `unit`; the units of all query tiles and kv heads form one list
//
//      request 0                                            request 1
//      tile 0                     tile 1                    tile 0 ...
//      head 0      head 1         head 0      head 1        head 0
//      u u u u u   u u u u u      u u u u u u  u u u u u u   u u ...
//      |-- block 0 --|-- block 1 --|-- block 2 --|-- ...
//
//  of which every block takes a run of the same length. The list is nowhere in memory: each block adds up the lengths (a few
//  loads per thread) and finds its place. Rows whose keys end up in several blocks leave partial sums in as many slots; the
//  block that comes last merges them in their order (tile/split.cuh).
//
//  With `chunks` a unit's sums never meet another unit's before that merge: results depend on the unit alone, not on the number
//  of blocks or on the rest of the batch.
//
//  Lengths shared out on the device: Tri Dao et al., FlashAttention-3's scheduler; DeepSeek, FlashMLA (ideas).
#include <tenon/arch/arch.cuh>
#include <tenon/attention/paged_attention_params.hpp>
#include <tenon/attention/query_tile.hpp>
#include <tenon/core/integer.hpp>

namespace tenon::inline TENON_TARGET::kernel {

/// Keys of one query tile and kv head.
struct attention_segment {
  query_tile tile;
  int        kv_head;
  key_span   keys;
  int        part, parts;  // of the keys of these rows
  index_t    first_slot;   // of part 0
  index_t    counter;
  bool       in_order;  // slots follow each other; otherwise those of blocks, two each

  /// Field by field: g++ does not instrument a result that is made where it goes, so the checker would not see it.
  __device__ void set_tile(query_tile const& t) {
    tile.request = t.request, tile.rows = t.rows, tile.first_token = t.first_token, tile.first_head = t.first_head;
    tile.last_token = t.last_token, tile.query_start = t.query_start, tile.keys = t.keys, tile.position = t.position;
  }
  __device__ void set_keys(key_span const& k) { keys.first = k.first, keys.last = k.last; }

  /// A block's run may end in one tile's keys and begin in another's: its slots are 2b for the latter, 2b + 1 for the former.
  __device__ index_t slot(int of_part) const {
    if (in_order) return first_slot + of_part;
    return of_part == 0 ? first_slot : first_slot - 1 + 2 * of_part;
  }
};

/// A block's place in the list, in shared memory. Thread 0 walks, the others read what it found.
template <int Rows, int Threads, class Params>
struct attention_work {
  index_t at, end, length;  // of this block's run
  index_t before;           // units before request `request`
  int     request, tile, kv_head, unit;
  index_t sum[ceil_div(Threads, 32)];

  /// Finds the block's run. Collective over the block.
  __device__ void begin(Params const& p) {
    int const thread = static_cast<int>(threadIdx.x);
    if (p.split.unit == 0) {
      if (thread == 0) at = 0, end = 1;
      return;
    }
    int const requests = static_cast<int>(p.kv_length.extent[0]), each = ceil_div(requests, Threads);
    int const first = min(thread * each, requests), last = min(first + each, requests);
    index_t   mine = 0;
    for (int r = first; r < last; ++r) mine += units_of_request(p, r);
    index_t mine_and_before = mine;
    TENON_UNROLL_DEVICE
    for (int lanes = 1; lanes < 32; lanes *= 2) {
      index_t const other = arch::shuffle_up(mine_and_before, lanes);
      if (arch::lane() >= lanes) mine_and_before += other;
    }
    if (arch::lane() == 31) sum[arch::warp()] = mine_and_before;
    arch::sync_block();
    index_t mine_begin = mine_and_before - mine, all = 0;
    TENON_UNROLL_DEVICE
    for (int w = 0; w < Threads / 32; ++w) {
      if (w < arch::warp()) mine_begin += sum[w];
      all += sum[w];
    }
    index_t const run   = max(ceil_div(all, index_t{gridDim.x}), index_t{p.split.least});
    index_t const start = min(run * blockIdx.x, all);
    if (mine_begin <= start && start < mine_begin + mine) before = mine_begin, request = first;
    arch::sync_block();
    if (thread != 0) return;
    at = start, end = min(start + run, all), length = run;
    if (at == end) return;
    index_t left = at - before;
    for (index_t units = units_of_request(p, request); left >= units; units = units_of_request(p, ++request))
      left -= units;
    int const kv_heads = heads(p);
    for (tile = 0;; ++tile) {
      index_t const units = units_of(p, tile_of(p, request, tile));
      if (left < units * kv_heads) {
        kv_head = static_cast<int>(left / units), unit = static_cast<int>(left % units);
        break;
      }
      left -= units * kv_heads;
    }
  }

  /// The block's next segment; one of no parts: there is none. By thread 0, after a barrier.
  __device__ void next(Params const& p, attention_segment& s) {
    s.parts = 0;
    if (at >= end) return;
    if (p.split.unit == 0) {
      at                  = end;
      unsigned const each = static_cast<unsigned>(heads(p));
      s.set_tile(find_query_tile(p.query_start, p.kv_length, p.group, Rows, (gridDim.x - 1 - blockIdx.x) / each));
      s.kv_head = static_cast<int>(blockIdx.x % each);
      s.set_keys(keys_of_tile(p.variant.mask, s.tile));
      s.part = 0, s.parts = s.tile.rows > 0 ? 1 : 0;
      return;
    }
    s.set_tile(tile_of(p, request, tile));
    s.kv_head             = kv_head;
    key_span const all    = keys_of_tile(p.variant.mask, s.tile);
    int const      units  = static_cast<int>(units_of(p, s.tile));
    int const      take   = p.split.chunks ? 1 : static_cast<int>(min<index_t>(units - unit, end - at));
    int const      from   = all.first / p.split.unit + unit;
    index_t const  begins = at - unit;  // the tile and head
    s.set_keys({max(all.first, from * p.split.unit), min(all.last, (from + take) * p.split.unit)});
    s.in_order = p.split.chunks;
    if (p.split.chunks) {
      s.part = unit, s.parts = units, s.first_slot = s.counter = begins;
    } else {
      s.counter    = begins / length;
      s.parts      = static_cast<int>((begins + units - 1) / length - s.counter) + 1;
      s.part       = static_cast<int>(blockIdx.x - s.counter);
      s.first_slot = 2 * s.counter + 1;
    }
    at += take, unit += take;
    if (unit < units) return;
    unit = 0;
    if (++kv_head < heads(p)) return;
    kv_head = 0, ++tile;
    while (at < end && tile == tiles_of(p, request)) tile = 0, ++request;
  }

 private:
  __device__ static int heads(Params const& p) { return static_cast<int>(kv_places(p.kv.k).extent[2]); }
  __device__ static int tiles_of(Params const& p, int r) {
    return static_cast<int>(
        ceil_div(static_cast<index_t>(p.query_start(r + 1) - p.query_start(r)) * p.group, index_t{Rows}));
  }
  __device__ static query_tile tile_of(Params const& p, int r, int i) {
    return query_tile_of(p.query_start, p.kv_length, p.group, Rows, r, i);
  }
  /// At least one: rows without keys want their zeros.
  __device__ static index_t units_of(Params const& p, query_tile const& t) {
    key_span const s = keys_of_tile(p.variant.mask, t);
    return s.first < s.last ? ceil_div(s.last, p.split.unit) - s.first / p.split.unit : 1;
  }
  __device__ static index_t units_of_request(Params const& p, int r) {
    index_t   units = 0;
    int const tiles = tiles_of(p, r);
    for (int i = 0; i < tiles; ++i) units += units_of(p, tile_of(p, r, i));
    return units * heads(p);
  }
};

}  // namespace tenon::inline TENON_TARGET::kernel
