#pragma once
//  Vectors for tables of megabytes that are read here and there: in large pages, where the system lends them.
//
//  A table in pages of 4 KiB costs a fault for each when it is made, and a walk through the page tables at most reads
//  of a table larger than those the processor remembers. Test: tests/engine/text/large_vector_test.cpp
#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#if defined(__linux__)
#  include <sys/mman.h>
#endif

namespace tenon::engine {

/// From 1 MiB on an allocation begins at a multiple of 2 MiB and asks for pages of that size.
template <class T>
struct large_allocator {
  using value_type = T;

  large_allocator() = default;
  template <class U>
  large_allocator(large_allocator<U> const&) {}

  [[nodiscard]] T* allocate(std::size_t n) {
    if (n > std::numeric_limits<std::size_t>::max() / 2 / sizeof(T)) throw std::bad_array_new_length();
    // The last page is a large one where at least half of it is used.
    std::size_t const bytes = n * sizeof(T), in_pages = (bytes + page / 2) / page * page;
    if (in_pages == 0) return std::allocator<T>().allocate(n);
    void* const p = ::operator new (std::max(bytes, in_pages), std::align_val_t{page});
#if defined(__linux__)
    (void)madvise(p, in_pages, MADV_HUGEPAGE);  // a wish
#endif
    return static_cast<T*>(p);
  }
  void deallocate(T* p, std::size_t n) {
    if (n * sizeof(T) < page / 2) std::allocator<T>().deallocate(p, n);
    else ::operator delete (p, std::align_val_t{page});
  }

  template <class U>
  friend bool operator==(large_allocator const&, large_allocator<U> const&) {
    return true;
  }

 private:
  static constexpr std::size_t page = std::size_t{1} << 21;
};

template <class T>
using large_vector = std::vector<T, large_allocator<T>>;

}  // namespace tenon::engine
