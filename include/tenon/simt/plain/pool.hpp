#pragma once
//  The cores of the machine as workers: blocks of a plain run spread over them.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace tenon::simt {

/// Calls body(i) for i in [0, count) on up to `limit` threads, the caller among them; returns when all are done.
/// One job at a time; a second caller waits. Workers spin briefly for the next job, then sleep. The caller never waits for
/// a worker that has taken nothing, so a busy machine costs no more than its missing cores.
class worker_pool {
 public:
  static worker_pool& instance() {
    static worker_pool pool;
    return pool;
  }

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  template <class Body>
  void run(std::size_t count, int limit, Body const& body) {
    if (count <= 1 || limit <= 1 || workers_.empty() || inside_ || count > most_items) {
      for (std::size_t i = 0; i < count; ++i) body(i);
      return;
    }
    std::lock_guard const lock(one_job_);
    call_ = [](void const* b, std::size_t i) { (*static_cast<Body const*>(b))(i); };
    body_ = &body;
    invited_.store(limit - 1, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    std::uint32_t const all        = static_cast<std::uint32_t>(count);
    std::uint32_t const generation = generation_.load(std::memory_order_relaxed) + 1;
    ticket_.store(ticket(generation, all), std::memory_order_release);
    generation_.store(generation, std::memory_order_release);
    generation_.notify_all();
    inside_ = true;
    work();
    inside_ = false;
    for (int spin = 0; spin < spins && done_.load(std::memory_order_acquire) != all; ++spin) pause();
    for (std::uint32_t seen; (seen = done_.load(std::memory_order_acquire)) != all;)
      done_.wait(seen, std::memory_order_acquire);
  }

  ~worker_pool() {
    stop_.store(true);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    for (auto& w : workers_) w.join();
  }

 private:
  // A ticket is the job's number (16 bits), its items (24) and the next item (24): one word says all that taking an item
  // needs, so a worker that comes late takes nothing of a job that is over.
  static constexpr int           item_bits  = 24;
  static constexpr std::uint64_t item_mask  = (std::uint64_t{1} << item_bits) - 1;
  static constexpr std::size_t   most_items = item_mask;
  static constexpr std::uint64_t ticket(std::uint32_t generation, std::uint64_t items) {
    return std::uint64_t{generation} << (2 * item_bits) | items << item_bits;
  }

  static constexpr int spins = 2000;

  worker_pool() {
    int const n = static_cast<int>(std::max(1u, std::thread::hardware_concurrency())) - 1;
    for (int i = 0; i < n; ++i) workers_.emplace_back([this, i] { loop(i); });
  }

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  /// Takes items until none is left.
  void work() {
    for (;;) {
      std::uint64_t t = ticket_.load(std::memory_order_acquire), items;
      do {
        items = t >> item_bits & item_mask;
        if ((t & item_mask) >= items) return;
      } while (!ticket_.compare_exchange_weak(t, t + 1, std::memory_order_acq_rel, std::memory_order_acquire));
      call_(body_, static_cast<std::size_t>(t & item_mask));
      if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == items) done_.notify_one();
    }
  }

  void loop(int index) {
    inside_            = true;
    std::uint32_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < spins && generation_.load(std::memory_order_acquire) == seen; ++spin) pause();
      while (generation_.load(std::memory_order_acquire) == seen) generation_.wait(seen, std::memory_order_acquire);
      seen = generation_.load(std::memory_order_acquire);
      if (stop_.load()) return;
      if (index < invited_.load(std::memory_order_relaxed)) work();
    }
  }

  static inline thread_local bool inside_ = false;  // a job started from inside a job runs where it is

  std::vector<std::thread> workers_;
  std::mutex               one_job_;
  // The job: written before its ticket is published, unchanged until every item is done.
  void (*call_)(void const*, std::size_t) = nullptr;
  void const*                body_        = nullptr;
  std::atomic<int>           invited_{0};
  std::atomic<std::uint64_t> ticket_{0};
  std::atomic<std::uint32_t> done_{0};
  std::atomic<std::uint32_t> generation_{0};
  std::atomic<bool>          stop_{false};
};

}  // namespace tenon::simt
