#pragma once
//  cooperative_groups: thread_block, tiled_partition of at most 32 threads, thread_group, reduce. A collective of a tile
//  orders no memory but by sync().
#include <tenon/simt/cuda/warp.hpp>
#include <tenon/simt/machine.hpp>
#include <tenon/simt/vocabulary.hpp>

#include <bit>
#include <type_traits>

namespace cooperative_groups {

namespace detail {

using tenon::simt::site;

inline unsigned thread_rank() {
  using namespace tenon::simt;
  return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
}
/// The lanes of the caller's tile of `size` threads.
inline unsigned tile_mask(unsigned size) {
  unsigned const lane = thread_rank() % 32, ones = size >= 32 ? ~0u : (1u << size) - 1;
  return ones << lane / size * size;
}

template <class T>
struct exchanged {
  T        value, result;
  unsigned source;  // a lane of the warp
};

/// The value of `source`, a lane of the mask; the own one where it takes no part.
template <class T>
T from_lane(char const* name, int qualifier, unsigned mask, T const& v, unsigned source, site at) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 32,
                "tenon::simt: a tile shuffles trivially copyable values of at most 32 bytes");
  using lane_of = exchanged<T>;
  lane_of mine{v, v, source};
  tenon::simt::machine::meet(
      {tenon::simt::warp_operation::shuffle, qualifier, false, name}, mask, &mine,
      [](void* const* lane, unsigned here) {
        for (unsigned l = 0; l < 32; ++l) {
          if (!(here >> l & 1)) continue;
          auto& to = *static_cast<lane_of*>(lane[l]);
          if (here >> to.source & 1) to.result = static_cast<lane_of const*>(lane[to.source])->value;
        }
      },
      at);
  return mine.result;
}

}  // namespace detail

/// All threads of the block.
class thread_block {
 public:
  static void              sync(detail::site at = detail::site::here()) { tenon::simt::machine::sync_block(at); }
  static unsigned          thread_rank() { return detail::thread_rank(); }
  static unsigned          size() { return static_cast<unsigned>(tenon::simt::blockDim.count()); }
  static unsigned          num_threads() { return size(); }
  static tenon::simt::dim3 group_index() { return {blockIdx().x, blockIdx().y, blockIdx().z}; }
  static tenon::simt::dim3 thread_index() {
    auto const& t = tenon::simt::threadIdx;
    return {t.x, t.y, t.z};
  }
  static tenon::simt::dim3 group_dim() { return tenon::simt::blockDim; }
  static tenon::simt::dim3 dim_threads() { return tenon::simt::blockDim; }

 private:
  static tenon::simt::uint3 const& blockIdx() { return tenon::simt::blockIdx; }
};

inline thread_block this_thread_block() { return {}; }

/// Size threads of a warp, a power of two.
template <unsigned Size, class Parent = void>
class thread_block_tile {
  static_assert(Size >= 1 && Size <= 32 && (Size & (Size - 1)) == 0,
                "tenon::simt: a tile has 1, 2, 4, 8, 16 or 32 threads");
  using site = detail::site;

 public:
  thread_block_tile() = default;
  template <class Other>
  thread_block_tile(thread_block_tile<Size, Other> const& other) : meta_size_(other.meta_group_size()) {}
  explicit thread_block_tile(unsigned meta_size) : meta_size_(meta_size) {}

  static unsigned           thread_rank() { return detail::thread_rank() % Size; }
  static constexpr unsigned size() { return Size; }
  static constexpr unsigned num_threads() { return Size; }
  unsigned                  meta_group_size() const { return meta_size_; }
  /// Of this tile among those of its parent.
  unsigned meta_group_rank() const { return detail::thread_rank() / Size % meta_size_; }

  void sync(site at = site::here()) const { tenon::simt::machine::sync_warp(mask(), at); }

  template <class T>
  T shfl(T v, int source, site at = site::here()) const {
    return detail::from_lane("tile.shfl", 16, mask(), v, first() + (static_cast<unsigned>(source) & (Size - 1)), at);
  }
  template <class T>
  T shfl_up(T v, unsigned delta, site at = site::here()) const {
    unsigned const own = thread_rank();
    return detail::from_lane("tile.shfl_up", 17, mask(), v, first() + (own >= delta ? own - delta : own), at);
  }
  template <class T>
  T shfl_down(T v, unsigned delta, site at = site::here()) const {
    unsigned const own = thread_rank();
    return detail::from_lane("tile.shfl_down", 18, mask(), v, first() + (own + delta < Size ? own + delta : own), at);
  }
  template <class T>
  T shfl_xor(T v, unsigned lanes, site at = site::here()) const {
    unsigned const own = thread_rank(), other = own ^ lanes;
    return detail::from_lane("tile.shfl_xor", 19, mask(), v, first() + (other < Size ? other : own), at);
  }

