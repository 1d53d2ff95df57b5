#pragma once
//  A grid on the host: blocks of one thread run directly, others as fibers; blocks spread over the cores.
#include <tenon/simt/block.hpp>
#include <tenon/simt/pool.hpp>
#include <tenon/simt/vocabulary.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace tenon::simt {

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

inline void run_blocks(void (*body)(void const*), void const* argument, dim3 grid, dim3 block_shape,
                       std::size_t shared_bytes, std::size_t first, std::size_t count) {
  static thread_local shared_arena arena;
  std::byte* const                 outer = shared_memory;
  shared_memory                          = arena.reserve(shared_bytes);
  gridDim                                = grid;
  blockDim                               = block_shape;
  for (std::size_t b = first; b < first + count; ++b) {
    blockIdx = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                static_cast<unsigned>(b / grid.x / grid.y)};
    if (block_shape.count() == 1) {
      threadIdx = {};
      body(argument);
    } else {
      block::of_this_thread().run(body, argument, block_shape);
    }
  }
  shared_memory = outer;
}
}  // namespace detail

struct run_options {
  int    threads = 0;    // cores to use; 0: all
  double work    = 1e9;  // scalar operations of one block, a hint: little work stays on the calling thread
};

/// Runs body(argument) for every thread of the grid.
inline void run_grid(void (*body)(void const*), void const* argument, dim3 grid, dim3 block_shape,
                     std::size_t shared_bytes, run_options const& options = {}) {
  std::size_t const blocks = grid.count();
  constexpr double  worth  = 2e5;  // scalar operations that pay for waking another core
  auto&             pool   = worker_pool::instance();
  int const         cores  = options.threads > 0 ? options.threads : pool.threads();
  double const      total  = options.work * static_cast<double>(blocks);
  if (cores <= 1 || blocks <= 1 || total < 2 * worth) {
    detail::run_blocks(body, argument, grid, block_shape, shared_bytes, 0, blocks);
    return;
  }
  std::size_t const pieces =
      std::min<std::size_t>({blocks, static_cast<std::size_t>(total / worth), static_cast<std::size_t>(cores) * 8});
  pool.run(pieces, cores, [&](std::size_t i) {
    std::size_t const first = blocks * i / pieces, last = blocks * (i + 1) / pieces;
    detail::run_blocks(body, argument, grid, block_shape, shared_bytes, first, last - first);
  });
}

}  // namespace tenon::simt
