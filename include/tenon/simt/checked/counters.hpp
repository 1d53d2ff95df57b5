#pragma once
//  What the lanes of a warp access together: passes of shared memory, sectors of global memory.
//
//  Shared memory has 32 banks of four bytes, word w in bank w mod 32. A pass (wavefront) serves any number of lanes, but one
//  word per bank. Accesses of 8 bytes are served by half warps, of 16 bytes by quarter warps; ldmatrix by matrices of eight
//  rows. Global memory moves in sectors of 32 bytes; the ideal is as many as the distinct bytes fill.
//
//  Lanes run one after the other here, so an access is put together again: the n-th time that each lane of a warp comes to
//  the same place counts as one.
#include <tenon/simt/checked/block_state.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace tenon::simt::checked {

class access_counter {
 public:
  std::uint64_t accesses = 0, wavefronts = 0, ideal = 0;
  std::uint64_t requests = 0, sectors = 0, ideal_sectors = 0;

  void begin_launch() {
    accesses = wavefronts = ideal = requests = sectors = ideal_sectors = 0;
    open_.clear();
  }

  /// The running thread accesses `bytes` (at most 16) from `offset` of the arena.
  void access(std::size_t offset, std::size_t bytes, site_number at) {
    auto const&    b    = running();
    bool const     heap = offset >= arena::heap_begin;
    unsigned const lane = b.me % 32;
    auto& s = open_[std::uint64_t{at} << 32 | std::uint64_t{b.me / 32} << 9 | std::uint64_t{heap} << 8 | bytes];
    std::size_t const n = s.visits[lane]++ - s.closed;
    if (n >= s.groups.size()) s.groups.resize(n + 1);
    auto& g        = s.groups[n];
    g.offset[lane] = offset;
    g.lanes |= 1u << lane;
    if (g.lanes == ~0u && n == 0) {
      close(g, bytes, heap);
      s.groups.erase(s.groups.begin());
      ++s.closed;
    }
  }

  /// The eight rows of one matrix.
  void matrix(std::size_t const (&offset)[8]) {
    ++accesses, ++ideal;
    wavefronts += passes(offset, 8, 16);
  }

  void end_block() {
    for (auto& [key, s] : open_)
      for (auto& g : s.groups)
        if (g.lanes) close(g, key & 0xff, key >> 8 & 1);
    open_.clear();
  }

 private:
  struct group {
    std::size_t offset[32] = {};
    unsigned    lanes      = 0;
  };
  struct place {
    std::size_t        visits[32] = {};
    std::size_t        closed     = 0;
    std::vector<group> groups;
  };

  static std::uint64_t passes(std::size_t const* offset, unsigned lanes, std::size_t bytes) {
    std::vector<std::size_t> words[32];
    for (unsigned l = 0; l < lanes; ++l)
      for (std::size_t w = offset[l] / 4; w <= (offset[l] + bytes - 1) / 4; ++w) {
        auto& bank = words[w % 32];
        if (std::find(bank.begin(), bank.end(), w) == bank.end()) bank.push_back(w);
      }
    std::size_t most = 0;
    for (auto const& bank : words) most = std::max(most, bank.size());
    return most;
  }

  void close(group const& g, std::size_t bytes, bool heap) {
    if (heap) return close_global(g, bytes);
    ++accesses;
    unsigned const step = bytes > 8 ? 8 : bytes > 4 ? 16 : 32;
    for (unsigned first = 0; first < 32; first += step) {
      std::size_t offset[32];
      unsigned    n = 0;
      for (unsigned l = first; l < first + step; ++l)
        if (g.lanes >> l & 1) offset[n++] = g.offset[l];
      if (n == 0) continue;
      wavefronts += passes(offset, n, bytes);
      ++ideal;
    }
  }

  void close_global(group const& g, std::size_t bytes) {
    ++requests;
    std::vector<std::size_t> touched, used;  // sectors, bytes
    for (unsigned l = 0; l < 32; ++l)
      for (std::size_t i = 0; (g.lanes >> l & 1) && i < bytes; ++i) {
        used.push_back(g.offset[l] + i);
        touched.push_back((g.offset[l] + i) / 32);
      }
    auto const distinct = [](std::vector<std::size_t>& v) {
      std::sort(v.begin(), v.end());
      return static_cast<std::uint64_t>(std::unique(v.begin(), v.end()) - v.begin());
    };
    sectors += distinct(touched);
    ideal_sectors += (distinct(used) + 31) / 32;
  }

  std::unordered_map<std::uint64_t, place> open_;
};

inline access_counter& counters() {
  static auto* const c = new access_counter;
  return *c;
}
inline constinit bool counting = false;  // whether this launch counts

}  // namespace tenon::simt::checked
