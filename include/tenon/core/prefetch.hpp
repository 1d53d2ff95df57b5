#pragma once
//  A hint that memory will be read soon.

namespace tenon {

/// Asks for the cache line of `address`, which need not be valid. No effect but on time.
inline void prefetch(void const* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#else
  static_cast<void>(address);
#endif
}

}  // namespace tenon
