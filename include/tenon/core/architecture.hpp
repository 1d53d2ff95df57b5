#pragma once
//  The architectures that policies are made for.
#include <tenon/config.hpp>

#include <cstddef>

namespace tenon {

/// 10 * major + minor of the code a kernel runs as; 0 is the host, an architecture of its own.
struct architecture {
  int                   number                                 = 0;
  friend constexpr bool operator==(architecture, architecture) = default;

  /// Shared memory that one block may have, in bytes (CUDA C++ Programming Guide, table of technical specifications).
  TENON_HD constexpr std::size_t shared_bytes() const {
    switch (number) {
      case 0: return 1024 * 1024;  // a cache-sized scratch
      case 80:
      case 87: return 163 * 1024;
      case 86:
      case 89:
      case 120:
      case 121: return 99 * 1024;
      default: return 227 * 1024;  // 90, 100, 103, 110
    }
  }
  /// Multiprocessors of the card that plans are made for where the context does not say: A100, RTX 4090, H100 SXM.
  TENON_HD constexpr int multiprocessors() const {
    switch (number) {
      case 0: return 1;
      case 80: return 108;
      case 86: return 84;
      case 89: return 128;
      default: return 132;
    }
  }
  TENON_HD constexpr bool is_host() const { return number == 0; }
};

/// The architecture whose policies serve `number`: 86 and 120 have sm_89's shared memory, 100 and 103 have sm_90's.
TENON_HD constexpr int policy_architecture(int number) {
  if (number == 0) return 0;
  architecture const a{number};
  return a.shared_bytes() >= 227 * 1024 ? 90 : a.shared_bytes() >= 163 * 1024 ? 80 : 89;
}

}  // namespace tenon

namespace tenon::inline TENON_TARGET {

/// The architectures that this target's policies are made for.
#if TENON_CUDA
inline constexpr int architectures[] = {80, 89, 90};
#else
inline constexpr int architectures[] = {0, 80, 89, 90};
#endif

}  // namespace tenon::inline TENON_TARGET
