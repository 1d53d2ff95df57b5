//  Random calls of everything that a manager offers, against a model that is too simple to be wrong (kv_shadow.hpp).
//  TENON_SHADOW_STEPS in the environment: how many calls in all, 10^7 in scripts/test --full.
#include <tenon/kv/clock_eviction.hpp>
#include <tenon/kv/kv_blocks.hpp>
#include <tenon/kv/priority_eviction.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>

#include "kv_shadow.hpp"

namespace {

std::int64_t all_steps() {
  char const* const text = std::getenv("TENON_SHADOW_STEPS");
  return text ? std::atoll(text) : 500'000;
}
std::uint64_t first_seed() {
  char const* const text = std::getenv("TENON_SEED");
  return text ? static_cast<std::uint64_t>(std::atoll(text)) : 1;
}

template <class Eviction>
class kv_blocks_shadow : public testing::Test {
 protected:
  /// A part of all steps, in runs from an empty manager.
  static void run(tenon::kv_blocks_options const& kv, int percent, std::int64_t audit_every) {
    std::int64_t const steps = all_steps() * percent / 100 / 3, runs = 4;
    for (std::int64_t i = 0; i < runs; ++i) {
      std::uint64_t const       seed = 1000 * first_seed() + static_cast<std::uint64_t>(i);
      test::kv_shadow<Eviction> shadow({kv, steps / runs + 1, seed, audit_every});
      ASSERT_NO_THROW(shadow.run());
      if (!kv.prefix_cache) continue;
      EXPECT_GT(shadow.metrics().hit_tokens, 0);
      EXPECT_GT(shadow.metrics().partial_hits, 0);
      EXPECT_GT(shadow.metrics().duplicates, 0);
    }
  }
};
using policies = testing::Types<tenon::lru_eviction, tenon::clock_eviction, tenon::priority_eviction>;
TYPED_TEST_SUITE(kv_blocks_shadow, policies);

// Short of blocks nearly always: evictions, refusals, copies that find no room.
TYPED_TEST(kv_blocks_shadow, tiny) {
  this->run({.blocks = 12, .block_size = 2, .max_sequences = 5, .max_blocks_per_sequence = 6}, 40, 16);
}
TYPED_TEST(kv_blocks_shadow, small) {
  this->run({.blocks = 60, .block_size = 3, .max_sequences = 8, .max_blocks_per_sequence = 12}, 35, 64);
}
// Blocks enough: long chains, many sharers.
TYPED_TEST(kv_blocks_shadow, large) {
  this->run({.blocks = 700, .block_size = 4, .max_sequences = 90, .max_blocks_per_sequence = 20}, 10, 1024);
}
TYPED_TEST(kv_blocks_shadow, without_a_cache) {
  this->run({.blocks = 40, .block_size = 4, .max_sequences = 8, .max_blocks_per_sequence = 10, .prefix_cache = false},
            15, 64);
}

}  // namespace
