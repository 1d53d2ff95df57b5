#pragma once
//  Independent pieces of work on several threads of the host.
#include <cstddef>
#include <functional>

namespace tenon::engine {

/// f(i) for all i < count, on at most `threads` threads (0: all cores, eight at most: each piece may hold a large matrix).
/// `progress` is called on the caller's thread. Of several exceptions, that of the least i is thrown.
void parallel_for(std::size_t count, int threads,
                  std::function<void(std::size_t done, std::size_t all)> const& progress,
                  std::function<void(std::size_t)> const&                       f);

}  // namespace tenon::engine
