//  Many texts on several threads: each takes the next text that nobody has, so what comes out does not depend on how many there are.
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "engine/text/tokenizer.hpp"

namespace tenon::engine {

std::vector<std::vector<std::int32_t>> tokenizer::encode_batch(std::span<std::string_view const> texts,
                                                               encode_options options, unsigned threads) const {
  std::vector<std::vector<std::int32_t>> ids(texts.size());
  std::atomic<std::size_t>               next{0};
  std::exception_ptr                     failure;
  std::mutex                             failing;
  auto const                             work = [&] {
    try {
      for (std::size_t i = 0; (i = next.fetch_add(1, std::memory_order_relaxed)) < texts.size();)
        ids[i] = encode(texts[i], options);
    } catch (...) {
      next = texts.size();
      std::lock_guard const one(failing);
      failure = std::current_exception();
    }
  };
  if (threads == 0) threads = std::thread::hardware_concurrency();
  {
    std::vector<std::jthread> others;
    for (std::size_t t = 1; t < threads && t < texts.size(); ++t) others.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
  return ids;
}

}  // namespace tenon::engine
