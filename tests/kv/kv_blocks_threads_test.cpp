//  A manager has one writer; managers share nothing, so each thread may have its own. For the thread sanitizer.
#include <tenon/kv/clock_eviction.hpp>
#include <tenon/kv/kv_blocks.hpp>
#include <tenon/kv/priority_eviction.hpp>

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "kv_shadow.hpp"

namespace {

template <class Eviction>
std::string run(std::uint64_t seed) {
  try {
    test::kv_shadow<Eviction>(
        {{.blocks = 24, .block_size = 3, .max_sequences = 6, .max_blocks_per_sequence = 8}, 4'000, seed, 64})
        .run();
  } catch (std::exception const& fault) {
    return fault.what();
  }
  return "";
}

TEST(kv_blocks_threads, pools_share_nothing) {
  std::vector<std::string> faults(6);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < faults.size(); ++i)
    threads.emplace_back([&faults, i] {
      auto const which = i % 3 == 0   ? run<tenon::lru_eviction>
                         : i % 3 == 1 ? run<tenon::clock_eviction>
                                      : run<tenon::priority_eviction>;
      faults[i]        = which(i + 1);
    });
  for (std::thread& t : threads) t.join();
  for (std::string const& fault : faults) EXPECT_EQ(fault, "");
}

// Between writes anybody may look.
TEST(kv_blocks_threads, readers_share_one_that_nobody_writes) {
  tenon::kv_blocks<> kv({.blocks = 64, .block_size = 4, .max_sequences = 4, .max_blocks_per_sequence = 16});
  std::vector<std::int32_t> const tokens(40, 7);
  tenon::sequence_id const        s = kv.open();
  ASSERT_TRUE(kv.reserve(s, 40).ok());
  ASSERT_TRUE(kv.commit(s, tokens).ok());
  std::vector<std::int64_t> found(4);
  std::vector<std::thread>  threads;
  for (std::int64_t& f : found)
    threads.emplace_back([&] { f = kv.match(tokens) + kv.length(s) + kv.exclusive_blocks(s) + kv.metrics().tokens; });
  for (std::thread& t : threads) t.join();
  for (std::int64_t const f : found) EXPECT_EQ(f, 40 + 40 + 10 + 40);
}

}  // namespace
