#include <tenon/kv/clock_eviction.hpp>
#include <tenon/kv/kv_blocks.hpp>
#include <tenon/kv/priority_eviction.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "colliding_blocks.hpp"

namespace {

using tenon::block_copy, tenon::block_id, tenon::errc, tenon::kv_blocks, tenon::kv_blocks_options, tenon::no_block,
    tenon::no_sequence, tenon::sequence_id;
using tokens = std::vector<std::int32_t>;
using table  = std::vector<block_id>;

/// first, first + 1, ...
tokens count_from(std::int32_t first, std::size_t n) {
  tokens t(n);
  std::iota(t.begin(), t.end(), first);
  return t;
}
tokens operator+(tokens a, tokens const& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
std::span<std::int32_t const> first(tokens const& t, std::size_t n) { return std::span(t).first(n); }

kv_blocks_options const eight{.blocks = 8, .block_size = 4, .max_sequences = 4, .max_blocks_per_sequence = 6};

template <class Eviction>
table table_of(kv_blocks<Eviction> const& kv, sequence_id s) {
  return {kv.block_table(s).begin(), kv.block_table(s).end()};
}
std::vector<block_copy> copies_of(kv_blocks<> const& kv) { return {kv.copies().begin(), kv.copies().end()}; }

/// Room for the tokens and the tokens.
template <class Eviction>
void write(kv_blocks<Eviction>& kv, sequence_id s, tokens const& t) {
  ASSERT_TRUE(kv.reserve(s, static_cast<std::int64_t>(t.size())).ok());
  kv.clear_copies();
  ASSERT_TRUE(kv.commit(s, t).ok());
}

/// The whole life of a text: its full blocks are in the cache then.
template <class Eviction>
void keep(kv_blocks<Eviction>& kv, tokens const& t, std::uint64_t salt = 0, tenon::retention worth = {}) {
  sequence_id const s = kv.open(salt, worth);
  kv.attach(s, t);
  write(kv, s, t);
  kv.close(s);
}

template <class Eviction = tenon::lru_eviction>
class audited : public kv_blocks<Eviction> {
 public:
  explicit audited(kv_blocks_options const& o) : kv_blocks<Eviction>(o) {}
  ~audited() {
    auto const s = this->audit();
    EXPECT_TRUE(s.ok()) << s.subject << " " << s.got << " " << s.want;
  }
};

// ---- Sequences

TEST(kv_blocks, opens_as_many_sequences_as_it_has_rows) {
  audited<> kv(eight);
  for (sequence_id s = 0; s < 4; ++s) EXPECT_EQ(kv.open(), s);
  EXPECT_EQ(kv.open(), no_sequence);
  EXPECT_EQ(kv.open_sequences(), 4);
  kv.close(2);
  EXPECT_FALSE(kv.is_open(2));
  EXPECT_EQ(kv.open(), 2);
}

TEST(kv_blocks, grows_block_by_block) {
  audited<>         kv(eight);
  sequence_id const s = kv.open();
  EXPECT_EQ(kv.capacity(s), 0);
  ASSERT_TRUE(kv.reserve(s, 0).ok());
  EXPECT_EQ(kv.capacity(s), 0);
  ASSERT_TRUE(kv.reserve(s, 1).ok());
  EXPECT_EQ(kv.capacity(s), 4);
  ASSERT_TRUE(kv.reserve(s, 4).ok());
  EXPECT_EQ(kv.capacity(s), 4);
  ASSERT_TRUE(kv.reserve(s, 5).ok());
  EXPECT_EQ(table_of(kv, s), (table{0, 1}));
  ASSERT_TRUE(kv.reserve(s, 1).ok());  // never less
  EXPECT_EQ(kv.capacity(s), 8);
  ASSERT_TRUE(kv.commit(s, count_from(0, 6)).ok());
  EXPECT_EQ(kv.length(s), 6);
}

TEST(kv_blocks, reserves_all_or_nothing) {
  audited<>         kv(eight);
  sequence_id const a = kv.open(), b = kv.open();
  ASSERT_TRUE(kv.reserve(a, 5 * 4).ok());
  auto const s = kv.reserve(b, 4 * 4);
  EXPECT_EQ(s.code, errc::out_of_memory);
  EXPECT_EQ(s.got, 3);
  EXPECT_EQ(s.want, 4);
  EXPECT_EQ(kv.capacity(b), 0);
  EXPECT_EQ(kv.available(), 3);
  EXPECT_TRUE(kv.reserve(b, 3 * 4).ok());
}

// A watermark: what one request must not take, so that those that run can grow.
TEST(kv_blocks, reserves_only_above_a_watermark) {
  audited<>         kv(eight);
  sequence_id const s      = kv.open();
  auto const        answer = kv.reserve(s, 4 * 4, 5);
  EXPECT_EQ(answer.code, errc::out_of_memory);
  EXPECT_EQ(answer.got, 3);
  EXPECT_EQ(answer.want, 4);
  EXPECT_EQ(kv.available(), 8);
  EXPECT_TRUE(kv.reserve(s, 3 * 4, 5).ok());
  EXPECT_TRUE(kv.reserve(s, 3 * 4, 1 << 30).ok()) << "there already";
  EXPECT_EQ(kv.reserve(s, 4 * 4, 1 << 30).code, errc::out_of_memory);
  EXPECT_TRUE(kv.reserve(s, 4 * 4, -7).ok());
}

TEST(kv_blocks, refuses_more_than_a_row) {
  audited<>         kv(eight);
  sequence_id const s = kv.open();
  for (std::int64_t const n : {std::int64_t{25}, std::int64_t{1} << 33, std::int64_t{1} << 62}) {
    auto const answer = kv.reserve(s, n);
    EXPECT_EQ(answer.code, errc::out_of_range) << n;
    EXPECT_EQ(answer.got, n);
    EXPECT_EQ(answer.want, 24);
  }
  EXPECT_EQ(kv.capacity(s), 0);
}

// What was not reserved has been written to somebody else's blocks, or to nobody's.
TEST(kv_blocks, commits_no_more_than_was_reserved) {
  audited<>         kv(eight);
  sequence_id const s = kv.open();
  EXPECT_EQ(kv.commit(s, count_from(0, 1)).code, errc::out_of_range);
  ASSERT_TRUE(kv.reserve(s, 6).ok());
  auto const answer = kv.commit(s, count_from(0, 9));
  EXPECT_EQ(answer.code, errc::out_of_range);
  EXPECT_STREQ(answer.subject, "tokens");
  EXPECT_EQ(answer.got, 9);
  EXPECT_EQ(answer.want, 8);
  EXPECT_EQ(kv.length(s), 0);
  EXPECT_EQ(kv.match(count_from(0, 8)), 0);
  ASSERT_TRUE(kv.commit(s, count_from(0, 6)).ok());

  sequence_id const child = kv.fork(s);
  for (sequence_id const either : {s, child}) {  // the block that the next token goes to is both's
    EXPECT_EQ(kv.commit(either, count_from(0, 7)).want, 6);
    EXPECT_EQ(kv.length(either), 6);
  }
  ASSERT_TRUE(kv.truncate(s, 5).ok());
  EXPECT_EQ(kv.commit(s, count_from(0, 6)).want, 5);
}

TEST(kv_blocks, calls_for_what_is_not_open_change_nothing) {
  audited<> kv(eight);
  for (sequence_id const s : {-1, 0, 4, 1 << 30}) {
    kv.close(s), kv.release_before(s, 1), kv.foresee(s, count_from(0, 9));
    EXPECT_EQ(kv.commit(s, count_from(0, 9)).code, errc::out_of_range);
    EXPECT_EQ(kv.length(s) + kv.capacity(s) + kv.recoverable_tokens(s) + kv.exclusive_blocks(s), 0);
    EXPECT_TRUE(kv.block_table(s).empty());
    EXPECT_EQ(kv.reserve(s, 1).code, errc::out_of_range);
    EXPECT_EQ(kv.truncate(s, 0).code, errc::out_of_range);
    EXPECT_EQ(kv.attach(s, count_from(0, 9)), 0);
    EXPECT_EQ(kv.fork(s), no_sequence);
  }
  EXPECT_EQ(kv.available(), 8);
}

TEST(kv_blocks, of_nothing_refuses_everything) {
  audited<> none({});
  EXPECT_EQ(none.open(), no_sequence);
  EXPECT_EQ(none.match(count_from(0, 100)), 0);
  audited<>         negative({.blocks = -5, .block_size = -1, .max_sequences = 1, .max_blocks_per_sequence = -1});
  sequence_id const s = negative.open();
  EXPECT_EQ(negative.reserve(s, 1).code, errc::out_of_range);
  EXPECT_EQ(negative.attach(s, count_from(0, 9)), 0);
}

// ---- Forks

TEST(kv_blocks, fork_shares_and_copies_on_write) {
  audited<>         kv(eight);
  tokens const      t = count_from(0, 6);
  sequence_id const a = kv.open();
  ASSERT_TRUE(kv.reserve(a, 6).ok());
  ASSERT_TRUE(kv.commit(a, t).ok());
  sequence_id const b = kv.fork(a);
  EXPECT_EQ(table_of(kv, b), table_of(kv, a));
  EXPECT_EQ(kv.length(b), 6);
  EXPECT_EQ(kv.metrics().owned_blocks, 2);
  EXPECT_EQ(kv.metrics().sharing(), 2);
  EXPECT_TRUE(kv.copies().empty());  // nothing has been written

  ASSERT_TRUE(kv.reserve(b, 7).ok());  // the first to write gets a page of its own
  EXPECT_EQ(table_of(kv, b), (table{0, 2}));
  EXPECT_EQ(copies_of(kv), (std::vector<block_copy>{{1, 2, 2}}));
  ASSERT_TRUE(kv.reserve(a, 7).ok());  // the other one keeps the old
  EXPECT_EQ(table_of(kv, a), (table{0, 1}));
  EXPECT_EQ(kv.copies().size(), 1u);
  kv.clear_copies();
  ASSERT_TRUE(kv.commit(a, t + tokens{60}).ok());
  ASSERT_TRUE(kv.commit(b, t + tokens{61}).ok());
  EXPECT_EQ(kv.metrics().copies, 1);
}

TEST(kv_blocks, fork_at_a_block_boundary_copies_nothing) {
  audited<>         kv(eight);
  sequence_id const a = kv.open();
  ASSERT_TRUE(kv.reserve(a, 12).ok());  // one block more than is full
  ASSERT_TRUE(kv.commit(a, count_from(0, 8)).ok());
  sequence_id const b = kv.fork(a);
  EXPECT_EQ(table_of(kv, b), (table{0, 1}));
  ASSERT_TRUE(kv.reserve(a, 9).ok());
  ASSERT_TRUE(kv.reserve(b, 9).ok());
  EXPECT_EQ(table_of(kv, a), (table{0, 1, 2}));
  EXPECT_EQ(table_of(kv, b), (table{0, 1, 3}));
  EXPECT_TRUE(kv.copies().empty());
}

TEST(kv_blocks, many_forks_copy_once_less_than_they_are) {
  audited<>         kv(eight);
  sequence_id const a = kv.open();
  write(kv, a, count_from(0, 2));
  sequence_id const b = kv.fork(a), c = kv.fork(b), d = kv.fork(a);
  for (sequence_id const s : {c, a, d, b}) ASSERT_TRUE(kv.reserve(s, 3).ok());
  EXPECT_EQ(copies_of(kv), (std::vector<block_copy>{{0, 1, 2}, {0, 2, 2}, {0, 3, 2}}));
  EXPECT_EQ(table_of(kv, b), (table{0}));
}

// vllm#37076: the source of a copy that has not been made yet is somebody's, even when its last sequence has gone.
TEST(kv_blocks, source_of_a_copy_is_not_given_out_before_it_is_made) {
  audited<>         kv({.blocks = 3, .block_size = 4, .max_sequences = 3, .max_blocks_per_sequence = 3});
  sequence_id const a = kv.open();
  write(kv, a, count_from(0, 2));
  sequence_id const b = kv.fork(a);
  ASSERT_TRUE(kv.reserve(b, 3).ok());
  kv.close(a);
  EXPECT_EQ(kv.available(), 1);
  sequence_id const c = kv.open();
  EXPECT_EQ(kv.reserve(c, 8).code, errc::out_of_memory);
  ASSERT_TRUE(kv.reserve(c, 4).ok());
  EXPECT_EQ(table_of(kv, c), (table{2}));
  kv.clear_copies();
  EXPECT_EQ(kv.available(), 1);
}

TEST(kv_blocks, copy_on_write_without_a_free_block_is_refused_as_a_whole) {
  audited<>         kv({.blocks = 2, .block_size = 4, .max_sequences = 3, .max_blocks_per_sequence = 3});
  sequence_id const a = kv.open();
  write(kv, a, count_from(0, 2));
  sequence_id const b = kv.fork(a);
  EXPECT_EQ(kv.reserve(b, 5).code, errc::out_of_memory);  // a copy and one block more
  EXPECT_EQ(table_of(kv, b), table_of(kv, a));
  EXPECT_TRUE(kv.copies().empty());
  EXPECT_TRUE(kv.reserve(b, 4).ok());
}

// ---- Prefixes

TEST(kv_blocks, attaches_full_blocks_that_were_written_before) {
  audited<>    kv(eight);
  tokens const prompt = count_from(0, 10);
  keep(kv, prompt);
  EXPECT_EQ(kv.match(prompt), 8);
  EXPECT_EQ(kv.pool().idle_blocks(), 2);

  sequence_id const s = kv.open();
  EXPECT_EQ(kv.attach(s, prompt), 8);
  EXPECT_EQ(kv.length(s), 8);
  EXPECT_EQ(table_of(kv, s), (table{0, 1}));
  EXPECT_EQ(kv.metrics().hit_tokens, 8);
  EXPECT_EQ(kv.metrics().queried_tokens, 20);
  EXPECT_EQ(kv.recoverable_tokens(s), 8);
}

// The last token's logits are wanted, so it is computed again, into a block of its own.
TEST(kv_blocks, never_attaches_the_last_token) {
  audited<>    kv(eight);
  tokens const prompt = count_from(0, 8);
  keep(kv, prompt);
  EXPECT_EQ(kv.match(prompt), 8);
  sequence_id const s = kv.open();
  EXPECT_EQ(kv.attach(s, prompt), 7);
  EXPECT_EQ(copies_of(kv), (std::vector<block_copy>{{1, 2, 3}}));
  EXPECT_EQ(table_of(kv, s), (table{0, 2}));
  ASSERT_TRUE(kv.reserve(s, 8).ok());
  kv.clear_copies();
  ASSERT_TRUE(kv.commit(s, prompt).ok());
  EXPECT_EQ(table_of(kv, s), (table{0, 1})) << "full again, it is the block that was there";
  EXPECT_EQ(kv.metrics().duplicates, 1);
  EXPECT_EQ(kv.attach(kv.open(), first(prompt, 1)), 0);
}

TEST(kv_blocks, reuses_a_part_of_a_block_by_copy) {
  audited<> kv(eight);
  keep(kv, count_from(0, 8));
  tokens const      prompt = count_from(0, 6) + tokens{100, 101, 102};
  sequence_id const s      = kv.open();
  EXPECT_EQ(kv.attach(s, prompt), 6);
  EXPECT_EQ(copies_of(kv), (std::vector<block_copy>{{1, 2, 2}}));
  EXPECT_EQ(kv.metrics().partial_hits, 1);
  EXPECT_EQ(kv.pool().references(1), 1u) << "until the copy is made";
  kv.clear_copies();
  EXPECT_EQ(kv.pool().references(1), 0u);
  ASSERT_TRUE(kv.reserve(s, 9).ok());
  ASSERT_TRUE(kv.commit(s, prompt).ok());
  EXPECT_EQ(kv.match(prompt), 8);
  EXPECT_EQ(kv.match(count_from(0, 8)), 8);  // the source is what it was
}

TEST(kv_blocks, of_several_continuations_the_longest_is_reused) {
  audited<> kv(eight);
  keep(kv, tokens{1, 2, 3, 4});
  keep(kv, tokens{1, 2, 9, 9});
  keep(kv, tokens{1, 8, 8, 8});
  EXPECT_EQ(kv.attach(kv.open(), tokens{1, 2, 3, 5, 5}), 3);
  EXPECT_EQ(kv.attach(kv.open(), tokens{1, 2, 9, 5, 5}), 3);
  EXPECT_EQ(kv.attach(kv.open(), tokens{7, 2, 9, 5, 5}), 0);
}

// A child that was evicted, and one that writes other tokens now, hide no older one.
TEST(kv_blocks, continuations_behind_one_that_is_gone_are_found) {
  audited<tenon::priority_eviction> kv(
      {.blocks = 4, .block_size = 4, .max_sequences = 3, .max_blocks_per_sequence = 4});
  keep(kv, tokens{1, 2, 3, 4});
  keep(kv, tokens{5, 6, 7, 8}, 0, {.priority = 0});
  sequence_id const taker = kv.open();
  ASSERT_TRUE(kv.reserve(taker, 4 * 3).ok());  // two free ones, and that of priority 0
  ASSERT_EQ(kv.match(tokens{5, 6, 7, 8}), 0);
  kv.close(taker);
  EXPECT_EQ(kv.attach(kv.open(), tokens{1, 2, 9, 9}), 2);
}

TEST(kv_blocks, partial_reuse_needs_a_block_and_does_without) {
  audited<> kv({.blocks = 2, .block_size = 4, .max_sequences = 3, .max_blocks_per_sequence = 3});
  keep(kv, count_from(0, 4));
  ASSERT_TRUE(kv.reserve(kv.open(), 4).ok());
  sequence_id const s = kv.open();
  EXPECT_EQ(kv.attach(s, count_from(0, 3)), 0);  // the only block to be had is the one to be read
  EXPECT_EQ(kv.match(count_from(0, 4)), 4);
  EXPECT_EQ(kv.metrics().idle_before_reuse[0], 0);
}

TEST(kv_blocks, prefix_means_everything_before) {
  audited<> kv(eight);
  keep(kv, count_from(0, 4) + count_from(50, 4));
  EXPECT_EQ(kv.match(count_from(50, 4)), 0);
  EXPECT_EQ(kv.match(count_from(1, 4) + count_from(50, 4)), 0);
  EXPECT_EQ(kv.match(count_from(0, 4) + count_from(51, 4)), 4);
  EXPECT_EQ(kv.match(count_from(0, 3)), 0);
}

TEST(kv_blocks, salts_share_nothing) {
  audited<>    kv(eight);
  tokens const t = count_from(0, 9);
  keep(kv, t, 1);
  EXPECT_EQ(kv.match(t, 1), 8);
  for (std::uint64_t const other :
       {std::uint64_t{0}, std::uint64_t{2}, (std::uint64_t{1} << 61) - 1, (std::uint64_t{1} << 61)})
    EXPECT_EQ(kv.match(t, other), 0) << other;
  sequence_id const s = kv.open(2);
  EXPECT_EQ(kv.attach(s, t), 0) << "not in part, either";
  ASSERT_TRUE(kv.reserve(s, 9).ok());
  ASSERT_TRUE(kv.commit(s, t).ok());
  EXPECT_EQ(kv.metrics().duplicates, 0);
}

// Not in part, either, and however many there are.
TEST(kv_blocks, many_salts_share_nothing) {
  audited<> kv({.blocks = 600, .block_size = 4, .max_sequences = 2, .max_blocks_per_sequence = 3});
  for (std::uint64_t salt = 0; salt < 500; ++salt) {
    sequence_id const s = kv.open(salt);
    ASSERT_EQ(kv.attach(s, tokens{1, 2, 3, 4, 5}), 0) << salt;
    kv.clear_copies(), kv.close(s);
    keep(kv, tokens{1, 2, 3, 4, 5}, salt);
  }
}

TEST(kv_blocks, sequences_that_write_the_same_end_with_one_block) {
  audited<>         kv(eight);
  tokens const      t = count_from(0, 8);
  sequence_id const a = kv.open(), b = kv.open();
  ASSERT_TRUE(kv.reserve(a, 8).ok());
  ASSERT_TRUE(kv.reserve(b, 8).ok());
  ASSERT_TRUE(kv.commit(a, t).ok());
  ASSERT_TRUE(kv.commit(b, t).ok());
  EXPECT_EQ(table_of(kv, a), table_of(kv, b));
  EXPECT_EQ(kv.metrics().duplicates, 2);
  EXPECT_EQ(kv.available(), 6);
}

TEST(kv_blocks, without_a_cache_nothing_is_found_or_kept) {
  kv_blocks_options o = eight;
  o.prefix_cache      = false;
  audited<> kv(o);
  keep(kv, count_from(0, 8));
  EXPECT_EQ(kv.match(count_from(0, 8)), 0);
  EXPECT_EQ(kv.attach(kv.open(), count_from(0, 8)), 0);
  EXPECT_EQ(kv.pool().free_blocks(), 8);
}

// A digest only finds a candidate. Whoever knows the key can make two blocks of one digest: they are told apart, alone and as
// what stands in front of equal blocks.
TEST(kv_blocks, equal_digests_are_no_hit) {
  kv_blocks_options const o{.blocks = 12, .block_size = 8, .max_sequences = 4, .max_blocks_per_sequence = 4};
  auto const              blocks = test::colliding_blocks(tenon::prefix_hash(o.key, 8), 8);
  tokens const            x = blocks.first, y = blocks.second, z = count_from(0, 8);
  {
    audited<> kv(o);
    keep(kv, x);
    EXPECT_EQ(kv.match(x), 8);
    EXPECT_EQ(kv.match(y), 0);
    sequence_id const s = kv.open();
    EXPECT_EQ(kv.attach(s, y + z), 0);
    ASSERT_TRUE(kv.reserve(s, 16).ok());
    ASSERT_TRUE(kv.commit(s, y + z).ok());
    EXPECT_EQ(kv.metrics().duplicates, 0);
    EXPECT_EQ(kv.match(y + z), 16);
    EXPECT_EQ(kv.match(x + z), 8) << "z stands behind y";
    keep(kv, x + z);
    EXPECT_EQ(kv.match(x + z), 16);
    EXPECT_EQ(kv.match(y + z), 16);
    EXPECT_EQ(kv.metrics().duplicates, 0);
  }
  audited<> kv(o);  // and each is evicted for itself
  keep(kv, x), keep(kv, y);
  sequence_id const s = kv.open();
  kv.attach(s, y + z);
  sequence_id const rest = kv.open(), more = kv.open(), last = kv.open();
  for (sequence_id const taker : {rest, more}) ASSERT_TRUE(kv.reserve(taker, 4 * 8).ok());
  ASSERT_TRUE(kv.reserve(last, 3 * 8).ok());
  EXPECT_EQ(kv.match(x), 0);
  EXPECT_EQ(kv.match(y), 8);
}

// ---- Eviction

TEST(kv_blocks, evicts_the_ends_of_the_longest_idle_first) {
  audited<>    kv(eight);
  tokens const old = count_from(0, 16), recent = count_from(100, 16);
  keep(kv, old), keep(kv, recent);
  sequence_id const s = kv.open();
  for (std::int64_t taken = 1; taken <= 4; ++taken) {
    ASSERT_TRUE(kv.reserve(s, 4 * taken).ok());
    EXPECT_EQ(kv.match(old), 16 - 4 * taken);
    EXPECT_EQ(kv.match(recent), 16);
  }
  EXPECT_EQ(kv.metrics().evictions, 4);
}

TEST(kv_blocks, shared_start_outlives_the_ends) {
  audited<>    kv(eight);
  tokens const system = count_from(0, 8);
  keep(kv, system + count_from(100, 8)), keep(kv, system + count_from(200, 8));  // 2 + 2 + 2 blocks
  sequence_id const s = kv.open();
  ASSERT_TRUE(kv.reserve(s, 4 * 6).ok());  // two free ones and four evictions
  EXPECT_EQ(kv.match(system), 8);
}

TEST(kv_blocks, never_evicts_what_is_owned) {
  audited<>         kv(eight);
  sequence_id const a = kv.open();
  write(kv, a, count_from(0, 16));
  sequence_id const b = kv.open();
  EXPECT_EQ(kv.reserve(b, 20).code, errc::out_of_memory);
  ASSERT_TRUE(kv.reserve(b, 16).ok());
  EXPECT_EQ(kv.match(count_from(0, 16)), 16);
  EXPECT_EQ(kv.metrics().evictions, 0);
}

TEST(kv_blocks, evicted_blocks_are_not_found) {
  audited<> kv(eight);
  keep(kv, count_from(0, 16));
  kv.flush();
  EXPECT_EQ(kv.match(count_from(0, 16)), 0);
  EXPECT_EQ(kv.pool().free_blocks(), 8);
  EXPECT_EQ(kv.metrics().evictions, 4);
}

TEST(kv_blocks, priority_decides_before_age) {
  audited<tenon::priority_eviction> kv(eight);
  tokens const                      dear = count_from(0, 16), cheap = count_from(100, 16);
  keep(kv, dear, 0, {.priority = 90, .time_to_live = 10});
  keep(kv, cheap);
  auto const take = [&](std::int64_t blocks) {
    sequence_id const s = kv.open();
    ASSERT_TRUE(kv.reserve(s, 4 * blocks).ok());
    kv.close(s);
  };
  take(3);
  EXPECT_EQ(kv.match(dear), 16);
  EXPECT_EQ(kv.match(cheap), 4);
  kv.advance(10);
  keep(kv, cheap);
  take(2);
  EXPECT_EQ(kv.match(cheap), 16);
  EXPECT_EQ(kv.match(dear), 8) << "their time is over: ordinary, older than cheap, and the ends go first";
}

// What reads a block only to copy from it does not make it cheap.
TEST(kv_blocks, copied_block_keeps_the_worth_that_its_reader_gives_it) {
  audited<tenon::priority_eviction> kv(eight);
  tenon::retention const            dear{.priority = 90};
  keep(kv, count_from(0, 4), 0, dear);
  sequence_id const s = kv.open(0, dear);
  EXPECT_EQ(kv.attach(s, count_from(0, 3)), 2);
  kv.clear_copies();
  keep(kv, count_from(100, 12));
  ASSERT_TRUE(kv.reserve(kv.open(), 24).ok());
  EXPECT_EQ(kv.match(count_from(0, 4)), 4);
}

TEST(kv_blocks, clock_spares_what_was_used_again) {
  audited<tenon::clock_eviction> kv(eight);
  tokens const                   again = count_from(0, 8), once = count_from(100, 24);
  keep(kv, again), keep(kv, once);
  keep(kv, again + tokens{0});
  ASSERT_TRUE(kv.reserve(kv.open(), 16).ok());
  EXPECT_EQ(kv.match(again), 8);
}

// ---- Truncation and windows

TEST(kv_blocks, truncate_forgets_tokens_and_the_blocks_behind_them) {
  audited<>         kv(eight);
  sequence_id const s = kv.open();
  ASSERT_TRUE(kv.reserve(s, 20).ok());
  ASSERT_TRUE(kv.commit(s, count_from(0, 18)).ok());
  ASSERT_TRUE(kv.truncate(s, 9).ok());
  EXPECT_EQ(kv.length(s), 9);
  EXPECT_EQ(kv.capacity(s), 12);
  EXPECT_EQ(kv.recoverable_tokens(s), 8);
  EXPECT_EQ(kv.truncate(s, 10).code, errc::out_of_range);
  EXPECT_EQ(kv.truncate(s, -1).code, errc::out_of_range);
  ASSERT_TRUE(kv.truncate(s, 9).ok());
  ASSERT_TRUE(kv.truncate(s, 0).ok());
  EXPECT_EQ(kv.capacity(s), 0);
  EXPECT_EQ(kv.attach(s, count_from(0, 9)), 8) << "empty again";
}

// A full block that is in the cache is cut and written again: others must not find the old tokens there.
TEST(kv_blocks, truncating_into_a_cached_block_takes_it_out_of_the_cache) {
  audited<>         kv(eight);
  tokens const      t = count_from(0, 8);
  sequence_id const s = kv.open();
  ASSERT_TRUE(kv.reserve(s, 8).ok());
  ASSERT_TRUE(kv.commit(s, t).ok());
  ASSERT_TRUE(kv.truncate(s, 6).ok());
  EXPECT_EQ(kv.match(t), 8) << "nothing was written yet";
  tenon::block_handle const h = kv.pool().handle(1);
  ASSERT_TRUE(kv.reserve(s, 8).ok());
  EXPECT_EQ(table_of(kv, s), (table{0, 1}));
  EXPECT_EQ(kv.match(t), 4);
  EXPECT_FALSE(kv.pool().valid(h));
  tokens const other = count_from(0, 6) + tokens{70, 71};
  ASSERT_TRUE(kv.commit(s, other).ok());
  EXPECT_EQ(kv.match(other), 8);
  EXPECT_EQ(kv.match(t), 4);
}

TEST(kv_blocks, truncating_into_a_cached_block_that_others_use_copies_it) {
  audited<>         kv(eight);
  tokens const      t = count_from(0, 8);
  sequence_id const a = kv.open();
  ASSERT_TRUE(kv.reserve(a, 8).ok());
  ASSERT_TRUE(kv.commit(a, t).ok());
  sequence_id const b = kv.open();
  ASSERT_EQ(kv.attach(b, t + tokens{9}), 8);
  ASSERT_TRUE(kv.truncate(a, 6).ok());
  ASSERT_TRUE(kv.reserve(a, 7).ok());
  EXPECT_EQ(copies_of(kv), (std::vector<block_copy>{{1, 2, 2}}));
  EXPECT_EQ(kv.match(t), 8);
  EXPECT_EQ(table_of(kv, b), (table{0, 1}));
}

TEST(kv_blocks, window_gives_back_what_lies_wholly_in_front) {
  audited<>         kv(eight);
  sequence_id const s = kv.open();
  ASSERT_TRUE(kv.reserve(s, 16).ok());
  ASSERT_TRUE(kv.commit(s, count_from(0, 14)).ok());
  kv.release_before(s, 3);
  EXPECT_EQ(table_of(kv, s), (table{0, 1, 2, 3}));
  kv.release_before(s, 4);
  EXPECT_EQ(table_of(kv, s), (table{no_block, 1, 2, 3}));
  kv.release_before(s, 11);
  EXPECT_EQ(table_of(kv, s), (table{no_block, no_block, 2, 3}));
  kv.release_before(s, 5);  // never back
  kv.release_before(s, -1);
  EXPECT_EQ(kv.metrics().table_blocks, 2);
  EXPECT_EQ(kv.metrics().tokens, 6);
  EXPECT_EQ(kv.exclusive_blocks(s), 2);
  EXPECT_EQ(kv.truncate(s, 7).code, errc::out_of_range) << "those tokens are gone";
  kv.release_before(s, 1000);  // the block of the next token stays
  EXPECT_EQ(table_of(kv, s), (table{no_block, no_block, no_block, 3}));
  write(kv, s, count_from(0, 17));
  sequence_id const child = kv.fork(s);
  EXPECT_EQ(table_of(kv, child), table_of(kv, s));
  kv.close(s), kv.close(child);
  EXPECT_EQ(kv.available(), 8);
}

// Cut back to the window's edge, a sequence no longer knows the chain of its blocks: it goes on, but offers them to nobody.
TEST(kv_blocks, blocks_behind_a_lost_chain_stay_private) {
  audited<>         kv(eight);
  sequence_id const s = kv.open();
  write(kv, s, count_from(0, 12));
  kv.release_before(s, 8);
  ASSERT_TRUE(kv.truncate(s, 8).ok());
  ASSERT_TRUE(kv.reserve(s, 12).ok());
  ASSERT_TRUE(kv.commit(s, count_from(0, 8) + count_from(70, 4)).ok());
  EXPECT_EQ(kv.match(count_from(0, 8) + count_from(70, 4)), 8);
  EXPECT_EQ(kv.match(count_from(0, 12)), 12);
}

// ---- Metrics

TEST(kv_blocks, counts_waste_and_sharing) {
  audited<>         kv(eight);
  sequence_id const a = kv.open();
  EXPECT_EQ(kv.metrics().internal_fragmentation(), 0);
  EXPECT_EQ(kv.metrics().sharing(), 1);
  ASSERT_TRUE(kv.reserve(a, 16).ok());
  ASSERT_TRUE(kv.commit(a, count_from(0, 6)).ok());
  EXPECT_EQ(kv.metrics().internal_fragmentation(), 10. / 16);
  sequence_id const b = kv.fork(a);
  EXPECT_EQ(kv.metrics().tokens, 12);
  EXPECT_EQ(kv.metrics().slots, 24);
  EXPECT_EQ(kv.metrics().table_blocks, 6);
  EXPECT_EQ(kv.metrics().owned_blocks, 4);
  EXPECT_EQ(kv.metrics().sharing(), 1.5);
  EXPECT_EQ(kv.exclusive_blocks(a), 2);
  EXPECT_EQ(kv.exclusive_blocks(b), 0);
  kv.close(a), kv.close(b);
  EXPECT_EQ(kv.metrics().slots, 0);
  EXPECT_EQ(kv.metrics().tokens, 0);
  EXPECT_EQ(kv.metrics().owned_blocks, 0);
  EXPECT_EQ(kv.metrics().peak_blocks, 4);
}

TEST(kv_blocks, counts_how_long_blocks_were_idle) {
  audited<> kv(eight);
  keep(kv, count_from(0, 8));
  kv.advance(5);
  sequence_id const s = kv.open();
  kv.attach(s, count_from(0, 9));
  EXPECT_EQ(kv.metrics().idle_before_reuse[3], 2);  // 4 to 7 ticks
  kv.close(s);
  kv.advance(3);  // never backwards
  kv.advance(6);
  kv.flush();
  EXPECT_EQ(kv.metrics().idle_before_eviction[1], 2);
  EXPECT_EQ(kv.metrics().hit_rate(), 8. / 17);
}

}  // namespace
