#pragma once
//  A program's end where a kernel has none.
#include <tenon/config.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "timing.hpp"

namespace bench {

/// Ends the program when nothing has happened for long: a kernel that never ends can only be left.
class watch {
 public:
  explicit watch(std::function<void()> at_end) : at_end_(std::move(at_end)) {
    if (!TENON_CUDA) return;  // the host's kernels end
    std::thread([this] {
      for (;;) {
        std::this_thread::sleep_for(std::chrono::seconds(1));
        if (seconds_now() - since_.load() < 30) continue;
        at_end_();
        std::lock_guard const locked(lock_);
        std::printf("fault: %s\n", of_.c_str());
        std::fflush(stdout);
        std::_Exit(3);
      }
    }).detach();
  }
  /// What is done next.
  void note(std::string const& of) {
    std::lock_guard const locked(lock_);
    of_ = of, since_ = seconds_now();
  }
  std::string last() {
    std::lock_guard const locked(lock_);
    return of_;
  }

 private:
  std::function<void()> at_end_;
  std::mutex            lock_;
  std::string           of_ = "nothing yet";
  std::atomic<double>   since_{seconds_now()};
};

}  // namespace bench
