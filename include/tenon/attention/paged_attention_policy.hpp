#pragma once
//  How queries and keys are cut into tiles, and which unit multiplies them, as a value.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/tensor_view.hpp>

namespace tenon {

enum class attention_unit {
  thread,  // blocks of one thread whose loops a compiler vectorises: the host's own
  vector,  // warps with fused multiply-adds: any type
  matrix,  // mma.sync: f16 and bf16
};

/// One point of the tuning space: compare it, print it, put it in a benchmark table.
struct paged_attention_policy {
  attention_unit unit   = attention_unit::vector;
  int            dim    = 128;  // head_dim and value_dim are padded to it with zeros
  int            rows   = 8;    // (query token, head of the group) pairs per block
  int            keys   = 32;   // keys per tile
  int            warps  = 4;    // of a block; 0: one thread
  int            vector = 8;    // elements that one access to K and V moves

  TENON_HD constexpr int threads_per_block() const { return warps == 0 ? 1 : 32 * warps; }
  /// matrix: warps that share the same rows and have keys of their own.
  TENON_HD constexpr int key_warps() const { return unit == attention_unit::matrix ? 16 * warps / rows : 1; }
  /// matrix: keys that a block takes at a time.
  TENON_HD constexpr int span() const { return keys * key_warps(); }
  /// matrix: stages of the ring for elements of so many bits. Codes take less room, so more of them are under way.
  TENON_HD constexpr int stages(int k_bits, int v_bits) const {
    if (key_warps() == 1) return k_bits == 16 || v_bits == 16 ? 2 : 3;
    int const fit = 1024 / (keys * (k_bits + v_bits));
    return fit < 2 ? 2 : fit > 4 ? 4 : fit;
  }
  /// matrix: made for elements of so many bits. Warps by keys take twice as many codes at a time; 256 columns of 4-bit
  /// codes leave registers for 16 keys only.
  TENON_HD constexpr bool suits(int k_bits, int v_bits) const {
    bool const nibbles = k_bits == 4 || v_bits == 4, codes = k_bits < 16 && v_bits < 16;
    if (dim == 256) return (keys == 16) == (nibbles || key_warps() > 1);
    return key_warps() == 1 || (keys == 32) == codes;
  }
  /// matrix: blocks that share the registers of a multiprocessor.
  TENON_HD constexpr int residents(int k_bits, int v_bits) const {
    if (key_warps() == 1) return 2;
    if (dim == 64) return k_bits == 16 && v_bits == 16 ? 4 : 3;
    return dim == 256 ? 4 : keys == 32 ? 2 : 3;
  }
  /// matrix: bytes of shared memory that the ring and Q take.
  constexpr int ring_bytes(int k_bits, int v_bits) const {
    return rows * dim * 2 + stages(k_bits, v_bits) * key_warps() * (tile_bytes(k_bits) + tile_bytes(v_bits));
  }
  /// matrix: bytes of one tile of keys or values, and of its scales (kv_tile.cuh).
  constexpr int tile_bytes(int bits) const {
    int const groups = bits == 16 ? 0 : bits == 4 ? dim / 32 : 1;
    return keys * dim * bits / 8 + (groups * (keys + 8) * 4 + 127) / 128 * 128;
  }

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return unit == attention_unit::thread; }

  friend constexpr bool operator==(paged_attention_policy const&, paged_attention_policy const&) = default;
};

/// What a policy is chosen by.
struct paged_attention_problem {
  index_t head_dim         = 0;
  index_t value_dim        = 0;
  index_t group            = 1;      // query heads per kv head
  index_t max_query_length = 0;      // of a request; 0: unknown
  bool    vectorised       = false;  // every row of q, k, v and o starts at a multiple of eight elements' bytes
  bool    narrow           = false;  // q has a 16-bit type, k and v have it too or hold codes
  int     k_bits = 16, v_bits = 16;  // of an element of k and v
  bool    invariant = false;         // a row's bits may not depend on the batch: warps never share out a row's keys
};

namespace attention_planning {
/// The least of the list that is not below `dim`.
template <int... List>
constexpr int padded_dim(index_t dim) {
  int r = 0;
  (void)((dim <= List && (r = List, true)) || ...);
  return r;
}
}  // namespace attention_planning

/// With `invariant` the choice does not look at the batch.
constexpr paged_attention_policy choose_paged_attention_policy(architecture as, paged_attention_problem const& p) {
  index_t const dim = p.head_dim < p.value_dim ? p.value_dim : p.head_dim;
  if (as.is_host())
    return {attention_unit::thread, attention_planning::padded_dim<8, 16, 32, 64, 128, 256>(dim), 32, 64, 0, 1};
  if (!p.vectorised) return {attention_unit::vector, 256, 8, 32, 4, 1};
  int const padded = attention_planning::padded_dim<64, 128, 256>(dim);
  if (!p.narrow) return {attention_unit::vector, padded, 8, 32, 4, 8};
  bool const few     = p.max_query_length > 0 && p.max_query_length * p.group <= 16;
  bool const nibbles = p.k_bits == 4 || p.v_bits == 4, codes = p.k_bits < 16 && p.v_bits < 16;
  if (!few || p.invariant) return {attention_unit::matrix, padded, 64, padded < 256 ? 64 : nibbles ? 16 : 32, 4, 8};
  return {attention_unit::matrix, padded, 16, codes && padded < 256 ? 32 : 16, padded == 256 ? 2 : 4, 8};
}

/// Every policy that a kernel is compiled for.
inline constexpr paged_attention_policy paged_attention_menu[] = {
    {attention_unit::thread, 8, 32, 64, 0, 1},   {attention_unit::thread, 16, 32, 64, 0, 1},
    {attention_unit::thread, 32, 32, 64, 0, 1},  {attention_unit::thread, 64, 32, 64, 0, 1},
    {attention_unit::thread, 128, 32, 64, 0, 1}, {attention_unit::thread, 256, 32, 64, 0, 1},
    {attention_unit::vector, 64, 8, 32, 4, 8},   {attention_unit::vector, 128, 8, 32, 4, 8},
    {attention_unit::vector, 256, 8, 32, 4, 8},  {attention_unit::vector, 256, 8, 32, 4, 1},
    {attention_unit::matrix, 64, 64, 64, 4, 8},  {attention_unit::matrix, 128, 64, 64, 4, 8},
    {attention_unit::matrix, 256, 64, 32, 4, 8}, {attention_unit::matrix, 64, 16, 16, 4, 8},
    {attention_unit::matrix, 128, 16, 16, 4, 8}, {attention_unit::matrix, 256, 16, 16, 2, 8},
    {attention_unit::matrix, 64, 16, 32, 4, 8},  {attention_unit::matrix, 128, 16, 32, 4, 8},
    {attention_unit::matrix, 256, 64, 16, 4, 8},
};

}  // namespace tenon
