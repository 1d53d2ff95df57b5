//  Every policy of eviction against the same policy written naively: one list, searched from its start.
#include <tenon/kv/clock_eviction.hpp>
#include <tenon/kv/lru_eviction.hpp>
#include <tenon/kv/priority_eviction.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace {

using tenon::block_id, tenon::no_block, tenon::retention;

struct naive_lru {
  explicit naive_lru(block_id) {}
  void     add(block_id id, retention, std::uint32_t) { order.push_back(id); }
  void     remove(block_id id) { order.erase(std::find(order.begin(), order.end(), id)); }
  block_id pop(std::uint32_t) {
    if (order.empty()) return no_block;
    block_id const id = order.front();
    order.erase(order.begin());
    return id;
  }
  std::vector<block_id> order;
};

struct naive_clock {
  explicit naive_clock(block_id blocks) : at(static_cast<std::size_t>(blocks)) {}
  void add(block_id id, retention, std::uint32_t) {
    auto& b  = at[static_cast<std::size_t>(id)];
    b.spared = b.used_again;
    b.idle = true, b.used_again = false;
  }
  void remove(block_id id) {
    auto& b = at[static_cast<std::size_t>(id)];
    b.idle = false, b.used_again = true;
  }
  block_id pop(std::uint32_t) {
    if (std::none_of(at.begin(), at.end(), [](auto const& b) { return b.idle; })) return no_block;
    for (;; hand = (hand + 1) % at.size()) {
      auto& b = at[hand];
      if (!b.idle) continue;
      if (!b.spared) break;
      b.spared = false;
    }
    at[hand].idle     = false;
    block_id const id = static_cast<block_id>(hand);
    hand              = (hand + 1) % at.size();
    return id;
  }
  struct state {
    bool idle = false, used_again = false, spared = false;
  };
  std::vector<state> at;
  std::size_t        hand = 0;
};

struct naive_priority {
  explicit naive_priority(block_id) {}
  void add(block_id id, retention r, std::uint32_t now) {
    end_times(now);
    int const           priority = std::min<int>(r.priority, 100);
    bool const          ends     = priority > 35 && r.time_to_live != retention::forever;
    std::uint64_t const expiry   = ends ? std::uint64_t{now} + r.time_to_live : ~std::uint64_t{0};
    all.push_back({id, priority, expiry, ++added});
  }
  void remove(block_id id) {
    all.erase(std::find_if(all.begin(), all.end(), [&](auto const& b) { return b.id == id; }));
  }
  void end_times(std::uint32_t now) {
    std::vector<state*> over;
    for (auto& b : all)
      if (b.expiry <= now) over.push_back(&b);
    std::sort(over.begin(), over.end(),
              [](state* x, state* y) { return std::pair(x->expiry, x->added) < std::pair(y->expiry, y->added); });
    for (state* b : over) b->priority = 35, b->expiry = ~std::uint64_t{0}, b->added = ++added;
  }
  block_id pop(std::uint32_t now) {
    end_times(now);
    auto const least = std::min_element(all.begin(), all.end(), [](state const& x, state const& y) {
      return x.priority != y.priority ? x.priority < y.priority : x.added < y.added;
    });
    if (least == all.end()) return no_block;
    block_id const id = least->id;
    all.erase(least);
    return id;
  }
  struct state {
    block_id      id;
    int           priority;
    std::uint64_t expiry;
    std::int64_t  added;
  };
  std::vector<state> all;
  std::int64_t       added = 0;
};

/// Random calls of both. `fill`: percent of the blocks that are idle in the middle of the run.
template <class Policy, class Naive>
void compare(block_id blocks, int fill, int steps, unsigned seed) {
  Policy            policy(blocks);
  Naive             naive(blocks);
  std::mt19937      random(seed);
  std::vector<char> idle(static_cast<std::size_t>(blocks));
  std::uint32_t     now    = 0;
  block_id          amount = 0;
  auto const below = [&](std::int64_t n) { return static_cast<std::int64_t>(random() % static_cast<unsigned>(n)); };
  for (int step = 0; step < steps; ++step) {
    auto const id     = static_cast<block_id>(below(blocks));
    bool const growth = amount * std::int64_t{100} < std::int64_t{fill} * blocks;
    if (below(3) != 0 || growth) {
      if (!idle[static_cast<std::size_t>(id)]) {
        retention const r{.priority     = static_cast<std::uint8_t>(below(5) * 30),
                          .time_to_live = below(2) ? retention::forever : static_cast<std::uint32_t>(below(97))};
        now += static_cast<std::uint32_t>(below(3));
        policy.add(id, r, now), naive.add(id, r, now);
        idle[static_cast<std::size_t>(id)] = 1, ++amount;
      } else if (below(2)) {
        policy.remove(id), naive.remove(id);
        idle[static_cast<std::size_t>(id)] = 0, --amount;
      }
    }
    if (!growth) {
      block_id       later = 12345;
      block_id const got   = policy.pop(now, later);
      ASSERT_EQ(got, naive.pop(now)) << "step " << step;
      ASSERT_TRUE(later == no_block || (later >= 0 && later < blocks)) << later;
      if (got != no_block) idle[static_cast<std::size_t>(got)] = 0, --amount;
    }
  }
  for (block_id later; amount > 0; --amount) ASSERT_EQ(policy.pop(now, later), naive.pop(now));
  block_id later = 0;
  ASSERT_EQ(policy.pop(now, later), no_block);
  ASSERT_EQ(later, no_block);
}

