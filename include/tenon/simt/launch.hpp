#pragma once
//  A grid on the host. A plain build runs blocks of one thread directly, others as fibers, and spreads blocks over the
//  cores; a checked build runs block after block on fibers under the checker.
#include <tenon/simt/machine.hpp>
#include <tenon/simt/session.hpp>
#include <tenon/simt/vocabulary.hpp>
#if !TENON_CHECKED
#  include <tenon/simt/plain/block.hpp>
#  include <tenon/simt/plain/pool.hpp>
#endif

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

namespace tenon::simt {

struct run_options {
  int            threads = 0;        // cores to use; 0: all
  double         work    = 1e9;      // scalar operations of one block, a hint: little work stays on the caller
  simt::session* session = nullptr;  // collects findings; without one they go to stderr
  int            arch    = 90;       // acted architecture; 0 is the host's own, whose vectors take any address
};

/// How a run's tensor cores sum.
inline numerics numerics_of(run_options const& o) {
  if (o.session && o.session->options().numerics) return *o.session->options().numerics;
  if (!TENON_CHECKED) return numerics::f32;
  return o.arch == 89 ? numerics::ada : o.arch > 0 && o.arch < 89 ? numerics::ampere : numerics::hopper;
}

enum class outcome {
  finished,
  deadlock,  // given up: no thread could go on
  faulty,    // a checked run without a session had findings
};

constexpr char const* to_string(outcome o) {
  return o == outcome::finished ? "finished" : o == outcome::deadlock ? "deadlock" : "findings";
}

#if TENON_CHECKED

/// Runs body(argument) for every thread of the grid.
outcome run_grid(void (*body)(void const*), void const* argument, dim3 grid, dim3 block_shape, std::size_t shared_bytes,
                 run_options const& options = {});

namespace detail {

// Every checked program begins by proving that its checker is alive: two threads write one word, and somebody must
// notice. Forgotten flags end the program here and not in a silent pass.
void prove_alive(void (*racy)(void const*));
void watch_static_shared();

inline void write_one_word(void const* p) { **static_cast<int* const*>(p) = static_cast<int>(threadIdx.x); }

inline bool const alive = (prove_alive(&write_one_word), true);

}  // namespace detail

#else

/// The dynamic shared memory of the block that this OS thread is running, 1024-byte aligned.
inline thread_local std::byte* shared_memory = nullptr;

namespace detail {
class shared_arena {
 public:
  std::byte* reserve(std::size_t bytes) {
    if (bytes + 1024 > storage_.size()) storage_.resize(bytes + 1024);
    return reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(storage_.data()) + 1023) &
                                        ~std::uintptr_t{1023});
  }

 private:
  std::vector<std::byte> storage_;
};

/// False where a block could not be finished.
inline bool run_blocks(void (*body)(void const*), void const* argument, dim3 grid, dim3 block_shape,
                       std::size_t shared_bytes, numerics sums, std::size_t first, std::size_t count) {
  static thread_local shared_arena arena;
  std::byte* const                 outer = shared_memory;
  shared_memory                          = arena.reserve(shared_bytes);
  gridDim                                = grid;
  blockDim                               = block_shape;
  tensor_core_numerics                   = sums;
  bool finished                          = true;
  for (std::size_t b = first; finished && b < first + count; ++b) {
    blockIdx = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                static_cast<unsigned>(b / grid.x / grid.y)};
    if (block_shape.count() == 1) {
      threadIdx = {};
      body(argument);
    } else {
      finished = block::of_this_thread().run(body, argument, block_shape);
    }
  }
  shared_memory = outer;
  return finished;
}
}  // namespace detail

/// Runs body(argument) for every thread of the grid.
inline outcome run_grid(void (*body)(void const*), void const* argument, dim3 grid, dim3 block_shape,
                        std::size_t shared_bytes, run_options const& options = {}) {
  if (options.session && !options.session->found().has(kind::not_checked))
    options.session->found().findings.push_back(
        {kind::not_checked,
         level::incomplete,
         {},
         {},
         {},
         "This program is not a checked build, so nothing was looked at. Build it with tenon_add_checked_test().",
         1});
  std::size_t const blocks = grid.count();
  constexpr double  worth  = 2e5;  // scalar operations that pay for waking another core
  auto&             pool   = worker_pool::instance();
  int const         cores  = options.threads > 0 ? options.threads : pool.threads();
  double const      total  = options.work * static_cast<double>(blocks);
  if (cores <= 1 || blocks <= 1 || total < 2 * worth) {
    bool const finished =
        detail::run_blocks(body, argument, grid, block_shape, shared_bytes, numerics_of(options), 0, blocks);
    return finished ? outcome::finished : outcome::deadlock;
  }
  std::size_t const pieces =
      std::min<std::size_t>({blocks, static_cast<std::size_t>(total / worth), static_cast<std::size_t>(cores) * 8});
  std::atomic<bool> finished{true};
  pool.run(pieces, cores, [&](std::size_t i) {
    std::size_t const first = blocks * i / pieces, last = blocks * (i + 1) / pieces;
    if (!detail::run_blocks(body, argument, grid, block_shape, shared_bytes, numerics_of(options), first, last - first))
      finished.store(false, std::memory_order_relaxed);
  });
  return finished.load() ? outcome::finished : outcome::deadlock;
}

#endif

namespace detail {
template <class Kernel, class... Args>
outcome launch(run_options const& options, Kernel const& kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
               Args const&... args) {
  auto const body = [&] { kernel(args...); };
  return run_grid([](void const* p) { (*static_cast<decltype(body)*>(p))(); }, &body, grid, block, shared_bytes,
                  options);
}
}  // namespace detail

/// A function that a grid can be made of with these arguments.
template <class Kernel, class... Args>
concept kernel_for = std::invocable < Kernel const&,
        std::decay_t<Args>
const&... > ;

/// Runs kernel(args...) over the grid, as kernel<<<grid, block, shared_bytes>>>(args...) does, to its end.
///   tenon::simt::launch(scale<float>, 4, 256, 0, y.data(), x.data(), 1024);
template <class Kernel, class... Args>
requires kernel_for<Kernel, Args...> outcome launch(Kernel kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
                                                    Args const&... args) {
  return detail::launch(run_options{}, kernel, grid, block, shared_bytes, args...);
}

/// The same within a session: its options, its report.
template <class Kernel, class... Args>
requires kernel_for<Kernel, Args...> outcome launch(session& within, Kernel kernel, dim3 grid, dim3 block,
                                                    std::size_t shared_bytes, Args const&... args) {
  run_options run;
  run.session = &within;
  return detail::launch(run, kernel, grid, block, shared_bytes, args...);
}

}  // namespace tenon::simt
