#pragma once
//  A run of launches under one set of options, and what they found.
//
//    tenon::simt::session session({.seed = 7, .schedule = tenon::simt::schedule::random});
//    context.session = &session;
//    ... operators ...
//    EXPECT_TRUE(session.found().clean()) << session.found();
#include <tenon/simt/report.hpp>
#include <tenon/simt/site.hpp>
#include <tenon/simt/tensor_core.hpp>

#include <cstdint>
#include <optional>

namespace tenon::simt {

struct check_options {
  std::uint64_t  seed             = 0;
  simt::schedule schedule         = simt::schedule::in_order;
  simt::delivery delivery         = simt::delivery::late;
  int            resident_blocks  = 1;      // on their way at a time; more where blocks wait for each other
  bool           count_wavefronts = false;  // bank conflicts and sectors; about twice the time
  bool           list_operations  = false;  // report.operations: barriers, waits, fences, atomics
  bool           trace            = false;  // report.timelines: what the warps of each launch's first block did

  /// The operation at this place is left out (simt/mutate.hpp).
  std::optional<simt::site> without = {};
  /// Of the tensor core; unset: as the acted architecture's, f32 in a plain build.
  std::optional<simt::numerics> numerics = {};
};

/// Collects the findings of every launch that names it. Not for concurrent use.
class session {
 public:
  explicit session(check_options const& options = {}) : options_(options) {
    found_.seed     = options.seed;
    found_.schedule = options.schedule;
    found_.delivery = options.delivery;
  }

  check_options const& options() const { return options_; }
  report const&        found() const { return found_; }
  report&              found() { return found_; }

 private:
  check_options options_;
  report        found_;
};

}  // namespace tenon::simt
