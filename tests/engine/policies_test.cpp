//  Policies by name.
#include <engine/error.hpp>
#include <engine/program/policies.hpp>

#include <gtest/gtest.h>

namespace {

using namespace tenon::engine;

TEST(policies, change_what_they_name) {
  policy base;
  base.limits.max_batched_tokens = 4096, base.limits.itl_target = .01;
  policy const same = policy_of("continuous", base);
  EXPECT_EQ(same.limits.max_batched_tokens, 4096);
  EXPECT_EQ(same.limits.itl_target, .01);
  EXPECT_TRUE(same.prefix_cache);

  policy const mixed = policy_of("mixed-512", base);
  EXPECT_EQ(mixed.limits.max_batched_tokens, 512);
  EXPECT_EQ(mixed.limits.itl_target, 0);
  EXPECT_DOUBLE_EQ(policy_of("target-20ms", base).limits.itl_target, .02);
  EXPECT_FALSE(policy_of("prefill-first", base).limits.decode_first);
  EXPECT_EQ(policy_of("static", base).limits.mode, batching::fixed);
  EXPECT_EQ(policy_of("dynamic", base).limits.mode, batching::dynamic);
  base.limits.mode = batching::fixed;
  EXPECT_EQ(policy_of("continuous", base).limits.mode, batching::continuous);
}

TEST(policies, join) {
  policy const p = policy_of("fcfs+no-chunked+no-prefix-cache", {});
  EXPECT_EQ(p.name, "fcfs+no-chunked+no-prefix-cache");
  EXPECT_EQ(p.limits.order, prompt_order::arrival);
  EXPECT_FALSE(p.limits.chunked_prefill);
  EXPECT_FALSE(p.prefix_cache);
  EXPECT_EQ(policies_of("continuous,mixed-2+static", {}).size(), 2u);
  EXPECT_EQ(policies_of("continuous,mixed-2+static", {})[1].limits.max_batched_tokens, 2);
}

TEST(policies, unknown_ones) {
  for (char const* name : {"", "fast", "mixed-", "mixed-0", "mixed-x", "mixed-1x", "mixed-N", "target-20",
                           "target--1ms", "mixed-99999999999", "fcfs+", "+fcfs", "fcfs,,static"})
    EXPECT_THROW((void)policies_of(name, {}), usage_error) << name;
}

}  // namespace
