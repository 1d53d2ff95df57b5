#pragma once
//  How the columns of a span's keys are cut into threads, as a value; span_mass has the same.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>

namespace tenon {

/// One point of the tuning space.
struct span_summary_policy {
  int threads_per_block = 128;
  int lanes             = 32;  // that work on one product in span_mass

  /// Made for the host's own kernels: blocks of one thread.
  constexpr bool on_host() const { return threads_per_block == 1; }
  /// Columns of a key that a thread has, of 256 at most.
  TENON_HD constexpr int own() const { return 256 / threads_per_block; }

  friend constexpr bool operator==(span_summary_policy const&, span_summary_policy const&) = default;
};

constexpr span_summary_policy choose_span_summary_policy(architecture as) {
  return as.is_host() ? span_summary_policy{1, 1} : span_summary_policy{128, 32};
}

/// Every policy that a kernel is compiled for.
inline constexpr span_summary_policy span_summary_menu[] = {{1, 1}, {128, 32}};

}  // namespace tenon
