// What the checker tells apart beyond the kinds of tests/planted_bugs: each kernel beside its correct twin, reported at the
// marked lines under every schedule, the twin clean under every one.
#include "../../examples/museum/marks.hpp"

#include <tenon/arch/arch.cuh>
#include <tenon/simt/check.hpp>
#include <tenon/simt/cuda.hpp>
#include <tenon/simt/expect.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#if TENON_CHECKED

namespace {

using namespace tenon;
using simt::buffer, simt::check, simt::check_options, simt::delivery, simt::kind, simt::report, simt::schedule;

unsigned line_of(std::string const& mark) { return marks::find(__FILE__, mark).number; }

std::vector<check_options> runs() {
  std::vector<check_options> all;
  for (auto const order : marks::every<schedule>())
    all.push_back({.seed = all.size() + 1, .schedule = order, .delivery = marks::every<delivery>()[all.size() % 3]});
  return all;
}

/// run(options, std::bool_constant<planted>) gives a report. An empty mark stands for no second place.
template <class Run>
void planted(kind what, std::string const& here, std::string const& there, Run const& run) {
  unsigned const line = line_of(here), other = there.empty() ? 0 : line_of(there);
  for (auto const& options : runs()) {
    SCOPED_TRACE(to_string(options.schedule));
    EXPECT_TRUE(reports(run(options, std::true_type{}), what, line, other));
    EXPECT_TRUE(is_clean(run(options, std::false_type{})));
  }
}

template <class T>
T* shared() {
  return reinterpret_cast<T*>(&arch::shared<std::byte>());
}

// ---- races --------------------------------------------------------------------------------------------------------

template <bool Bug>
void behind_a_narrow_barrier(int* out) {
  int* const s   = shared<int>();
  s[threadIdx.x] = 3;  // [behind_a_narrow_barrier: write]
  arch::sync_warp(Bug ? (threadIdx.x < 16 ? 0xffffu : 0xffff0000u) : ~0u);
  out[threadIdx.x] = s[31 - threadIdx.x];  // [behind_a_narrow_barrier: read]
}
TEST(findings, a_warp_barrier_orders_its_mask_only) {
  for (auto const& options : runs()) {
    buffer<int>    out(32);
    auto const     found = check(options, behind_a_narrow_barrier<true>, 1, 32, 256, out.data());
    unsigned const read = line_of("behind_a_narrow_barrier: read"), write = line_of("behind_a_narrow_barrier: write");
    EXPECT_TRUE(reports(found, kind::read_after_write, read, write) ||
                reports(found, kind::write_after_read, write, read))
        << found;
    EXPECT_TRUE(is_clean(check(options, behind_a_narrow_barrier<false>, 1, 32, 256, out.data())));
  }
}

// Threads that share a four-byte cell but no byte do not race.
template <bool Bug>
void halves(int* out) {
  auto* const s  = shared<std::uint16_t>();
  auto* const b  = shared<std::uint8_t>() + 128;
  s[threadIdx.x] = static_cast<std::uint16_t>(threadIdx.x);
  b[threadIdx.x] = 1;                       // [halves: own]
  if (Bug && threadIdx.x == 40) b[41] = 2;  // [halves: other]
  arch::sync_block();
  out[threadIdx.x] = s[63 - threadIdx.x] + b[63 - threadIdx.x];
}
TEST(findings, bytes_of_one_word_are_told_apart) {
  planted(kind::write_after_write, "halves: own", "halves: other", [](auto const& o, auto bug) {
    buffer<int> out(64);
    return check(o, halves<bug()>, 1, 64, 256, out.data());
  });
}

template <bool Bug>
void counted(int* out) {
  int* const s = shared<int>();
  if (threadIdx.x == 0) s[0] = 0;
  arch::sync_block();
  arch::atomic_add(s, 1);  // [counted: atomic]
  if (!Bug) arch::sync_block();
  out[threadIdx.x] = s[0];  // [counted: read]
}
TEST(findings, a_plain_read_races_with_atomics) {
  planted(kind::read_after_write, "counted: read", "counted: atomic", [](auto const& o, auto bug) {
    buffer<int> out(64);
    return check(o, counted<bug()>, 1, 64, 256, out.data());
  });
}

enum class hand_over { fences, block_fence };
template <hand_over How>
void last_block_reduces(float* total, float* partial, unsigned* arrived) {
  auto* const last                       = shared<unsigned>();
  partial[blockIdx.x * 64 + threadIdx.x] = 1;  // [last_block_reduces: write]
  arch::sync_block();
  if (threadIdx.x == 0) {
    if (How == hand_over::fences) arch::fence_device();
    if (How == hand_over::block_fence) arch::fence_block();
    *last = arch::atomic_add(arrived, 1u);
    if (How == hand_over::fences) arch::fence_device();
    if (How == hand_over::block_fence) arch::fence_block();
  }
  arch::sync_block();
  if (*last != gridDim.x - 1 || threadIdx.x != 0) return;
  float sum = 0;
  for (unsigned i = 0; i < gridDim.x * 64; ++i) sum += partial[i];  // [last_block_reduces: read]
  *total = sum;
}
template <hand_over How>
report reduce(check_options const& o) {
  buffer<float>    total(1), partial(4 * 64);
  buffer<unsigned> arrived(1, 0u);
  auto             found = check(o, last_block_reduces<How>, 4, 64, 4, total.data(), partial.data(), arrived.data());
  EXPECT_EQ(total.values()[0], 256);
  return found;
}
TEST(findings, a_fence_reaches_as_far_as_its_scope) {
  planted(kind::read_after_write, "last_block_reduces: read", "last_block_reduces: write", [](auto const& o, auto bug) {
    return bug() ? reduce<hand_over::block_fence>(o) : reduce<hand_over::fences>(o);
  });
}

// Which barrier a race misses: one between the write and the read behind it, or one behind the read where the next turn of
// the loop writes too soon.
enum class gap { none, before_the_read, behind_the_read };
template <gap Where>
void turns(int* out) {
  int* const s   = shared<int>();
  int        sum = 0;
  for (int i = 0; i < 3; ++i) {
    s[threadIdx.x] = i;  // [turns: write]
    if (Where != gap::before_the_read) arch::sync_block();
    sum += s[63 - threadIdx.x];  // [turns: read]
    if (Where != gap::behind_the_read) arch::sync_block();
  }
  out[threadIdx.x] = sum;
}
TEST(findings, the_advice_names_the_side_that_lacks_a_barrier) {
  std::string const write = std::to_string(line_of("turns: write")), read = std::to_string(line_of("turns: read"));
  for (auto const& options : runs()) {
    SCOPED_TRACE(to_string(options.schedule));
    buffer<int> out(64);
    auto const  early = check(options, turns<gap::before_the_read>, 1, 64, 256, out.data());
    auto const  late  = check(options, turns<gap::behind_the_read>, 1, 64, 256, out.data());
    ASSERT_EQ(early.findings.size(), 1u) << early;
    ASSERT_EQ(late.findings.size(), 1u) << late;
    EXPECT_NE(early.findings[0].message.find("after line " + write + " and before line " + read), std::string::npos);
    EXPECT_NE(late.findings[0].message.find("after the read of line " + read + " and before line " + write),
              std::string::npos);
    EXPECT_EQ(late.findings[0].what, kind::write_after_read);
    EXPECT_TRUE(is_clean(check(options, turns<gap::none>, 1, 64, 256, out.data())));
  }
}

// The last readers of a word are of all warps: the advice is a barrier of the block, not of the warp.
template <bool Bug>
void one_normaliser(float* y) {
  auto* const s = shared<float>();
  for (int i = 0; i < 2; ++i) {
    if (threadIdx.x == 0) s[0] = 2;  // [one_normaliser: write]
    arch::sync_block();
    y[threadIdx.x] = s[0];  // [one_normaliser: read]
    if (!Bug) arch::sync_block();
    arch::shuffle(0, 0);
  }
}
TEST(findings, a_reader_of_another_warp_is_named) {
  planted(kind::write_after_read, "one_normaliser: write", "one_normaliser: read", [](auto const& o, auto bug) {
    buffer<float> y(128);
    auto          found = check(o, one_normaliser<bug()>, 1, 128, 4, y.data());
    for (auto& f : found.findings) {
      EXPECT_EQ(f.missing, "sync_block") << found;
      // Where thread 0 is a turn ahead, the slow ones read what it has written.
      if (f.what == kind::read_after_write) f.what = kind::write_after_read;
    }
    return found;
  });
}

// ---- addresses ----------------------------------------------------------------------------------------------------

template <bool Bug>
void no_output(int* out) {
  *out = 1;  // [no_output: write]
}
TEST(findings, a_null_pointer) {
  planted(kind::out_of_bounds, "no_output: write", "", [](auto const& o, auto bug) {
    buffer<int> out(1);
    return check(o, no_output<bug()>, 1, 1, 0, bug() ? nullptr : out.data());
  });
}

TEST(findings, freed_memory) {
  planted(kind::out_of_bounds, "no_output: write", "", [](auto const& o, auto bug) {
    buffer<int> out(1);
    int* const  p = out.data();
    if (bug()) out = buffer<int>(1);
    auto const later = std::move(out);
    if (bug()) buffer<int>().operator=(buffer<int>());
    return check(o, no_output<bug()>, 1, 1, 0, p);
  });
}

template <bool Bug>
void copied_askew(float* y, float const* x) {
  auto* const s = shared<float>();
  arch::cp_async<16>(s + 4 * threadIdx.x, x + 4 * threadIdx.x + (Bug ? 2 : 0));  // [copied_askew: copy]
  arch::cp_async_commit();
  arch::cp_async_wait<0>();
  for (unsigned i = 0; i < 4; ++i) y[4 * threadIdx.x + i] = s[4 * threadIdx.x + i];
}
TEST(findings, a_copy_is_misaligned) {
  planted(kind::misaligned, "copied_askew: copy", "", [](auto const& o, auto bug) {
    buffer<float> x(132, 1.f), y(128);
    return check(o, copied_askew<bug()>, 1, 32, 512, y.data(), x.data());
  });
}

template <class Vector, bool Bug>
void through_a_cast(float* y, float const* x) {
  auto const* const from = reinterpret_cast<Vector const*>(x + (Bug ? 1 : 0));
  auto* const       to   = reinterpret_cast<Vector*>(y);
  to[threadIdx.x]        = from[threadIdx.x];  // [through_a_cast: copy]
}
template <class Vector>
void expect_alignment() {
  planted(kind::misaligned, "through_a_cast: copy", "", [](auto const& o, auto bug) {
    buffer<float> x(132, 1.f), y(128);
    return check(o, through_a_cast<Vector, bug()>, 1, 32, 0, y.data(), x.data());
  });
}
TEST(findings, a_cast_pointer_to_float2_is_misaligned) { expect_alignment<float2>(); }
// The processor would refuse it too: the launch ends before the access.
TEST(findings, a_cast_pointer_to_float4_is_misaligned) { expect_alignment<float4>(); }

// ---- collectives and barriers -------------------------------------------------------------------------------------

template <bool Bug>
void absent_source(int* out) {
  int v = static_cast<int>(threadIdx.x);
  if (threadIdx.x < 16) v = arch::shuffle(v, Bug ? 20 : 4, 0xffffu);  // [absent_source: shuffle]
  out[threadIdx.x] = v;
}
TEST(findings, a_shuffle_reads_an_absent_lane) {
  planted(kind::divergent_collective, "absent_source: shuffle", "", [](auto const& o, auto bug) {
    buffer<int> out(32);
    return check(o, absent_source<bug()>, 1, 32, 0, out.data());
  });
}

template <int Id, int Threads>
void named(int* out) {
  arch::sync_named(Id, Threads);  // [named: barrier]
  out[threadIdx.x] = 1;
}
TEST(findings, a_named_barrier_has_a_number_and_counts_warps) {
  buffer<int>    out(64);
  unsigned const line = line_of("named: barrier");
  EXPECT_TRUE(is_clean(check({}, named<15, 64>, 1, 64, 0, out.data())));
  EXPECT_TRUE(reports(check({}, named<16, 64>, 1, 64, 0, out.data()), kind::barrier_misuse, line));
  EXPECT_TRUE(reports(check({}, named<1, 40>, 1, 64, 0, out.data()), kind::barrier_misuse, line));
  EXPECT_TRUE(reports(check({}, named<1, 96>, 1, 64, 0, out.data()), kind::barrier_misuse, line));
}

// ---- asynchronous copies ------------------------------------------------------------------------------------------

enum class copies { good, uncommitted, left_behind, overwritten };
template <copies How>
void pipeline(float* y, float const* x) {
  auto* const    s = shared<float>();  // two stages of 64
  unsigned const t = threadIdx.x;
  arch::cp_async<4>(s + t, x + t);  // [pipeline: first copy]
  if (How != copies::uncommitted) arch::cp_async_commit();
  arch::cp_async<4>(s + 64 + t, x + 64 + t);  // [pipeline: second copy]
  if (How != copies::uncommitted) arch::cp_async_commit();
  if (How == copies::overwritten) s[64 + t] = 1;  // [pipeline: write]
  arch::cp_async_wait<1>();
  arch::sync_block();
  y[t] = s[t];  // [pipeline: first read]
  if (How == copies::left_behind) return;
  arch::cp_async_wait<0>();
  arch::sync_block();
  y[64 + t] = s[64 + (63 - t)];
}
template <copies How>
report run_pipeline(check_options const& o) {
  buffer<float> x(128, 1.f), y(128);
  return check(o, pipeline<How>, 1, 64, 512, y.data(), x.data());
}
TEST(findings, a_copy_is_read_without_a_commit) {
  planted(kind::unwaited_copy, "pipeline: first read", "pipeline: first copy",
          [](auto const& o, auto bug) { return run_pipeline < bug() ? copies::uncommitted : copies::good > (o); });
}
TEST(findings, a_thread_returns_with_a_copy_in_flight) {
  planted(kind::unwaited_copy, "pipeline: second copy", "",
          [](auto const& o, auto bug) { return run_pipeline < bug() ? copies::left_behind : copies::good > (o); });
}
TEST(findings, a_copy_in_flight_is_overwritten) {
  planted(kind::unwaited_copy, "pipeline: write", "pipeline: second copy",
          [](auto const& o, auto bug) { return run_pipeline < bug() ? copies::overwritten : copies::good > (o); });
}

template <bool Bug>
void moving_source(float* y, float* x) {
  auto* const    s = shared<float>();
  unsigned const t = threadIdx.x;
  arch::cp_async<4>(s + t, x + t);  // [moving_source: copy]
  arch::cp_async_commit();
  if (Bug) x[t] = 3;
  arch::cp_async_wait<0>();
  if (!Bug) x[t] = 3;
  y[t] = s[t];
}
TEST(findings, the_source_of_a_copy_changes_on_its_way) {
  planted(kind::unwaited_copy, "moving_source: copy", "", [](auto const& o, auto bug) {
    buffer<float> x(64, 1.f), y(64);
    return check(o, moving_source<bug()>, 1, 64, 256, y.data(), x.data());
  });
}

// ---- deadlocks ----------------------------------------------------------------------------------------------------

template <bool Bug>
void waiting(int* out) {
  if (Bug && threadIdx.x < 16) arch::sync_warp();  // [waiting: warp]
  else arch::sync_block();                         // [waiting: block]
  if (!Bug) arch::sync_warp();
  out[threadIdx.x] = 1;
}
TEST(findings, threads_wait_for_each_other) {
  planted(kind::deadlock, "waiting: warp", "waiting: block", [](auto const& o, auto bug) {
    buffer<int> out(64);
    return check(o, waiting<bug()>, 1, 64, 0, out.data());
  });
}

template <bool Bug>
void never_set(int* out, unsigned* flag) {
  if (threadIdx.x == 0 && !Bug) arch::store_release(flag, 1u);
  if (threadIdx.x == 1) {
    while (arch::load_acquire(flag) == 0) {  // [never_set: poll]
    }
    *out = 1;
  }
}
TEST(findings, a_flag_that_nobody_sets) {
  planted(kind::deadlock, "never_set: poll", "", [](auto const& o, auto bug) {
    buffer<int>      out(1);
    buffer<unsigned> flag(1, 0u);
    return check(o, never_set<bug()>, 1, 32, 0, out.data(), flag.data());
  });
}

// ---- faults: the launch ends, the program goes on -----------------------------------------------------------------

template <bool Bug>
void far_away(int* out, std::size_t stride) {
  out[Bug ? threadIdx.x * stride : threadIdx.x] = 1;  // [far_away: write]
}
TEST(findings, memory_that_does_not_exist) {
  planted(kind::out_of_bounds, "far_away: write", "", [](auto const& o, auto bug) {
    buffer<int> out(64);
    return check(o, far_away<bug()>, 1, 64, 0, out.data(), std::size_t{1} << 42);
  });
}

[[gnu::noinline]] int deep(int volatile* at, int depth) {
  int volatile local[1024] = {depth};
  if (depth > 0) local[1] = deep(local, depth - 1);  // [deep: call]
  return local[0] + local[1] + (at ? at[0] : 0);
}
template <bool Bug>
void recursive(int* out) {
  out[threadIdx.x] = deep(nullptr, Bug ? 1000 : 3);
}
TEST(findings, a_stack_that_is_too_small) {
  for (auto const& options : runs()) {
    buffer<int> out(32);
    EXPECT_TRUE(check(options, recursive<true>, 1, 32, 0, out.data()).has(kind::out_of_bounds));
    EXPECT_TRUE(is_clean(check(options, recursive<false>, 1, 32, 0, out.data())));
  }
}

}  // namespace

#else

namespace {

void touch(int* p) { *p = 1; }

// A report of a program that is no checked build must not pass for a clean one.
TEST(findings, a_plain_build_says_that_it_checks_nothing) {
  tenon::simt::buffer<int> word(1);
  auto const               found = tenon::simt::check({}, touch, 1, 1, 0, word.data());
  EXPECT_FALSE(found.clean());
  EXPECT_TRUE(tenon::simt::reports(found, tenon::simt::kind::not_checked));
  EXPECT_EQ(word.values()[0], 1);
}

}  // namespace

#endif
