#pragma once
//  Counts every allocation of the program: replaces all forms of operator new, so exactly one source of a program includes it.
//
//  The compiler may leave out new expressions, but not calls of these: they are not inline.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace test {

inline std::int64_t allocations = 0;  // so far

}  // namespace test

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++test::allocations;
  if (void* const p = std::malloc(bytes == 0 ? 1 : bytes)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  ++test::allocations;
  auto const a = static_cast<std::size_t>(alignment);
  if (void* const p = std::aligned_alloc(a, bytes == 0 ? a : (bytes + a - 1) / a * a)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
