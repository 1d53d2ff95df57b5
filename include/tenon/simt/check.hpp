#pragma once
//  Runs one kernel under the checker and says what it found.
//
//    auto const found = tenon::simt::check({.seed = 1, .schedule = tenon::simt::schedule::random},
//                                          my_kernel<float>, grid, block, shared_bytes, out.data(), in.data(), n);
//    EXPECT_TRUE(found.clean()) << found;
//
//  The file must be part of a checked build (cmake/tenon_add_checked_test.cmake); in any other the report says so and is
//  not clean.
#include <tenon/simt/buffer.hpp>
#include <tenon/simt/launch.hpp>
#include <tenon/simt/report.hpp>
#include <tenon/simt/session.hpp>

#include <concepts>
#include <cstddef>
#include <type_traits>

namespace tenon::simt {

/// Runs kernel(args...) over the grid with these options.
template <class Kernel, class... Args>
requires kernel_for<Kernel, Args...> report check(check_options const& options, Kernel kernel, dim3 grid, dim3 block,
                                                  std::size_t shared_bytes, Args const&... args) {
  simt::session session(options);
  launch(session, kernel, grid, block, shared_bytes, args...);
  return session.found();
}

}  // namespace tenon::simt
