#pragma once
//  The cores of the machine as workers: blocks of a plain run spread over them.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace tenon::simt {

/// Calls body(i) for i in [0, count) on up to `limit` threads, the caller among them; returns when all are done.
/// One job at a time; a second caller waits. Workers spin briefly for the next job, then sleep.
class worker_pool {
 public:
  static worker_pool& instance() {
    static worker_pool pool;
    return pool;
  }

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  template <class Body>
  void run(std::size_t count, int limit, Body const& body) {
    if (count <= 1 || limit <= 1 || workers_.empty() || inside_) {
      for (std::size_t i = 0; i < count; ++i) body(i);
      return;
    }
    std::lock_guard const lock(one_job_);
    call_  = [](void const* b, std::size_t i) { (*static_cast<Body const*>(b))(i); };
    body_  = &body;
    count_ = count;
    awake_ = std::min<int>(limit - 1, static_cast<int>(workers_.size()));
    next_.store(0, std::memory_order_relaxed);
    busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    inside_ = true;
    work();
    inside_ = false;
    while (busy_.load(std::memory_order_acquire) != 0) pause();
  }

  ~worker_pool() {
    stop_.store(true);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    for (auto& w : workers_) w.join();
  }

 private:
  worker_pool() {
    int const n = static_cast<int>(std::max(1u, std::thread::hardware_concurrency())) - 1;
    for (int i = 0; i < n; ++i) workers_.emplace_back([this, i] { loop(i); });
  }

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  void work() {
    for (std::size_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) call_(body_, i);
  }

  void loop(int index) {
    inside_            = true;
    std::uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < 2000 && generation_.load(std::memory_order_acquire) == seen; ++spin) pause();
      while (generation_.load(std::memory_order_acquire) == seen) generation_.wait(seen, std::memory_order_acquire);
      seen = generation_.load(std::memory_order_acquire);
      if (stop_.load()) return;
      if (index < awake_) work();
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  static inline thread_local bool inside_ = false;  // a job started from inside a job runs where it is

  std::vector<std::thread> workers_;
  std::mutex               one_job_;
  void (*call_)(void const*, std::size_t) = nullptr;
  void const*                body_        = nullptr;
  std::size_t                count_       = 0;
  int                        awake_       = 0;
  std::atomic<std::size_t>   next_{0};
  std::atomic<int>           busy_{0};
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<bool>          stop_{false};
};

}  // namespace tenon::simt