template <class Policy, class Naive>
void compare_all() {
  for (block_id const blocks : {1, 2, 63, 64, 65, 300, 4097})
    for (int const fill : {0, 3, 50, 95}) {
      SCOPED_TRACE(testing::Message() << blocks << " blocks, " << fill << " %");
      compare<Policy, Naive>(blocks, fill, blocks > 1000 ? 12000 : 5000, static_cast<unsigned>(blocks + fill));
      if (testing::Test::HasFatalFailure()) return;
    }
}

TEST(lru_eviction, agrees_with_a_list) { compare_all<tenon::lru_eviction, naive_lru>(); }
TEST(clock_eviction, agrees_with_a_hand_that_looks_at_every_block) {
  compare_all<tenon::clock_eviction, naive_clock>();
}
TEST(priority_eviction, agrees_with_a_search) { compare_all<tenon::priority_eviction, naive_priority>(); }

template <class Policy>
std::vector<block_id> emptied(Policy& policy, std::uint32_t now = 0) {
  std::vector<block_id> order;
  for (block_id id, later; (id = policy.pop(now, later)) != no_block;) order.push_back(id);
  return order;
}

TEST(lru_eviction, goes_by_the_time_since_the_last_use) {
  tenon::lru_eviction lru(4);
  for (block_id const id : {2, 0, 3}) lru.add(id, {}, 0);
  lru.remove(2);
  lru.add(2, {}, 1);
  EXPECT_EQ(emptied(lru), (std::vector<block_id>{0, 3, 2}));
}

TEST(clock_eviction, spares_what_was_used_again_once) {
  tenon::clock_eviction clock(4);
  for (block_id const id : {0, 1, 2, 3}) clock.add(id, {}, 0);
  clock.remove(0);
  clock.add(0, {}, 1);
  EXPECT_EQ(emptied(clock), (std::vector<block_id>{1, 2, 3, 0}));
}

// The hand passes a million blocks that are not idle in a step: this would take hours block by block.
TEST(clock_eviction, does_not_walk_over_what_is_owned) {
  tenon::clock_eviction clock(1 << 22);
  for (int i = 0; i < 1'000'000; ++i) {
    block_id const id = i % 2 ? 5 : (1 << 22) - 1;
    clock.add(id, {}, 0);
    block_id later = 0;
    ASSERT_EQ(clock.pop(0, later), id);
  }
}

TEST(priority_eviction, goes_by_priority_then_by_age) {
  tenon::priority_eviction policy(6);
  for (auto const& [id, priority] : {std::pair{0, 80}, {1, 35}, {2, 0}, {3, 35}, {4, 100}, {5, 255}})
    policy.add(id, {.priority = static_cast<std::uint8_t>(priority)}, 0);
  EXPECT_EQ(emptied(policy), (std::vector<block_id>{2, 1, 3, 0, 4, 5}));  // 255 counts as 100
}

TEST(priority_eviction, high_priority_lasts_for_its_time) {
  retention const brief{.priority = 90, .time_to_live = 10}, low{.priority = 10, .time_to_live = 1};
  auto const      order = [&](std::uint32_t now) {
    tenon::priority_eviction policy(3);
    policy.add(0, brief, 0), policy.add(1, {}, 0), policy.add(2, low, 0);
    return emptied(policy, now);
  };
  EXPECT_EQ(order(9), (std::vector<block_id>{2, 1, 0}));
  EXPECT_EQ(order(10), (std::vector<block_id>{2, 1, 0}));  // ordinary from now on, behind those that were before
  tenon::priority_eviction policy(3);
  policy.add(0, brief, 0);
  block_id later = 0;
  policy.add(1, brief, 5);
  EXPECT_EQ(policy.pop(12, later), 0);  // its time is over
  policy.add(2, {}, 12);
  EXPECT_EQ(policy.pop(12, later), 2);  // and that of 1 is not
  EXPECT_EQ(policy.pop(12, later), 1);
}

}  // namespace
