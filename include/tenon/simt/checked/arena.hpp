#pragma once
//  The address space that a checked run watches: static and dynamic shared memory and the heap of simt::buffer, each
//  four bytes with a shadow cell. Offsets in it are:
//
//    | static shared | guard | dynamic shared | guard | heap: red zone, buffer, red zone, buffer, ... | program |
//
//  Static shared variables (simt/cuda.hpp) are thread-local variables of the program, __device__ variables its global
//  ones: they live elsewhere, only their shadow is here.
#include <tenon/simt/checked/clock.hpp>
#include <tenon/simt/checked/debug_info.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <new>
#include <string>

#include <sys/mman.h>

namespace tenon::simt::checked {

/// What is known of the last accesses to some bytes. A race is an access that these do not happen before.
struct slots {
  epoch         write;  // last write; `many` where several atomics stand, `in_flight` while a copy is on its way
  epoch         read;   // last read since then; `many` where several unordered threads read
  std::uint32_t write_site;
  std::uint32_t read_site;
};

/// Four bytes. A byte's bit in `valid` says that it may be accessed, in `set` that somebody wrote it. `bytes` are those
/// that the slots speak of; a cell whose bytes have different histories is split into four.
struct cell : slots {
  std::uint32_t generation;  // the launch (heap) or block (shared) that the slots belong to
  std::uint8_t  valid : 4, set : 4;
  std::uint8_t  bytes  = 0;
  bool          split  = false;
  bool          atomic = false;  // the last write was atomic
};
static_assert(sizeof(cell) == 32);

struct allocation {
  std::size_t   bytes;
  std::size_t   element_bytes;
  bool          live;
  std::uint32_t number;  // buffers count from 1
  void const*   type;    // anchor_of() the elements
  std::string   name = {};
};

/// Constant-initialised, so that hooks may run before anything else does.
struct arena {
  static constexpr std::size_t guard         = std::size_t{1} << 20;
  static constexpr std::size_t shared_span   = std::size_t{2} << 20;
  static constexpr std::size_t static_span   = std::size_t{1} << 20;
  static constexpr std::size_t shared_begin  = static_span + guard;
  static constexpr std::size_t heap_begin    = shared_begin + shared_span + guard;
  static constexpr std::size_t red_zone      = 256;  // also the alignment of a buffer, as cudaMalloc's
  static constexpr std::size_t whole         = std::size_t{8} << 30;
  static constexpr std::size_t program_begin = whole;
  static constexpr std::size_t program_span  = std::size_t{256} << 20;

  std::uintptr_t base   = 0;
  std::size_t    span   = 0;  // 0 until the first use
  cell*          shadow = nullptr;
  std::size_t    bump   = heap_begin + red_zone;
  std::uint32_t  count  = 0;

  std::uintptr_t program       = 0;  // the program's global variables
  std::size_t    program_bytes = 0;
  bool const*    is_variable   = nullptr;  // of each four bytes of them: one that kernels may share

  std::uintptr_t     statics       = 0;  // the program's thread-local variables, where static shared memory is watched
  std::size_t        statics_bytes = 0;  // 0 where it is not
  bool*              not_shared    = nullptr;     // of each four bytes of statics: the machine's own, as threadIdx
  unsigned char*     static_valid  = nullptr;     // of each four bytes of statics: those of a variable, a bit each
  data_symbol const* static_variables = nullptr;  // by offset; none where the program has no symbols
  std::size_t        static_count     = 0;

  std::map<std::size_t, allocation>& allocations() {
    static auto* const m = new std::map<std::size_t, allocation>;  // outlives every static buffer
    return *m;
  }

  void open() {
    if (span) return;
    int const   flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* const m     = mmap(nullptr, whole, PROT_READ | PROT_WRITE, flags, -1, 0);
    void* const s     = mmap(nullptr, (whole + program_span) / 4 * sizeof(cell), PROT_READ | PROT_WRITE, flags, -1, 0);
    if (m == MAP_FAILED || s == MAP_FAILED) throw std::bad_alloc{};
    base   = reinterpret_cast<std::uintptr_t>(m);
    shadow = static_cast<cell*>(s);
    span   = whole;
  }

  static constexpr std::size_t nowhere = ~std::size_t{0};

