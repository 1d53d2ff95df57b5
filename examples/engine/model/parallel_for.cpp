#include "engine/model/parallel_for.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace tenon::engine {

void parallel_for(std::size_t count, int threads,
                  std::function<void(std::size_t done, std::size_t all)> const& progress,
                  std::function<void(std::size_t)> const&                       f) {
  std::size_t const cores  = std::max(1u, std::thread::hardware_concurrency());
  std::size_t const wanted = threads > 0 ? static_cast<std::size_t>(threads) : std::min<std::size_t>(cores, 8);

  std::atomic<std::size_t> next = 0, done = 0;
  std::mutex               guard;
  std::size_t              failed = count;  // the least that threw
  std::exception_ptr       error;
  auto const               work = [&](bool reports) {
    for (std::size_t i; (i = next++) < count;) {
      try {
        f(i);
      } catch (...) {
        std::scoped_lock const lock(guard);
        next = count;  // those before it are under way, and may fail too
        if (i < failed) failed = i, error = std::current_exception();
      }
      ++done;
      if (reports && progress) progress(done, count);
    }
  };
  std::vector<std::jthread> others;
  for (std::size_t t = 1; t < std::min(wanted, count); ++t) others.emplace_back([&] { work(false); });
  work(true);
  others.clear();
  if (error) std::rethrow_exception(error);
  if (progress && count > 0) progress(count, count);
}

}  // namespace tenon::engine
