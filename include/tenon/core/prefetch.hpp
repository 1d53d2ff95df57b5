#pragma once
//  A hint that memory will be read soon.

namespace tenon {

/// Asks for the cache line of `address`, which need not be valid. No effect but on time: so a compiler may leave out a call of a
/// function that does nothing else. Mark such a function [[gnu::always_inline]], as this one.
[[gnu::always_inline]] inline void prefetch(void const* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#else
  static_cast<void>(address);
#endif
}

}  // namespace tenon