  /// The static variable that begins at `offset` or next before it; null where symbols do not tell.
  data_symbol const* static_variable(std::size_t offset) const {
    data_symbol const* found = nullptr;
    for (std::size_t i = 0; i < static_count && static_variables[i].offset <= offset; ++i) found = &static_variables[i];
    return found;
  }

  /// The offset of p, `nowhere` for memory that is not watched.
  [[gnu::always_inline]] std::size_t find(void const* p) const {
    auto const        address = reinterpret_cast<std::uintptr_t>(p);
    std::size_t const o       = address - base;
    if (o < span) return o;
    std::size_t const s = address - statics;
    if (s < statics_bytes && !not_shared[s / 4]) return s;
    std::size_t const v = address - program;
    if (v < program_bytes && is_variable[v / 4]) return program_begin + v;
    return nowhere;
  }
  std::byte* at(std::size_t offset) const { return reinterpret_cast<std::byte*>(base + offset); }
  std::byte* shared() const { return at(shared_begin); }

  /// Unset bytes between red zones. Addresses are not used again before the heap has been walked once.
  std::byte* allocate(std::size_t bytes, std::size_t element_bytes, void const* type = nullptr) {
    open();
    std::size_t const room  = (bytes + red_zone - 1) / red_zone * red_zone + red_zone;
    std::size_t const begin = room_for(room);
    allocations()[begin]    = {bytes, element_bytes, true, ++count, type};
    mark(begin, bytes, 1);
    std::memset(at(begin), 0xff, bytes);
    return at(begin);
  }

  void release(std::byte* p) {
    if (!p) return;
    std::size_t const begin = find(p);
    auto const        found = allocations().find(begin);
    if (found == allocations().end()) return;
    found->second.live      = false;
    std::size_t const bytes = found->second.bytes;
    mark(begin, bytes, 0);
    give_back(at(begin), bytes);
    give_back(&shadow[begin / 4], bytes / 4 * sizeof(cell));
  }

  /// What the host wrote counts as set.
  void set(void const* p, std::size_t bytes) {
    std::size_t const begin = find(p);
    if (begin == nowhere) return;
    for (std::size_t o = begin; o < begin + bytes;) {
      std::size_t const n    = 4 - o % 4 < begin + bytes - o ? 4 - o % 4 : begin + bytes - o;
      unsigned const    bits = ((1u << n) - 1) << (o % 4);
      shadow[o / 4].set      = (shadow[o / 4].set | bits) & 15u;
      o += n;
    }
  }

  /// The buffer at or next below `offset`; end() where there is none.
  auto nearest(std::size_t offset) {
    auto& all   = allocations();
    auto  above = all.upper_bound(offset);
    return above == all.begin() ? all.end() : --above;
  }

 private:
  std::size_t room_for(std::size_t room) {
    if (bump + room <= span) {
      std::size_t const begin = bump;
      bump += room;
      return begin;
    }
    // The heap has been walked once: forget what is dead, take the first gap.
    auto& all = allocations();
    for (auto i = all.begin(); i != all.end();) i = i->second.live ? std::next(i) : all.erase(i);
    std::size_t gap = heap_begin + red_zone;
    for (auto const& [begin, a] : all) {
      if (gap + room <= begin) return gap;
      gap = begin + (a.bytes + red_zone - 1) / red_zone * red_zone + red_zone;
    }
    if (gap + room > span) throw std::bad_alloc{};
    return gap;
  }

  void mark(std::size_t begin, std::size_t bytes, unsigned valid) {
    for (std::size_t i = 0; i < (bytes + 3) / 4; ++i) {
      cell&          c = shadow[begin / 4 + i];
      unsigned const n = bytes - 4 * i >= 4 ? 15u : (1u << (bytes - 4 * i)) - 1;
      c                = {};
      c.valid          = valid ? n & 15u : 0u;
    }
  }

  static void give_back(void* p, std::size_t bytes) {
    constexpr std::uintptr_t page  = 4096;
    auto const               first = (reinterpret_cast<std::uintptr_t>(p) + page - 1) & ~(page - 1);
    auto const               last  = (reinterpret_cast<std::uintptr_t>(p) + bytes) & ~(page - 1);
    if (last > first && last - first >= 16 * page) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  }
};

inline constinit arena memory;

}  // namespace tenon::simt::checked
