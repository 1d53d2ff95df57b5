#include <tenon/kv/block_pool.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace {

using tenon::block_id, tenon::block_pool, tenon::errc;

TEST(block_pool, gives_every_page_once) {
  block_pool            pool(5);
  std::vector<block_id> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(pool.allocate());
  EXPECT_EQ(pool.allocate(), tenon::no_block);
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids, (std::vector<block_id>{0, 1, 2, 3, 4}));
  EXPECT_EQ(pool.free_blocks(), 0);
  EXPECT_EQ(pool.used_blocks(), 5);
}

TEST(block_pool, allocates_many_or_none) {
  block_pool            pool(4);
  std::vector<block_id> three(3, -7), two(2, -7);
  ASSERT_TRUE(pool.allocate(three).ok());
  auto const s = pool.allocate(two);
  EXPECT_EQ(s.code, errc::out_of_memory);
  EXPECT_EQ(s.got, 1);
  EXPECT_EQ(s.want, 2);
  EXPECT_EQ(two, std::vector<block_id>(2, -7));
  EXPECT_EQ(pool.free_blocks(), 1);
  EXPECT_TRUE(pool.allocate(std::span<block_id>{}).ok());
}

TEST(block_pool, frees_with_the_last_owner) {
  block_pool     pool(2);
  block_id const id = pool.allocate();
  ASSERT_TRUE(pool.retain(id).ok());
  EXPECT_EQ(pool.references(id), 2u);
  ASSERT_TRUE(pool.release(id).ok());
  EXPECT_EQ(pool.free_blocks(), 1);
  ASSERT_TRUE(pool.release(id).ok());
  EXPECT_EQ(pool.free_blocks(), 2);
  EXPECT_EQ(pool.allocate(), id);  // the warm one first
}

TEST(block_pool, refuses_what_is_not_owned) {
  block_pool     pool(2);
  block_id const id = pool.allocate();
  for (block_id const wrong : {-1, 2, 1 << 30, 1 - id}) {
    EXPECT_EQ(pool.release(wrong).code, errc::out_of_range) << wrong;
    EXPECT_EQ(pool.retain(wrong).code, errc::out_of_range) << wrong;
    EXPECT_EQ(pool.references(wrong), 0u);
  }
  ASSERT_TRUE(pool.release(id).ok());
  EXPECT_EQ(pool.release(id).code, errc::out_of_range);
  EXPECT_EQ(pool.free_blocks(), 2);
}

TEST(block_pool, releases_many_or_none) {
  block_pool            pool(6);
  std::vector<block_id> ids(4);
  ASSERT_TRUE(pool.allocate(ids).ok());
  ASSERT_TRUE(pool.retain(ids[2]).ok());
  std::vector<block_id> wrong{ids[0], 99, ids[2], ids[1], ids[2], ids[3]};
  EXPECT_EQ(pool.release(wrong).code, errc::out_of_range);
  EXPECT_EQ(pool.free_blocks(), 2);
  EXPECT_EQ(pool.references(ids[2]), 2u);
  for (int const i : {0, 1, 3}) EXPECT_EQ(pool.references(ids[std::size_t(i)]), 1u);
  ASSERT_TRUE(pool.release(ids).ok());
  ASSERT_TRUE(pool.release(ids[2]).ok());
  EXPECT_EQ(pool.free_blocks(), 6);
}

TEST(block_pool, gives_a_released_table_back_in_its_order) {
  block_pool            pool(8);
  std::vector<block_id> ids(3), again(3);
  ASSERT_TRUE(pool.allocate(ids).ok());
  ASSERT_TRUE(pool.release(ids).ok());
  ASSERT_TRUE(pool.allocate(again).ok());
  EXPECT_EQ(again, ids);
}

TEST(block_pool, of_no_pages_is_empty) {
  block_pool pool(0);
  EXPECT_EQ(pool.allocate(), tenon::no_block);
  EXPECT_EQ(pool.blocks(), 0);
}

// Random operations against a naive model: a count per page.
TEST(block_pool, agrees_with_a_model) {
  int const                  blocks = 37;
  block_pool                 pool(blocks);
  std::vector<std::uint32_t> model(blocks, 0);
  std::mt19937               random(1);
  auto const                 any = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int step = 0; step < 20000; ++step) {
    switch (any(5)) {
      case 0: {
        block_id const id = pool.allocate();
        if (id == tenon::no_block) {
          ASSERT_EQ(std::count(model.begin(), model.end(), 0u), 0);
        } else {
          ASSERT_EQ(model[std::size_t(id)]++, 0u);
        }
        break;
      }
      case 1: {
        std::vector<block_id> ids(std::size_t(any(9)));
        bool const            enough = std::count(model.begin(), model.end(), 0u) >= std::ptrdiff_t(ids.size());
        ASSERT_EQ(pool.allocate(ids).ok(), enough);
        for (block_id const id : enough ? ids : std::vector<block_id>{}) ASSERT_EQ(model[std::size_t(id)]++, 0u);
        break;
      }
      case 2: {
        int const id = any(blocks);
        ASSERT_EQ(pool.retain(id).ok(), model[std::size_t(id)] > 0);
        if (model[std::size_t(id)] > 0) ++model[std::size_t(id)];
        break;
      }
      case 3: {
        int const id = any(blocks);
        ASSERT_EQ(pool.release(id).ok(), model[std::size_t(id)] > 0);
        if (model[std::size_t(id)] > 0) --model[std::size_t(id)];
        break;
      }
      case 4: {
        std::vector<block_id> ids(std::size_t(any(4)));
        for (block_id& id : ids) id = any(blocks + 1);
        auto after  = model;
        bool lawful = true;
        for (block_id const id : ids) lawful = lawful && id < blocks && after[std::size_t(id)]-- > 0;
        ASSERT_EQ(pool.release(ids).ok(), lawful);
        if (lawful) model = after;
        break;
      }
    }
    ASSERT_EQ(pool.free_blocks(), std::count(model.begin(), model.end(), 0u));
    for (int id = 0; id < blocks; ++id) ASSERT_EQ(pool.references(id), model[std::size_t(id)]);
  }
}

}  // namespace
