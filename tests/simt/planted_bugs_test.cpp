// Every kind of bug that the checker knows, planted in a small kernel beside its correct twin. The bug must be reported
// at the marked lines under every schedule; the twin must be clean under every one.
#include <tenon/arch/arch.cuh>
#include <tenon/simt/check.hpp>
#include <tenon/simt/expect.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#if TENON_CHECKED

namespace {

using namespace tenon;
using simt::buffer, simt::check, simt::check_options, simt::delivery, simt::kind, simt::report, simt::schedule;

/// The line of this file that ends with the mark.
unsigned line_of(std::string const& mark) {
  std::ifstream     file(__FILE__);
  std::string       line;
  std::string const wanted = "// [" + mark + "]";
  for (unsigned n = 1; std::getline(file, line); ++n)
    if (line.size() >= wanted.size() && line.compare(line.size() - wanted.size(), wanted.size(), wanted) == 0) return n;
  ADD_FAILURE() << "no line is marked " << mark;
  return 0;
}

std::vector<check_options> const runs = {
    {.seed = 1, .schedule = schedule::in_order, .delivery = delivery::late},
    {.seed = 2, .schedule = schedule::reversed, .delivery = delivery::eager},
    {.seed = 3, .schedule = schedule::warp_ahead, .delivery = delivery::late},
    {.seed = 4, .schedule = schedule::random, .delivery = delivery::random},
    {.seed = 5, .schedule = schedule::random, .delivery = delivery::late},
};

/// run(options, std::bool_constant<planted>) gives a report. An empty mark stands for no second place.
template <class Run>
void planted(kind what, std::string const& here, std::string const& there, Run const& run) {
  unsigned const line = line_of(here), other = there.empty() ? 0 : line_of(there);
  for (auto const& options : runs) {
    SCOPED_TRACE(std::string(to_string(options.schedule)) + ", seed " + std::to_string(options.seed));
    EXPECT_TRUE(reports(run(options, std::true_type{}), what, line, other));
    EXPECT_TRUE(is_clean(run(options, std::false_type{})));
  }
}

template <class T>
T* shared() {
  return reinterpret_cast<T*>(&arch::shared<std::byte>());
}

// ---- races in shared memory ---------------------------------------------------------------------------------------

template <bool Bug>
void neighbour(int* out) {
  int* const s   = shared<int>();
  s[threadIdx.x] = static_cast<int>(threadIdx.x);  // [neighbour: write]
  if (!Bug) arch::sync_block();
  out[threadIdx.x] = s[(threadIdx.x + 32) % 64];  // [neighbour: read]
}
TEST(planted_bugs, read_before_the_barrier) {
  planted(kind::read_after_write, "neighbour: read", "neighbour: write", [](auto const& o, auto bug) {
    buffer<int> out(64);
    // Where the reader comes first its read is of unset bytes, and the write races with the read.
    auto found = check(o, neighbour<bug()>, 1, 64, 256, out.data());
    if (bug() && !found.has(kind::read_after_write) && found.has(kind::write_after_read))
      for (auto& f : found.findings)
        if (f.what == kind::write_after_read) f.what = kind::read_after_write;
    return found;
  });
}

template <bool Bug>
void reused(int* out) {
  int* const s   = shared<int>();
  int        sum = 0;
  for (int i = 0; i < 3; ++i) {
    s[threadIdx.x] = i;  // [reused: write]
    arch::sync_block();
    sum += s[63 - threadIdx.x];  // [reused: read]
    if (!Bug) arch::sync_block();
  }
  out[threadIdx.x] = sum;
}
TEST(planted_bugs, write_before_everyone_has_read) {
  planted(kind::write_after_read, "reused: write", "reused: read", [](auto const& o, auto bug) {
    buffer<int> out(64);
    return check(o, reused<bug()>, 1, 64, 256, out.data());
  });
}

template <bool Bug>
void one_total(int* out) {
  int* const s = shared<int>();
  if (Bug || threadIdx.x == 0) s[0] = 7;  // [one_total: write]
  arch::sync_block();
  out[threadIdx.x] = s[0];
}
TEST(planted_bugs, two_threads_write_one_word) {
  planted(kind::write_after_write, "one_total: write", "one_total: write", [](auto const& o, auto bug) {
    buffer<int> out(64);
    return check(o, one_total<bug()>, 1, 64, 256, out.data());
  });
}

template <bool Bug>
void within_a_warp(int* out) {
  int* const s   = shared<int>();
  s[threadIdx.x] = 1;
  arch::sync_block();
  s[threadIdx.x] = static_cast<int>(threadIdx.x);  // [within_a_warp: write]
  if (!Bug) arch::sync_warp();
  out[threadIdx.x] = s[threadIdx.x ^ 1];  // [within_a_warp: read]
}
TEST(planted_bugs, lanes_do_not_run_in_lock_step) {
  planted(kind::read_after_write, "within_a_warp: read", "within_a_warp: write", [](auto const& o, auto bug) {
    buffer<int> out(64);
    return check(o, within_a_warp<bug()>, 1, 64, 256, out.data());
  });
}

template <bool Bug>
void behind_a_shuffle(int* out) {
  int* const s = shared<int>();
  if (threadIdx.x == 0) s[0] = 5;  // [behind_a_shuffle: write]
  int const v = arch::shuffle(static_cast<int>(threadIdx.x), 0);
  if (!Bug) arch::sync_warp();
  out[threadIdx.x] = s[0] + v;  // [behind_a_shuffle: read]
}
TEST(planted_bugs, a_shuffle_orders_no_memory) {
  planted(kind::read_after_write, "behind_a_shuffle: read", "behind_a_shuffle: write", [](auto const& o, auto bug) {
    buffer<int> out(32);
    return check(o, behind_a_shuffle<bug()>, 1, 32, 256, out.data());
  });
}

template <bool Bug>
void behind_a_narrow_barrier(int* out) {
  int* const s   = shared<int>();
  s[threadIdx.x] = 3;  // [behind_a_narrow_barrier: write]
  arch::sync_warp(Bug ? (threadIdx.x < 16 ? 0xffffu : 0xffff0000u) : ~0u);
  out[threadIdx.x] = s[31 - threadIdx.x];  // [behind_a_narrow_barrier: read]
}
TEST(planted_bugs, a_warp_barrier_orders_its_mask_only) {
  for (auto const& options : runs) {
    buffer<int>    out(32);
    auto const     found = check(options, behind_a_narrow_barrier<true>, 1, 32, 256, out.data());
    unsigned const read = line_of("behind_a_narrow_barrier: read"), write = line_of("behind_a_narrow_barrier: write");
    EXPECT_TRUE(reports(found, kind::read_after_write, read, write) ||
                reports(found, kind::write_after_read, write, read))
        << found;
    EXPECT_TRUE(is_clean(check(options, behind_a_narrow_barrier<false>, 1, 32, 256, out.data())));
  }
}

union storage {
  int   tile[64];
  float sums[64];
};
template <bool Bug>
void overlapping(int* out) {
  auto& s             = arch::shared<storage>();
  s.tile[threadIdx.x] = 1;
  arch::sync_block();
  int const v = s.tile[63 - threadIdx.x];  // [overlapping: read]
  if (!Bug) arch::sync_block();
  s.sums[threadIdx.x] = static_cast<float>(v);  // [overlapping: write]
  out[threadIdx.x]    = static_cast<int>(s.sums[threadIdx.x]);
}
TEST(planted_bugs, members_of_a_union_overlap) {
  planted(kind::write_after_read, "overlapping: write", "overlapping: read", [](auto const& o, auto bug) {
    buffer<int> out(64);
    return check(o, overlapping<bug()>, 1, 64, sizeof(storage), out.data());
  });
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
TEST(planted_bugs, bytes_of_one_word_are_told_apart) {
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
TEST(planted_bugs, a_plain_read_races_with_atomics) {
  planted(kind::read_after_write, "counted: read", "counted: atomic", [](auto const& o, auto bug) {
    buffer<int> out(64);
    return check(o, counted<bug()>, 1, 64, 256, out.data());
  });
}

// ---- global memory ------------------------------------------------------------------------------------------------

template <bool Bug>
void block_sums(int* sum, int const* x) {
  int const v   = x[blockIdx.x * 32 + threadIdx.x];
  int       all = v;
  for (int lanes = 16; lanes > 0; lanes /= 2) all += arch::shuffle_xor(all, lanes);
  if (threadIdx.x != 0) return;
  if (Bug) sum[0] += all;  // [block_sums: update]
  else arch::atomic_add(sum, all);
}
TEST(planted_bugs, blocks_race_in_global_memory) {
  for (auto const& options : runs) {
    buffer<int>    sum(1, 0), x(128, 1);
    unsigned const line  = line_of("block_sums: update");
    auto const     found = check(options, block_sums<true>, 4, 32, 0, sum.data(), x.data());
    EXPECT_TRUE(reports(found, kind::read_after_write, line, line)) << found;
    EXPECT_TRUE(reports(found, kind::write_after_write, line, line) || reports(found, kind::read_after_write)) << found;
    sum.assign(std::vector<int>{0});
    EXPECT_TRUE(is_clean(check(options, block_sums<false>, 4, 32, 0, sum.data(), x.data())));
    EXPECT_EQ(sum.values()[0], 128);
  }
}

enum class hand_over { ordered, fences, none, block_fence };
template <hand_over How>
void last_block_reduces(float* total, float* partial, unsigned* arrived) {
  auto* const last                       = shared<unsigned>();
  partial[blockIdx.x * 64 + threadIdx.x] = 1;  // [last_block_reduces: write]
  arch::sync_block();
  if (threadIdx.x == 0) {
    if (How == hand_over::ordered) *last = arch::atomic_add_ordered(arrived, 1u);
    if (How == hand_over::fences) arch::fence_device();
    if (How == hand_over::block_fence) arch::fence_block();
    if (How != hand_over::ordered) *last = arch::atomic_add(arrived, 1u);
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
TEST(planted_bugs, a_semaphore_needs_release_and_acquire) {
  planted(kind::read_after_write, "last_block_reduces: read", "last_block_reduces: write",
          [](auto const& o, auto bug) { return bug() ? reduce<hand_over::none>(o) : reduce<hand_over::ordered>(o); });
}
TEST(planted_bugs, a_fence_reaches_as_far_as_its_scope) {
  planted(kind::read_after_write, "last_block_reduces: read", "last_block_reduces: write", [](auto const& o, auto bug) {
    return bug() ? reduce<hand_over::block_fence>(o) : reduce<hand_over::fences>(o);
  });
}

template <bool Bug>
void flagged(int* out, unsigned* flag, int* value) {
  if (threadIdx.x == 0) {
    *value = 9;  // [flagged: write]
    if (Bug) arch::atomic_exchange(flag, 1u);
    else arch::store_release(flag, 1u);
  }
  if (threadIdx.x == 32) {
    while (arch::load_acquire(flag) == 0) {
    }
    *out = *value;  // [flagged: read]
  }
}
TEST(planted_bugs, a_flag_needs_a_release) {
  planted(kind::read_after_write, "flagged: read", "flagged: write", [](auto const& o, auto bug) {
    buffer<int>      out(1), value(1);
    buffer<unsigned> flag(1, 0u);
    auto const       found = check(o, flagged<bug()>, 1, 64, 0, out.data(), flag.data(), value.data());
    EXPECT_EQ(out.values()[0], 9);
    return found;
  });
}

template <bool Bug>
void tail(float* y, float const* x, unsigned n) {
  unsigned const i = blockIdx.x * 64 + threadIdx.x;
  if (Bug || i < n) y[i] = 2 * x[i];  // [tail: copy]
}
TEST(planted_bugs, the_tail_is_out_of_bounds) {
  planted(kind::out_of_bounds, "tail: copy", "", [](auto const& o, auto bug) {
    buffer<float> x(100, 1.f), y(100);
    return check(o, tail<bug()>, 2, 64, 0, y.data(), x.data(), 100u);
  });
}

template <bool Bug>
void accumulated(float* y, float const* x) {
  y[threadIdx.x] = (Bug ? y[threadIdx.x] : 0.f) + x[threadIdx.x];  // [accumulated: read]
}
TEST(planted_bugs, global_memory_is_unset) {
  planted(kind::uninitialised_read, "accumulated: read", "", [](auto const& o, auto bug) {
    buffer<float> x(64, 1.f), y(64);
    return check(o, accumulated<bug()>, 1, 64, 0, y.data(), x.data());
  });
}

template <bool Bug>
void no_output(int* out) {
  *out = 1;  // [no_output: write]
}
TEST(planted_bugs, a_null_pointer) {
  planted(kind::out_of_bounds, "no_output: write", "", [](auto const& o, auto bug) {
    buffer<int> out(1);
    return check(o, no_output<bug()>, 1, 1, 0, bug() ? nullptr : out.data());
  });
}

TEST(planted_bugs, freed_memory) {
  planted(kind::out_of_bounds, "no_output: write", "", [](auto const& o, auto bug) {
    buffer<int> out(1);
    int* const  p = out.data();
    if (bug()) out = buffer<int>(1);
    auto const later = std::move(out);
    if (bug()) buffer<int>().operator=(buffer<int>());
    return check(o, no_output<bug()>, 1, 1, 0, p);
  });
}

// ---- shared memory: bounds, initialisation ------------------------------------------------------------------------

template <bool Bug>
void one_too_far(int* out) {
  int* const s                   = shared<int>();
  s[threadIdx.x + (Bug ? 1 : 0)] = 1;  // [one_too_far: write]
  arch::sync_block();
  out[threadIdx.x] = s[63];
}
TEST(planted_bugs, shared_memory_ends) {
  planted(kind::out_of_bounds, "one_too_far: write", "", [](auto const& o, auto bug) {
    buffer<int> out(64);
    return check(o, one_too_far<bug()>, 1, 64, 256, out.data());
  });
}

struct two_stages {
  float stage[2][64];
};
template <bool Bug>
void staged(float* out) {
  auto& s                 = arch::shared<two_stages>();  // [staged: storage]
  s.stage[0][threadIdx.x] = 1;
  out[threadIdx.x]        = s.stage[0][threadIdx.x];
}
TEST(planted_bugs, the_launch_gives_too_little_shared_memory) {
  planted(kind::out_of_bounds, "staged: storage", "", [](auto const& o, auto bug) {
    buffer<float> out(64);
    return check(o, staged<bug()>, 1, 64, sizeof(two_stages) / (bug() ? 2 : 1), out.data());
  });
}

template <bool Bug>
void half_filled(int* out) {
  int* const s = shared<int>();
  if (!Bug || threadIdx.x < 48) s[threadIdx.x] = 1;
  arch::sync_block();
  out[threadIdx.x] = s[63 - threadIdx.x];  // [half_filled: read]
}
TEST(planted_bugs, shared_memory_is_unset) {
  planted(kind::uninitialised_read, "half_filled: read", "", [](auto const& o, auto bug) {
    buffer<int> out(64);
    return check(o, half_filled<bug()>, 1, 64, 256, out.data());
  });
}

// ---- alignment ----------------------------------------------------------------------------------------------------

template <bool Bug>
void vectors(float* y, float const* x) {
  arch::store(y + 4 * threadIdx.x, arch::load<4>(x + 4 * threadIdx.x + (Bug ? 1 : 0)));  // [vectors: load]
}
TEST(planted_bugs, a_vector_load_is_misaligned) {
  planted(kind::misaligned, "vectors: load", "", [](auto const& o, auto bug) {
    buffer<float> x(132, 1.f), y(128);
    return check(o, vectors<bug()>, 1, 32, 0, y.data(), x.data());
  });
}

template <bool Bug>
void matrix_rows(std::uint32_t* out) {
  auto* const s = shared<std::uint16_t>();
  for (unsigned i = threadIdx.x; i < 8 * 24 + 8; i += 32) s[i] = static_cast<std::uint16_t>(i);
  arch::sync_block();
  std::uint32_t  r[1];
  unsigned const pitch = Bug ? 12 : 24;            // elements; 12 of two bytes are no multiple of 16 bytes
  arch::ldmatrix(r, s + threadIdx.x % 8 * pitch);  // [matrix_rows: load]
  out[threadIdx.x] = r[0];
}
TEST(planted_bugs, a_matrix_row_is_misaligned) {
  planted(kind::misaligned, "matrix_rows: load", "", [](auto const& o, auto bug) {
    buffer<std::uint32_t> out(32);
    return check(o, matrix_rows<bug()>, 1, 32, 512, out.data());
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
TEST(planted_bugs, a_copy_is_misaligned) {
  planted(kind::misaligned, "copied_askew: copy", "", [](auto const& o, auto bug) {
    buffer<float> x(132, 1.f), y(128);
    return check(o, copied_askew<bug()>, 1, 32, 512, y.data(), x.data());
  });
}

// ---- divergence ---------------------------------------------------------------------------------------------------

template <bool Bug>
void two_barriers(int* out) {
  int* const s   = shared<int>();
  s[threadIdx.x] = 1;
  if (Bug && threadIdx.x >= 32) arch::sync_block();  // [two_barriers: upper]
  else arch::sync_block();                           // [two_barriers: lower]
  out[threadIdx.x] = s[63 - threadIdx.x];
}
TEST(planted_bugs, threads_meet_at_different_barriers) {
  planted(kind::divergent_barrier, "two_barriers: upper", "two_barriers: lower", [](auto const& o, auto bug) {
    buffer<int> out(64);
    return check(o, two_barriers<bug()>, 1, 64, 256, out.data());
  });
}

template <bool Bug>
void two_shuffles(int* out) {
  int v = static_cast<int>(threadIdx.x);
  if (!Bug || threadIdx.x < 16) v = arch::shuffle_xor(v, 1);  // [two_shuffles: xor]
  else v = arch::shuffle_down(v, 1);                          // [two_shuffles: down]
  out[threadIdx.x] = v;
}
TEST(planted_bugs, lanes_execute_different_collectives) {
  planted(kind::divergent_collective, "two_shuffles: xor", "two_shuffles: down", [](auto const& o, auto bug) {
    buffer<int> out(32);
    return check(o, two_shuffles<bug()>, 1, 32, 0, out.data());
  });
}

template <bool Bug>
void mma_in_a_branch(float* out) {
  float               d[4] = {};
  std::uint32_t const a[4] = {}, b[2] = {};
  if (!Bug || threadIdx.x < 8) arch::mma_m16n8k16<bf16>(d, a, b);  // [mma_in_a_branch: one]
  else arch::mma_m16n8k16<bf16>(d, a, b);                          // [mma_in_a_branch: other]
  out[threadIdx.x] = d[0];
}
TEST(planted_bugs, a_diverged_warp_reaches_an_mma) {
  planted(kind::divergent_collective, "mma_in_a_branch: one", "mma_in_a_branch: other", [](auto const& o, auto bug) {
    buffer<float> out(32);
    return check(o, mma_in_a_branch<bug()>, 1, 32, 0, out.data());
  });
}

template <bool Bug>
void masked_out(int* out) {
  int v = 1;
  if (threadIdx.x < 16) v = arch::shuffle_xor(v, 1, Bug ? 0xff00u : 0xffffu);  // [masked_out: shuffle]
  out[threadIdx.x] = v;
}
TEST(planted_bugs, a_lane_is_not_in_its_own_mask) {
  planted(kind::divergent_collective, "masked_out: shuffle", "", [](auto const& o, auto bug) {
    buffer<int> out(32);
    return check(o, masked_out<bug()>, 1, 32, 0, out.data());
  });
}

template <bool Bug>
void absent_source(int* out) {
  int v = static_cast<int>(threadIdx.x);
  if (threadIdx.x < 16) v = arch::shuffle(v, Bug ? 20 : 4, 0xffffu);  // [absent_source: shuffle]
  out[threadIdx.x] = v;
}
TEST(planted_bugs, a_shuffle_reads_an_absent_lane) {
  planted(kind::divergent_collective, "absent_source: shuffle", "", [](auto const& o, auto bug) {
    buffer<int> out(32);
    return check(o, absent_source<bug()>, 1, 32, 0, out.data());
  });
}

template <bool Bug>
void early_return(std::uint32_t* out) {
  auto* const s = shared<std::uint16_t>();
  for (unsigned i = threadIdx.x; i < 64; i += 32) s[i] = 1;
  arch::sync_block();
  if (Bug && threadIdx.x >= 30) return;
  std::uint32_t r[1];
  arch::ldmatrix(r, s + threadIdx.x % 8 * 8);  // [early_return: load]
  out[threadIdx.x] = Bug ? 0 : r[0];
}
TEST(planted_bugs, lanes_have_returned_before_an_aligned_operation) {
  planted(kind::divergent_collective, "early_return: load", "", [](auto const& o, auto bug) {
    buffer<std::uint32_t> out(32);
    return check(o, early_return<bug()>, 1, 32, 128, out.data());
  });
}

// ---- asynchronous copies ------------------------------------------------------------------------------------------

enum class copies { good, unwaited, uncommitted, off_by_one, no_barrier, left_behind, overwritten };
template <copies How>
void pipeline(float* y, float const* x) {
  auto* const    s = shared<float>();  // two stages of 64
  unsigned const t = threadIdx.x;
  arch::cp_async<4>(s + t, x + t);  // [pipeline: first copy]
  if (How != copies::uncommitted) arch::cp_async_commit();
  arch::cp_async<4>(s + 64 + t, x + 64 + t);  // [pipeline: second copy]
  if (How != copies::uncommitted) arch::cp_async_commit();
  if (How == copies::overwritten) s[64 + t] = 1;  // [pipeline: write]
  if (How == copies::off_by_one) arch::cp_async_wait<2>();
  else if (How != copies::unwaited) arch::cp_async_wait<1>();
  if (How != copies::no_barrier) arch::sync_block();
  y[t] = s[How == copies::no_barrier ? 63 - t : t];  // [pipeline: first read]
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
TEST(planted_bugs, a_copy_is_read_without_a_wait) {
  planted(kind::unwaited_copy, "pipeline: first read", "pipeline: first copy",
          [](auto const& o, auto bug) { return run_pipeline < bug() ? copies::unwaited : copies::good > (o); });
}
TEST(planted_bugs, a_copy_is_read_without_a_commit) {
  planted(kind::unwaited_copy, "pipeline: first read", "pipeline: first copy",
          [](auto const& o, auto bug) { return run_pipeline < bug() ? copies::uncommitted : copies::good > (o); });
}
TEST(planted_bugs, a_wait_leaves_one_group_too_many) {
  planted(kind::unwaited_copy, "pipeline: first read", "pipeline: first copy",
          [](auto const& o, auto bug) { return run_pipeline < bug() ? copies::off_by_one : copies::good > (o); });
}
TEST(planted_bugs, a_wait_serves_the_copying_thread_only) {
  // Whoever reads before the copying thread has waited meets a copy in flight instead.
  for (auto const& options : runs) {
    auto const     found = run_pipeline<copies::no_barrier>(options);
    unsigned const read = line_of("pipeline: first read"), copy = line_of("pipeline: first copy");
    EXPECT_TRUE(reports(found, kind::read_after_write, read, copy)) << found;
  }
}
TEST(planted_bugs, a_thread_returns_with_a_copy_in_flight) {
  planted(kind::unwaited_copy, "pipeline: second copy", "",
          [](auto const& o, auto bug) { return run_pipeline < bug() ? copies::left_behind : copies::good > (o); });
}
TEST(planted_bugs, a_copy_in_flight_is_overwritten) {
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
TEST(planted_bugs, the_source_of_a_copy_changes_on_its_way) {
  planted(kind::unwaited_copy, "moving_source: copy", "", [](auto const& o, auto bug) {
    buffer<float> x(64, 1.f), y(64);
    return check(o, moving_source<bug()>, 1, 64, 256, y.data(), x.data());
  });
}

template <bool Bug>
void copied_tail(float* y, float const* x, int n) {
  auto* const s     = shared<float>();
  int const   first = 4 * static_cast<int>(threadIdx.x), left = (n - first) * 4;
  arch::cp_async<16>(s + first, x + first, Bug || left > 16 ? 16 : left < 0 ? 0 : left);  // [copied_tail: copy]
  arch::cp_async_commit();
  arch::cp_async_wait<0>();
  for (int i = first; i < first + 4; ++i)
    if (i < n) y[i] = s[i];
}
TEST(planted_bugs, a_copy_reads_beyond_its_source) {
  planted(kind::out_of_bounds, "copied_tail: copy", "", [](auto const& o, auto bug) {
    buffer<float> x(102, 1.f), y(102);
    return check(o, copied_tail<bug()>, 1, 32, 512, y.data(), x.data(), 102);
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
TEST(planted_bugs, threads_wait_for_each_other) {
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
TEST(planted_bugs, a_flag_that_nobody_sets) {
  planted(kind::deadlock, "never_set: poll", "", [](auto const& o, auto bug) {
    buffer<int>      out(1);
    buffer<unsigned> flag(1, 0u);
    return check(o, never_set<bug()>, 1, 32, 0, out.data(), flag.data());
  });
}

}  // namespace

#else

namespace {

void touch(int* p) { *p = 1; }

// A report of a program that is no checked build must not pass for a clean one.
TEST(planted_bugs, a_plain_build_says_that_it_checks_nothing) {
  tenon::simt::buffer<int> word(1);
  auto const               found = tenon::simt::check({}, touch, 1, 1, 0, word.data());
  EXPECT_FALSE(found.clean());
  EXPECT_TRUE(tenon::simt::reports(found, tenon::simt::kind::not_checked));
  EXPECT_EQ(word.values()[0], 1);
}

}  // namespace

#endif
