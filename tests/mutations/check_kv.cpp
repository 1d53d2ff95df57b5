//  The KV manager, its pool, hash, index and policies: exits with 1 and says what is wrong, or with 0.
//
//  The shadow model under random calls, and what no text made without the key would show: prefixes of one digest.
#include <tenon/kv/clock_eviction.hpp>
#include <tenon/kv/kv_blocks.hpp>
#include <tenon/kv/priority_eviction.hpp>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "colliding_blocks.hpp"
#include "kv_shadow.hpp"

namespace {

using tokens = std::vector<std::int32_t>;

void must(bool good, char const* what) {
  if (!good) throw std::runtime_error(what);
}

template <class Eviction>
void random_calls(tenon::kv_blocks_options const& kv, std::int64_t steps) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) test::kv_shadow<Eviction>({kv, steps, seed, 32}).run();
}

template <class Eviction>
void all_sizes() {
  random_calls<Eviction>({.blocks = 10, .block_size = 2, .max_sequences = 5, .max_blocks_per_sequence = 6}, 20'000);
  random_calls<Eviction>({.blocks = 60, .block_size = 3, .max_sequences = 8, .max_blocks_per_sequence = 12}, 15'000);
  random_calls<Eviction>({.blocks = 400, .block_size = 4, .max_sequences = 80, .max_blocks_per_sequence = 12}, 4'000);
  random_calls<Eviction>(
      {.blocks = 30, .block_size = 4, .max_sequences = 6, .max_blocks_per_sequence = 9, .prefix_cache = false}, 5'000);
}

/// Every token of every block has its part in both lanes; so has the salt.
void hash() {
  for (int const size : {1, 2, 7, 16, 70, 130}) {
    tenon::prefix_hash const   of({1, 2, 3, 4}, size);
    tokens                     block(static_cast<std::size_t>(size), (1 << 29) - 1);
    tenon::prefix_digest const whole = of.extend(of.root(0), block);
    for (std::int32_t& t : block) {
      t -= 5;
      auto const d = of.extend(of.root(0), block);
      must(d.a != whole.a && d.b != whole.b, "the digest does not depend on a token");
      t += 5;
    }
    must(of.extend(of.root(0), block) == whole, "the digest is no function of its block");
    auto const salted = of.root(1), other = of.extend(of.root(1), block);
    must(salted.a != of.root(0).a && salted.b != of.root(0).b, "the root does not depend on the salt");
    must(other.a != whole.a && other.b != whole.b, "the digest does not depend on its parent");
  }
}

void write(tenon::kv_blocks<>& kv, tokens const& t, std::uint64_t salt = 0) {
  tenon::sequence_id const s = kv.open(salt);
  kv.attach(s, t);
  must(kv.reserve(s, static_cast<std::int64_t>(t.size())).ok(), "reserve");
  kv.clear_copies();
  must(kv.commit(s, t).ok(), "commit");
  kv.close(s);
}

void equal_digests() {
  tenon::kv_blocks_options const o{.blocks = 12, .block_size = 8, .max_sequences = 4, .max_blocks_per_sequence = 4};
  auto const [x, y] = test::colliding_blocks(tenon::prefix_hash(o.key, 8), 8);
  auto const behind = [](tokens a) {
    a.insert(a.end(), 8, 5);
    return a;
  };
  tenon::kv_blocks<> kv(o);
  write(kv, x);
  must(kv.match(y) == 0, "another block of the same digest is found");
  write(kv, behind(y));
  must(kv.match(y) == 8 && kv.match(behind(y)) == 16, "a block of a digest that is there already is not found");
  must(kv.match(behind(x)) == 8, "a block is found behind another prefix of the same digest");
  must(kv.audit().ok(), "audit");
}

/// Many tenants: more than there are lists of first blocks.
void salts() {
  tenon::kv_blocks<> kv({.blocks = 600, .block_size = 4, .max_sequences = 4, .max_blocks_per_sequence = 4});
  for (std::uint64_t salt = 0; salt < 500; ++salt) {
    tenon::sequence_id const s = kv.open(salt);
    must(kv.attach(s, tokens{1, 2, 3, 4, 5}) == 0, "tokens of another tenant");
    kv.clear_copies();
    kv.close(s);
    write(kv, {1, 2, 3, 4, 5}, salt);
  }
}

/// Ends of chains go before what they hang on, whatever their times to live.
void ends_first() {
  tenon::kv_blocks<tenon::priority_eviction> kv(
      {.blocks = 8, .block_size = 1, .max_sequences = 2, .max_blocks_per_sequence = 8});
  tokens const             t{1, 2, 3, 4, 5, 6, 7, 8};
  tenon::sequence_id const s = kv.open(0, {.priority = 90, .time_to_live = 3});
  must(kv.reserve(s, 8).ok(), "reserve");
  must(kv.commit(s, t).ok(), "commit");
  kv.close(s);
  kv.advance(3);
  tenon::sequence_id const taker = kv.open();
  for (std::int64_t n = 1; n <= 8; ++n) {
    must(kv.reserve(taker, n).ok(), "reserve");
    must(kv.match(t) == 8 - n, "the start of a chain is evicted before its end");
  }
}

/// What was not reserved is not written, and who leaves some blocks to others leaves them.
void room() {
  tenon::kv_blocks<>       kv({.blocks = 4, .block_size = 4, .max_sequences = 3, .max_blocks_per_sequence = 4});
  tenon::sequence_id const s = kv.open();
  must(kv.reserve(s, 2).ok() && !kv.commit(s, tokens(5)).ok() && kv.length(s) == 0, "tokens behind the reservation");
  must(kv.commit(s, tokens(2)).ok(), "commit");
  tenon::sequence_id const child = kv.fork(s);
  must(!kv.commit(s, tokens(3)).ok() && !kv.commit(child, tokens(3)).ok(), "tokens in a block that two share");
  must(!kv.reserve(child, 3, 3).ok() && kv.reserve(child, 3, 2).ok(), "the watermark of a reservation");
}

/// More owners than a pool's byte counts.
void many_owners() {
  tenon::kv_blocks<>       kv({.blocks = 4, .block_size = 4, .max_sequences = 200, .max_blocks_per_sequence = 2});
  tenon::sequence_id const s = kv.open();
  must(kv.reserve(s, 4).ok(), "reserve");
  must(kv.commit(s, tokens{1, 2, 3, 4}).ok(), "commit");
  for (int i = 1; i < 200; ++i) kv.fork(s);
  must(kv.pool().references(kv.block_table(s)[0]) == 200 && kv.audit().ok(), "owners of a block that many share");
  for (tenon::sequence_id i = 0; i < 200; ++i) kv.close(i);
  must(kv.available() == 4 && kv.audit().ok(), "a block that many shared comes back");
}

void worth() {
  auto const left = [](auto& kv, std::uint32_t now) {  // 1: the first text is still there, 2: the second, 3: both
    kv.advance(now);
    must(kv.reserve(kv.open(), 3).ok(), "reserve");
    return static_cast<int>(kv.match(tokens{1})) + 2 * static_cast<int>(kv.match(tokens{2}));
  };
  auto const put = [](auto& kv, std::int32_t token, tenon::retention worth) {
    tenon::sequence_id const s = kv.open(0, worth);
    kv.attach(s, tokens{token, 0});
    must(kv.reserve(s, 1).ok(), "reserve");
    must(kv.commit(s, tokens{token}).ok(), "commit");
    kv.close(s);
  };
  tenon::kv_blocks_options const o{.blocks = 4, .block_size = 1, .max_sequences = 4, .max_blocks_per_sequence = 4};
  for (std::uint32_t const now : {2u, 3u}) {
    tenon::kv_blocks<tenon::priority_eviction> kv(o);
    put(kv, 1, {.priority = 90, .time_to_live = 3});
    kv.advance(now);
    put(kv, 2, {});
    must(left(kv, now) == (now < 3 ? 1 : 2), "a high priority lasts for its time");
  }
  tenon::kv_blocks<tenon::clock_eviction> kv(o);
  put(kv, 1, {}), put(kv, 2, {}), put(kv, 1, {});
  must(left(kv, 1) == 1, "the clock spares what was used again");
}

}  // namespace

int main() {
  try {
    hash();
    equal_digests();
    salts();
    ends_first();
    room();
    many_owners();
    worth();
    all_sizes<tenon::lru_eviction>();
    all_sizes<tenon::clock_eviction>();
    all_sizes<tenon::priority_eviction>();
  } catch (std::exception const& e) {
    std::printf("%s\n", e.what());
    return 1;
  }
  return 0;
}
