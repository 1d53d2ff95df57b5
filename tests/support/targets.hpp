#pragma once
//  The runs of one test: on the host target as each architecture (and, in a checked build, over several schedules); on CUDA
//  as the device at hand.
#include <tenon/arch/arch.cuh>
#include <tenon/core/architecture.hpp>
#include <tenon/core/context.hpp>

#if !TENON_CUDA
#  include <tenon/simt/session.hpp>
#endif

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace test {

#if !TENON_CUDA
/// What every checked test runs under: three schedules, and three others where TENON_SEED in the environment is not 1.
inline std::vector<tenon::simt::check_options> checked_runs() {
  using tenon::simt::schedule, tenon::simt::delivery;
  char const* const   text = std::getenv("TENON_SEED");
  std::uint64_t const seed = text ? std::strtoull(text, nullptr, 10) : 1;
  if (seed == 1)
    return {{.seed = seed, .schedule = schedule::in_order, .delivery = delivery::late},
            {.seed = seed, .schedule = schedule::reversed, .delivery = delivery::eager},
            {.seed = seed, .schedule = schedule::random, .delivery = delivery::random}};
  return {{.seed = seed, .schedule = schedule::warp_ahead, .delivery = delivery::late},
          {.seed = seed, .schedule = schedule::priorities, .delivery = delivery::random},
          {.seed = seed, .schedule = schedule::random, .delivery = delivery::late}};
}
#endif

/// Calls body(context) for every run; a checked run must end without findings.
///   test::on_every_target([&](tenon::context const& where) { ASSERT_TRUE(tenon::rms_norm(where, ...).ok()); });
template <class Body>
void on_every_target(Body const& body) {
#if TENON_CUDA
  tenon::context where;
  where.arch = tenon::arch::built_for();
  if (where.arch == 0) GTEST_SKIP() << "no CUDA device";
  body(static_cast<tenon::context const&>(where));
#else
  for (int const arch : tenon::architectures) {
    SCOPED_TRACE("acting as architecture " + std::to_string(arch));
    tenon::context where;
    where.arch = arch;
#  if TENON_CHECKED
    for (auto const& options : checked_runs()) {
      tenon::simt::session session(options);
      where.session = &session;
      body(static_cast<tenon::context const&>(where));
      EXPECT_TRUE(session.found().clean()) << session.found();
      if (testing::Test::HasFatalFailure()) return;
    }
#  else
    body(static_cast<tenon::context const&>(where));
#  endif
    if (testing::Test::HasFatalFailure()) return;
  }
#endif
}

}  // namespace test