  int      any(int predicate, site at = site::here()) const { return __any_sync(mask(), predicate, at); }
  int      all(int predicate, site at = site::here()) const { return __all_sync(mask(), predicate, at); }
  unsigned ballot(int predicate, site at = site::here()) const {
    return __ballot_sync(mask(), predicate, at) >> first();
  }
  template <class T>
  unsigned match_any(T v, site at = site::here()) const {
    return __match_any_sync(mask(), v, at) >> first();
  }
  template <class T>
  unsigned match_all(T v, int& all, site at = site::here()) const {
    return __match_all_sync(mask(), v, &all, at) >> first();
  }

 private:
  static unsigned mask() { return detail::tile_mask(Size); }
  static unsigned first() { return detail::thread_rank() % 32 / Size * Size; }

  unsigned meta_size_ = 1;
};

template <unsigned Size>
thread_block_tile<Size, thread_block> tiled_partition(thread_block const&) {
  return thread_block_tile<Size, thread_block>((thread_block::size() + Size - 1) / Size);
}
template <unsigned Size, unsigned Whole, class Parent>
thread_block_tile<Size, thread_block_tile<Whole, Parent>> tiled_partition(thread_block_tile<Whole, Parent> const&) {
  static_assert(Size <= Whole, "tenon::simt: a tile is no larger than what it is cut from");
  return thread_block_tile<Size, thread_block_tile<Whole, Parent>>(Whole / Size);
}

/// A block or a tile, its size known at run time.
class thread_group {
 public:
  thread_group(thread_block const&) {}
  template <unsigned Size, class Parent>
  thread_group(thread_block_tile<Size, Parent> const&) : tile_(Size) {}
  explicit thread_group(unsigned tile) : tile_(tile) {}

  unsigned size() const { return tile_ ? tile_ : thread_block::size(); }
  unsigned num_threads() const { return size(); }
  unsigned thread_rank() const { return detail::thread_rank() % size(); }
  void     sync(detail::site at = detail::site::here()) const {
        if (tile_) tenon::simt::machine::sync_warp(detail::tile_mask(tile_), at);
    else tenon::simt::machine::sync_block(at);
  }

 private:
  unsigned tile_ = 0;  // 0: the whole block
};

/// `size` a power of two of at most 32, and no larger than the parent.
inline thread_group tiled_partition(thread_group const&, unsigned size) { return thread_group(size); }

template <class Group>
void sync(Group const& group, detail::site at = detail::site::here()) {
  group.sync(at);
}

// clang-format off
template <class T = void> struct plus    { template <class U> U operator()(U a, U b) const { return static_cast<U>(a + b); } };
template <class T = void> struct less    { template <class U> U operator()(U a, U b) const { return b < a ? b : a; } };
template <class T = void> struct greater { template <class U> U operator()(U a, U b) const { return a < b ? b : a; } };
template <class T = void> struct bit_and { template <class U> U operator()(U a, U b) const { return static_cast<U>(a & b); } };
template <class T = void> struct bit_or  { template <class U> U operator()(U a, U b) const { return static_cast<U>(a | b); } };
template <class T = void> struct bit_xor { template <class U> U operator()(U a, U b) const { return static_cast<U>(a ^ b); } };
// clang-format on

/// op over the values of all the tile's threads, given to each, in an order that CUDA does not promise.
template <unsigned Size, class Parent, class T, class Op>
T reduce(thread_block_tile<Size, Parent> const& tile, T v, Op op, detail::site at = detail::site::here()) {
  for (unsigned lanes = Size / 2; lanes > 0; lanes /= 2) v = op(v, tile.shfl_xor(v, lanes, at));
  return v;
}

// ---- not modelled ---------------------------------------------------------------------------------------------------

#define TENON_SIMT_REFUSE(NAME, WHAT)                                                           \
  template <class Never = void>                                                                 \
  thread_block NAME() {                                                                         \
    static_assert(!std::is_void_v<Never>, "tenon::simt: cooperative_groups::" #NAME ": " WHAT); \
    return {};                                                                                  \
  }
TENON_SIMT_REFUSE(this_grid, "a barrier of the whole grid is not modelled; launch twice")
TENON_SIMT_REFUSE(this_multi_grid, "there is one device")
TENON_SIMT_REFUSE(this_cluster, "clusters are not modelled")
TENON_SIMT_REFUSE(coalesced_threads,
                  "which lanes run together is not defined; name them with tiled_partition or a mask")
#undef TENON_SIMT_REFUSE

}  // namespace cooperative_groups
