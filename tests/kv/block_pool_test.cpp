#include <tenon/kv/block_pool.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace {

using tenon::block_handle, tenon::block_id, tenon::block_pool, tenon::errc;

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

TEST(block_pool, counts_any_number_of_owners) {
  block_pool     pool(2);
  block_id const id = pool.allocate();
  for (std::uint32_t n = 1; n < 300; ++n) {
    ASSERT_EQ(pool.references(id), n);
    ASSERT_TRUE(pool.retain(id).ok());
  }
  std::vector<block_id> const table{id, tenon::no_block};
  ASSERT_TRUE(pool.share(table).ok());
  for (std::uint32_t n = 301; n > 0; --n) {
    ASSERT_EQ(pool.references(id), n);
    ASSERT_TRUE(pool.release(id).ok());
  }
  EXPECT_EQ(pool.references(id), 0u);
  EXPECT_EQ(pool.free_blocks(), 2);
}

TEST(block_pool, handle_goes_stale_when_its_block_is_freed) {
  block_pool         pool(3);
  block_id const     id = pool.allocate();
  block_handle const h  = pool.handle(id);
  EXPECT_TRUE(pool.valid(h));
  ASSERT_TRUE(pool.retain(id).ok());
  ASSERT_TRUE(pool.release(id).ok());
  EXPECT_TRUE(pool.valid(h));  // an owner is left
  ASSERT_TRUE(pool.release(id).ok());
  EXPECT_FALSE(pool.valid(h));
  ASSERT_EQ(pool.allocate(), id);
  EXPECT_FALSE(pool.valid(h)) << "the next owner's";
  EXPECT_TRUE(pool.valid(pool.handle(id)));
  EXPECT_NE(pool.handle(id), h);
}

TEST(block_pool, handle_of_nothing_is_never_valid) {
  block_pool pool(3);
  for (block_id const id : {-1, 0, 2, 3, 1 << 30}) EXPECT_FALSE(pool.valid(pool.handle(id))) << id;
  block_handle const free = pool.handle(0);
  ASSERT_EQ(pool.allocate(), 0);
  EXPECT_FALSE(pool.valid(free));
  EXPECT_FALSE(pool.valid({}));
}

TEST(block_pool, keeps_a_block_without_owners_idle) {
  block_pool     pool(3);
  block_id const id = pool.allocate();
  ASSERT_TRUE(pool.keep(id).ok());
  block_handle const h = pool.handle(id);
  ASSERT_TRUE(pool.release(id).ok());
  EXPECT_EQ(pool.idle_blocks(), 1);
  EXPECT_EQ(pool.free_blocks(), 2);
  EXPECT_EQ(pool.used_blocks(), 0);
  EXPECT_EQ(pool.references(id), 0u);
  EXPECT_TRUE(pool.is_kept(id));
  EXPECT_TRUE(pool.valid(h));
  EXPECT_EQ(pool.release(id).code, errc::out_of_range);

  ASSERT_TRUE(pool.retain(id).ok());
  EXPECT_EQ(pool.idle_blocks(), 0);
  EXPECT_EQ(pool.used_blocks(), 1);
  EXPECT_TRUE(pool.valid(h));
}

TEST(block_pool, drop_frees_what_is_idle) {
  block_pool     pool(3);
  block_id const id = pool.allocate();
  ASSERT_TRUE(pool.keep(id).ok());
  block_handle const h = pool.handle(id);
  ASSERT_TRUE(pool.release(id).ok());
  ASSERT_TRUE(pool.drop(id).ok());
  EXPECT_EQ(pool.free_blocks(), 3);
  EXPECT_EQ(pool.idle_blocks(), 0);
  EXPECT_FALSE(pool.is_kept(id));
  ASSERT_EQ(pool.allocate(), id);
  EXPECT_FALSE(pool.valid(h));
}

TEST(block_pool, drop_of_an_owned_block_makes_handles_stale) {
  block_pool     pool(3);
  block_id const id = pool.allocate();
  ASSERT_TRUE(pool.keep(id).ok());
  block_handle const h = pool.handle(id);
  ASSERT_TRUE(pool.drop(id).ok());
  EXPECT_EQ(pool.references(id), 1u);
  EXPECT_FALSE(pool.valid(h));
  ASSERT_TRUE(pool.release(id).ok());
  EXPECT_EQ(pool.free_blocks(), 3);
}

