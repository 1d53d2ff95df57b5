#pragma once
//  The runs of one test: on the host target as each architecture (and, in a checked build, over several schedules); on CUDA
//  as the device at hand.
#include <tenon/arch/arch.cuh>
#include <tenon/core/architecture.hpp>
#include <tenon/core/context.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace test {

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
    body(static_cast<tenon::context const&>(where));
    if (testing::Test::HasFatalFailure()) return;
  }
#endif
}

}  // namespace test
