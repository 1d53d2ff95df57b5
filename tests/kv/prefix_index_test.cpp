#include <tenon/kv/prefix_index.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <unordered_map>
#include <vector>

namespace {

using tenon::block_id, tenon::no_block, tenon::prefix_digest, tenon::prefix_index;

bool any(block_id) { return true; }

TEST(prefix_index, finds_what_was_inserted) {
  prefix_index index(4);
  EXPECT_EQ(index.find({1, 2}, any), no_block);
  index.insert({1, 2}, 3);
  EXPECT_EQ(index.find({1, 2}, any), 3);
  EXPECT_EQ(index.find({1 + 8, 2}, any), no_block) << "another tag in the same slot";
  index.erase({1, 2}, 3);
  EXPECT_EQ(index.find({1, 2}, any), no_block);
  EXPECT_EQ(index.size(), 0u);
}

TEST(prefix_index, asks_about_every_block_of_a_tag) {
  prefix_index index(8);
  for (block_id const id : {0, 5, 7}) index.insert({42, 0}, id);
  for (block_id const id : {7, 0, 5}) EXPECT_EQ(index.find({42, 9}, [&](block_id other) { return other == id; }), id);
  EXPECT_EQ(index.find({42, 0}, [](block_id) { return false; }), no_block);
  index.erase({42, 0}, 5);
  EXPECT_EQ(index.find({42, 0}, [](block_id other) { return other == 5; }), no_block);
  EXPECT_EQ(index.size(), 2u);
}

TEST(prefix_index, erasing_what_is_not_there_changes_nothing) {
  prefix_index index(4);
  index.insert({1, 0}, 2);
  index.erase({1, 0}, 3);
  index.erase({2, 0}, 2);
  EXPECT_EQ(index.find({1, 0}, any), 2);
  EXPECT_EQ(index.size(), 1u);
}

TEST(prefix_index, of_no_blocks_finds_nothing) {
  prefix_index index(0);
  EXPECT_EQ(index.find({1, 2}, any), no_block);
  index.erase({1, 2}, 0);
}

// Runs wrap around the end of the slots.
TEST(prefix_index, erases_across_the_end) {
  for (std::uint64_t offset = 0; offset < 16; ++offset) {
    prefix_index index(7);  // 16 slots
    for (block_id id = 0; id < 7; ++id) index.insert({offset + static_cast<std::uint64_t>(id % 3), 0}, id);
    for (block_id gone = 0; gone < 7; ++gone) {
      index.erase({offset + static_cast<std::uint64_t>(gone % 3), 0}, gone);
      for (block_id id = 0; id < 7; ++id) {
        auto const found =
            index.find({offset + static_cast<std::uint64_t>(id % 3), 0}, [&](block_id b) { return b == id; });
        ASSERT_EQ(found, id > gone ? id : no_block) << offset << " " << gone;
      }
    }
  }
}

// Few different slots, so that runs are long and mixed, in an index that is as full as it gets.
void compare(block_id blocks, std::uint64_t homes, int steps, unsigned seed) {
  prefix_index                                     index(blocks);
  std::unordered_multimap<std::uint32_t, block_id> model;
  std::vector<std::uint64_t>                       where(static_cast<std::size_t>(blocks), ~std::uint64_t{0});
  std::mt19937_64                                  random(seed);
  auto const                                       below = [&](std::uint64_t n) { return random() % n; };
  auto const home = [&] { return below(homes) * 3 + (below(2) << 32) * below(9) + (below(3) << 30); };
  for (int step = 0; step < steps; ++step) {
    auto const id = static_cast<block_id>(below(static_cast<std::uint64_t>(blocks)));
    auto&      at = where[static_cast<std::size_t>(id)];
    if (at == ~std::uint64_t{0}) {
      at = home();
      index.insert({at, 1}, id);
      model.emplace(static_cast<std::uint32_t>(at), id);
    } else if (below(8) != 0) {
      index.erase({at, 1}, id);
      auto const [first, last] = model.equal_range(static_cast<std::uint32_t>(at));
      for (auto i = first; i != last; ++i)
        if (i->second == id) {
          model.erase(i);
          break;
        }
      at = ~std::uint64_t{0};
    }
    ASSERT_EQ(index.size(), model.size());
    // One block that is there or not, and one tag as a whole.
    auto const asked = static_cast<block_id>(below(static_cast<std::uint64_t>(blocks)));
    auto const d     = where[static_cast<std::size_t>(asked)];
    if (d != ~std::uint64_t{0}) {
      ASSERT_EQ(index.find({d, 0}, [&](block_id b) { return b == asked; }), asked) << "step " << step;
    }
    std::uint64_t const tag = home();
    std::size_t         n   = 0;
    EXPECT_EQ(index.find({tag, 0},
                         [&](block_id b) {
                           return static_cast<std::uint32_t>(where[static_cast<std::size_t>(b)]) !=
                                      static_cast<std::uint32_t>(tag) ||
                                  ++n == 0;
                         }),
              no_block);
    ASSERT_EQ(n, model.count(static_cast<std::uint32_t>(tag))) << "step " << step;
  }
}

TEST(prefix_index, agrees_with_a_multimap) {
  compare(7, 3, 300'000, 1);
  compare(31, 4, 600'000, 2);
  compare(64, 64, 600'000, 3);
  compare(1000, 5000, 600'000, 4);
}

}  // namespace