// What was released before the wrong id is as it was: owners, idleness, handles, and the order of the stack.
TEST(block_pool, refused_batch_leaves_no_trace) {
  block_pool            pool(8);
  std::vector<block_id> ids(5);
  ASSERT_TRUE(pool.allocate(ids).ok());
  ASSERT_TRUE(pool.keep(ids[1]).ok());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(pool.retain(ids[2]).ok());
  std::vector<block_handle> handles;
  for (block_id const id : {ids[0], ids[1], ids[2]}) handles.push_back(pool.handle(id));

  for (block_id const wrong : {-1, 8, 7}) {
    std::vector<block_id> const batch{wrong, ids[0], ids[1], ids[2], ids[2], ids[3], ids[4]};
    auto const                  s = pool.release(batch);
    EXPECT_EQ(s.code, errc::out_of_range);
    EXPECT_EQ(s.got, wrong);
    EXPECT_EQ(pool.free_blocks(), 3);
    EXPECT_EQ(pool.idle_blocks(), 0);
    EXPECT_EQ(pool.references(ids[2]), 101u);
    for (int const i : {0, 1, 3, 4}) EXPECT_EQ(pool.references(ids[std::size_t(i)]), 1u) << i;
    for (block_handle const h : handles) EXPECT_TRUE(pool.valid(h)) << h.id;
  }
  std::vector<block_id> rest(3);
  ASSERT_TRUE(pool.allocate(rest).ok());
  EXPECT_EQ(rest, (std::vector<block_id>{5, 6, 7}));
  ASSERT_TRUE(pool.release(ids[0]).ok());
  EXPECT_FALSE(pool.valid(handles[0]));
}

TEST(block_pool, refuses_an_id_that_stands_in_a_batch_too_often) {
  block_pool            pool(4);
  std::vector<block_id> ids(2);
  ASSERT_TRUE(pool.allocate(ids).ok());
  EXPECT_EQ(pool.release(std::vector<block_id>{ids[0], ids[1], ids[0]}).code, errc::out_of_range);
  EXPECT_EQ(pool.used_blocks(), 2);
  ASSERT_TRUE(pool.share(std::vector<block_id>{ids[0]}).ok());
  EXPECT_TRUE(pool.release(std::vector<block_id>{ids[0], ids[1], ids[0]}).ok());
  EXPECT_EQ(pool.free_blocks(), 4);
}

TEST(block_pool, shares_all_or_nothing) {
  block_pool            pool(80);
  std::vector<block_id> ids(3);
  ASSERT_TRUE(pool.allocate(ids).ok());
  for (int i = 0; i < 70; ++i) ASSERT_TRUE(pool.retain(ids[1]).ok());
  for (block_id const wrong : {-2, 3, 79, 80, 1 << 30}) {
    EXPECT_EQ(pool.share(std::vector<block_id>{ids[0], tenon::no_block, ids[1], wrong, ids[2]}).code,
              errc::out_of_range);
    EXPECT_EQ(pool.references(ids[0]) + pool.references(ids[1]) + pool.references(ids[2]), 1u + 71u + 1u);
  }
}

TEST(block_pool, keeps_what_is_owned_and_drops_what_is_kept) {
  block_pool     pool(3);
  block_id const id = pool.allocate();
  for (block_id const wrong : {-1, 3, id == 0 ? 1 : 0, 1 << 30}) {
    EXPECT_EQ(pool.keep(wrong).code, errc::out_of_range);
    EXPECT_EQ(pool.drop(wrong).code, errc::out_of_range);
    EXPECT_FALSE(pool.is_kept(wrong));
  }
  EXPECT_EQ(pool.drop(id).code, errc::out_of_range) << "owned, but not kept";
  EXPECT_EQ(pool.free_blocks() + pool.used_blocks(), 3);
}

TEST(block_pool, of_fewer_than_no_blocks_is_empty) {
  block_pool pool(-3);
  EXPECT_EQ(pool.blocks(), 0);
  EXPECT_EQ(pool.allocate(), tenon::no_block);
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
