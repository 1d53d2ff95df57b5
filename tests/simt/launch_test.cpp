// Grids, buffers and sessions of the host target.
#include <tenon/arch/arch.cuh>
#include <tenon/simt/check.hpp>
#include <tenon/simt/expect.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace {

using namespace tenon;
using simt::buffer, simt::dim3;

void number_threads(unsigned* out) {
  unsigned const block  = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  unsigned const thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}

TEST(launch, every_thread_of_a_three_dimensional_grid_runs_once) {
  buffer<unsigned> out(24 * 30);
  EXPECT_EQ(simt::launch(number_threads, dim3(2, 3, 4), dim3(5, 3, 2), 0, out.data()), simt::outcome::finished);
  auto const got = out.values();
  for (unsigned i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], i / 30 * 1000 + i % 30);
}

void never_met(int* out) {
  if (threadIdx.x < 16) arch::sync_warp();
  else arch::sync_block();
  out[threadIdx.x] = 1;
}

TEST(launch, a_deadlock_ends_the_launch_and_leaves_the_next_one_alone) {
  buffer<int> out(64);
  EXPECT_EQ(simt::launch(never_met, 3, 64, 0, out.data()), simt::outcome::deadlock);
  buffer<unsigned> numbers(64);
  EXPECT_EQ(simt::launch(number_threads, 1, 64, 0, numbers.data()), simt::outcome::finished);
  EXPECT_EQ(numbers.values()[63], 63u);
}

struct deadlock_params {
  int* out;
};
void never_met_kernel(deadlock_params const p) { never_met(p.out); }

TEST(launch, an_operator_answers_a_deadlock_with_a_status) {
  buffer<int>   out(64);
  simt::session session;
  context       where;
  where.arch    = 80;
  where.session = &session;
  auto const s =
      arch::launch("never_met", where, {.grid = 1, .block = 64}, never_met_kernel, deadlock_params{out.data()});
  EXPECT_EQ(s.code, errc::launch_failed);
  EXPECT_STREQ(s.subject, "deadlock");
}

TEST(buffer, is_aligned_moves_and_keeps_what_the_host_writes) {
  for (std::size_t const n : {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{1000}}) {
    buffer<std::uint16_t> b(n, std::uint16_t{7});
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.data()) % 256, 0u);
    buffer<std::uint16_t> const moved = std::move(b);
    EXPECT_EQ(moved.values(), std::vector<std::uint16_t>(n, 7));
    EXPECT_EQ(b.size(), 0u);
  }
}

TEST(buffer, is_unset_to_a_pattern_that_reads_as_nan) {
  buffer<float> const b(5);
  for (float const v : b.values()) EXPECT_NE(v, v);
}

#if TENON_CHECKED

void add_one(int* y, int const* x) { y[threadIdx.x] = x[threadIdx.x] + 1; }

TEST(buffer, what_the_host_writes_in_place_counts_as_written) {
  buffer<int> x(64), y(64);
  for (std::size_t i = 0; i < 32; ++i) x.data()[i] = static_cast<int>(i);
  int more[32] = {};
  std::memcpy(x.data() + 32, more, sizeof more);
  EXPECT_TRUE(is_clean(simt::check({}, add_one, 1, 64, 0, y.data(), x.data())));
  buffer<int> z(64);
  EXPECT_TRUE(reports(simt::check({}, add_one, 1, 64, 0, y.data(), z.data()), simt::kind::uninitialised_read));
}

TEST(buffer, what_an_earlier_launch_wrote_counts_as_written) {
  buffer<int> x(64, 1), y(64), z(64);
  EXPECT_TRUE(is_clean(simt::check({}, add_one, 1, 64, 0, y.data(), x.data())));
  EXPECT_TRUE(is_clean(simt::check({}, add_one, 1, 64, 0, z.data(), y.data())));
}

TEST(session, collects_over_launches_and_names_a_cause_once) {
  simt::session     session({.seed = 5});
  simt::run_options options;
  buffer<int>       x(63, 1), y(64);
  options.session = &session;
  for (int i = 0; i < 3; ++i)
    simt::detail::launch(options, add_one, 1, 64, 0, y.data(), static_cast<int const*>(x.data()));
  ASSERT_EQ(session.found().findings.size(), 1u);
  auto const& f = session.found().findings[0];
  EXPECT_EQ(f.what, simt::kind::out_of_bounds);
  EXPECT_EQ(f.times, 3u);
  EXPECT_EQ(session.found().launches, 3u);
  EXPECT_NE(f.here.file.find("launch_test.cpp"), std::string::npos) << f;
  EXPECT_NE(f.here.thread.find("thread 63 (warp 1, lane 31) of block (0, 0, 0)"), std::string::npos) << f;
}

TEST(session, the_same_seed_finds_the_same) {
  auto const run = [] {
    buffer<int> out(64);
    auto        found = simt::check({.seed = 9, .schedule = simt::schedule::random}, never_met, 2, 64, 0, out.data());
    std::string text;
    for (auto const& f : found.findings) text += std::to_string(f.here.line) + f.here.thread + f.there.thread;
    return text;
  };
  auto const first = run();
  EXPECT_FALSE(first.empty());
  EXPECT_EQ(first, run());
}

TEST(session, without_one_findings_fail_the_launch) {
  buffer<int> x(63, 1), y(64);
  testing::internal::CaptureStderr();
  EXPECT_EQ(simt::launch(add_one, 1, 64, 0, y.data(), x.data()), simt::outcome::faulty);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("out of bounds"), std::string::npos);
}

TEST(session, a_dead_checker_ends_the_program) {
  EXPECT_DEATH(simt::detail::prove_alive([](void const*) {}), "the checker of this program is dead");
}

// A block of one thread, as arch 0 has them, is checked too.
void one_thread(int* y, int const* x, int n) {
  for (int i = 0; i < n; ++i) y[i] = x[i];
}
TEST(session, blocks_of_one_thread_are_checked) {
  buffer<int> x(10, 1), unset(10), y(10);
  EXPECT_TRUE(is_clean(simt::check({}, one_thread, 1, 1, 0, y.data(), x.data(), 10)));
  EXPECT_TRUE(reports(simt::check({}, one_thread, 1, 1, 0, y.data(), x.data(), 11), simt::kind::out_of_bounds));
  EXPECT_TRUE(
      reports(simt::check({}, one_thread, 1, 1, 0, y.data(), unset.data(), 10), simt::kind::uninitialised_read));
  EXPECT_TRUE(reports(simt::check({}, one_thread, 2, 1, 0, y.data(), x.data(), 10), simt::kind::write_after_write));
}

#endif

}  // namespace
