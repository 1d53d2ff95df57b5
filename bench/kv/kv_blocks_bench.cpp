//  The bookkeeping of a paged cache on one core: blocks, prefixes, sequences.
//
//  Axes: blocks of the pool; order. `hot`: the stack of free blocks and the order of frees are those of a new pool, so that
//  neighbours follow each other. `shuffled`: both are random permutations, as after hours of traffic, and every call meets other
//  cache lines than the one before. Counters: ns per item, and which item.
#include <tenon/kv/clock_eviction.hpp>
#include <tenon/kv/kv_blocks.hpp>
#include <tenon/kv/priority_eviction.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace {

using tenon::block_id, tenon::sequence_id;

constexpr int block_size = 16;

enum order { hot, shuffled };

std::vector<block_id> ids_of(block_id blocks, order o, unsigned seed) {
  std::vector<block_id> ids(static_cast<std::size_t>(blocks));
  std::iota(ids.begin(), ids.end(), 0);
  if (o == shuffled) std::shuffle(ids.begin(), ids.end(), std::mt19937(seed));
  return ids;
}

/// A pool with its stack of free blocks in that order.
tenon::block_pool pool_of(block_id blocks, order o) {
  tenon::block_pool     pool(blocks);
  std::vector<block_id> all(static_cast<std::size_t>(blocks));
  static_cast<void>(pool.allocate(all));
  static_cast<void>(pool.release(ids_of(blocks, o, 1)));
  return pool;
}

class stopwatch {
 public:
  void start() { begin_ = now(); }
  void stop() { ns_ += now() - begin_; }
  /// Of everything between start() and stop().
  void report(benchmark::State& state, char const* item, std::int64_t items) const {
    state.counters[std::string("ns_per_") + item] = static_cast<double>(ns_) / static_cast<double>(items);
  }

 private:
  static std::int64_t now() {
    std::timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
  }
  std::int64_t begin_ = 0, ns_ = 0;
};

// ---- Pool

// Half of the pool one by one, then every one of them back, in the order of the axis.
template <bool Frees>
void one_by_one(benchmark::State& state) {
  auto const            blocks = static_cast<block_id>(state.range(0));
  auto const            o      = static_cast<order>(state.range(1));
  tenon::block_pool     pool   = pool_of(blocks, o);
  std::vector<block_id> taken(static_cast<std::size_t>(blocks / 2)), places = ids_of(blocks / 2, o, 2);
  stopwatch             watch;
  for (auto _ : state) {
    if (!Frees) watch.start();
    for (block_id& id : taken) id = pool.allocate();
    if (!Frees) watch.stop();

    std::vector<block_id> back(taken.size());
    for (std::size_t i = 0; i < back.size(); ++i) back[i] = taken[static_cast<std::size_t>(places[i])];
    if (Frees) watch.start();
    for (block_id const id : back) static_cast<void>(pool.release(id));
    if (Frees) watch.stop();
  }
  watch.report(state, "block", state.iterations() * static_cast<std::int64_t>(taken.size()));
}
void pool_allocate(benchmark::State& state) { one_by_one<false>(state); }
void pool_free(benchmark::State& state) { one_by_one<true>(state); }

// Tables of 256 blocks, until half of the pool is taken; then all of them back, tables in the order of the axis.
template <bool Frees>
void in_bulk(benchmark::State& state) {
  auto const                         blocks = static_cast<block_id>(state.range(0));
  auto const                         o      = static_cast<order>(state.range(1));
  tenon::block_pool                  pool   = pool_of(blocks, o);
  std::vector<std::vector<block_id>> tables(static_cast<std::size_t>(blocks / 2 / 256), std::vector<block_id>(256));
  std::vector<block_id> const        turns = ids_of(static_cast<block_id>(tables.size()), o, 2);
  stopwatch                          watch;
  for (auto _ : state) {
    if (!Frees) watch.start();
    for (auto& table : tables) static_cast<void>(pool.allocate(table));
    if (!Frees) watch.stop();
    if (Frees) watch.start();
    for (block_id const t : turns) static_cast<void>(pool.release(tables[static_cast<std::size_t>(t)]));
    if (Frees) watch.stop();
  }
  watch.report(state, "block", state.iterations() * static_cast<std::int64_t>(tables.size()) * 256);
}
void pool_bulk_allocate(benchmark::State& state) { in_bulk<false>(state); }
void pool_bulk_free(benchmark::State& state) { in_bulk<true>(state); }

void pools(benchmark::internal::Benchmark* b) {
  b->ArgNames({"blocks", "shuffled"})->ArgsProduct({{10'000, 1'000'000}, {hot, shuffled}});
}
BENCHMARK(pool_allocate)->Apply(pools);
BENCHMARK(pool_free)->Apply(pools);
BENCHMARK(pool_bulk_allocate)->Apply(pools);
BENCHMARK(pool_bulk_free)->Apply(pools);

// ---- Prefixes

/// Token ids of a vocabulary of 128k.
std::vector<std::int32_t> text(std::size_t tokens, unsigned seed) {
  std::mt19937              random(seed);
  std::vector<std::int32_t> out(tokens);
  for (std::int32_t& t : out) t = static_cast<std::int32_t>(random() % 131072);
  return out;
}

// Axis: block size.
void hash(benchmark::State& state) {
  auto const               size = static_cast<std::size_t>(state.range(0));
  tenon::prefix_hash const of({1, 2, 3, 4}, static_cast<int>(size));
  auto const               tokens = text(65536, 1);
  for (auto _ : state) {
    tenon::prefix_digest d = of.root(0);
    for (std::size_t i = 0; i + size <= tokens.size(); i += size) d = of.extend(d, std::span(tokens).subspan(i, size));
    benchmark::DoNotOptimize(d);
  }
  state.counters["ns_per_token"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(tokens.size()) * 1e-9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(hash)->ArgName("block_size")->Arg(8)->Arg(16)->Arg(32)->Arg(128);

// ---- Sequences

template <class Eviction>
using kv_of = tenon::kv_blocks<Eviction>;

/// A manager with its free blocks in that order.
template <class Eviction = tenon::lru_eviction>
std::unique_ptr<kv_of<Eviction>> kv_with(block_id blocks, order o) {
  auto kv = std::make_unique<kv_of<Eviction>>(tenon::kv_blocks_options{
      .blocks = blocks, .block_size = block_size, .max_sequences = 512, .max_blocks_per_sequence = 4096});
  if (o == hot) return kv;
  // Sequences grow by turns in a random order and then leave: a block's neighbours in the stack lie anywhere.
  std::vector<sequence_id> s(512);
  for (sequence_id& one : s) one = kv->open();
  std::vector<std::int64_t> grown(s.size());
  std::mt19937              random(3);
  for (block_id b = 0; b < blocks; ++b) {
    std::size_t const i = random() % s.size();
    static_cast<void>(kv->reserve(s[i], ++grown[i] * block_size));
  }
  std::shuffle(s.begin(), s.end(), random);
  for (sequence_id const one : s) kv->close(one);
  return kv;
}

/// A sequence of that text, its full blocks in the cache.
template <class Eviction>
sequence_id write(kv_of<Eviction>& kv, std::span<std::int32_t const> tokens, tenon::retention worth = {}) {
  sequence_id const s = kv.open(0, worth);
  static_cast<void>(kv.reserve(s, static_cast<std::int64_t>(tokens.size())));
  static_cast<void>(kv.commit(s, tokens));
  return s;
}

// Sequences of 256 blocks (half of the pool, at most 256 of them) are forked one after the other.
void fork_256_blocks(benchmark::State& state) {
  auto const               blocks = static_cast<block_id>(state.range(0));
  auto const               kv     = kv_with(blocks, static_cast<order>(state.range(1)));
  std::vector<sequence_id> parents(static_cast<std::size_t>(std::min(256, blocks / 2 / 256))), children(parents.size());
  for (std::size_t i = 0; i < parents.size(); ++i)
    parents[i] = write(*kv, text(256 * block_size, static_cast<unsigned>(i)));
  stopwatch watch;
  for (auto _ : state) {
    watch.start();
    for (std::size_t i = 0; i < parents.size(); ++i) children[i] = kv->fork(parents[i]);
    watch.stop();
    for (sequence_id const c : children) kv->close(c);
  }
  watch.report(state, "fork", state.iterations() * static_cast<std::int64_t>(parents.size()));
}
BENCHMARK(fork_256_blocks)->Apply(pools);

// 50,000 tokens, all of them cached, in a pool that such texts fill and that take turns: 3 of them, or 300.
void match_50k(benchmark::State& state) {
  auto const                             blocks = static_cast<block_id>(state.range(0));
  auto const                             kv     = kv_with(blocks, static_cast<order>(state.range(1)));
  std::vector<std::vector<std::int32_t>> texts;
  for (unsigned i = 0; i < static_cast<unsigned>(blocks / 3334); ++i) texts.push_back(text(50'000, i));
  for (auto const& t : texts) kv->close(write(*kv, t));

  stopwatch    watch;
  std::size_t  turn  = 0;
  std::int64_t found = 0;
  for (auto _ : state) {
    auto const& t = texts[turn++ % texts.size()];
    watch.start();
    found += kv->match(t);
    watch.stop();
  }
  if (found != state.iterations() * 50'000) state.SkipWithError("not all tokens were found");
  watch.report(state, "match", state.iterations());
}
BENCHMARK(match_50k)->Apply(pools);

// A pool full of idle blocks, which sequences of 16 blocks left in a random order, is emptied.
template <class Eviction>
void evict(benchmark::State& state) {
  auto const                blocks    = static_cast<block_id>(state.range(0));
  auto const                o         = static_cast<order>(state.range(1));
  auto const                kv        = kv_with<Eviction>(blocks, o);
  std::vector<std::int32_t> tokens    = text(16 * block_size, 1);
  auto const                sequences = static_cast<std::size_t>(blocks / 16);
  std::mt19937              random(5);
  std::vector<sequence_id>  open;
  stopwatch                 watch;
  std::int32_t              serial = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < sequences; ++i) {
      tokens[0] = serial++;
      open.push_back(write(*kv, tokens, {.priority = static_cast<std::uint8_t>(random() % 4 * 30)}));
      if (open.size() < 512 && i + 1 < sequences) continue;
      if (o == shuffled) std::shuffle(open.begin(), open.end(), random);
      for (sequence_id const s : open) kv->close(s);
      open.clear();
    }
    watch.start();
    kv->flush();
    watch.stop();
  }
  watch.report(state, "block", kv->metrics().evictions);
}
BENCHMARK(evict<tenon::lru_eviction>)->Apply(pools);
BENCHMARK(evict<tenon::clock_eviction>)->Apply(pools);
BENCHMARK(evict<tenon::priority_eviction>)->Apply(pools);

// A request's whole life where every block is idle or owned: 1,024 tokens, the first 512 of them cached, then 64 decodes.
// Every new block evicts another.
void request(benchmark::State& state) {
  auto const                blocks = static_cast<block_id>(state.range(0));
  auto const                kv     = kv_with(blocks, static_cast<order>(state.range(1)));
  std::vector<std::int32_t> tokens = text(1088, 1);
  std::int32_t              serial = 0;
  stopwatch                 watch;
  auto const                live = [&] {
    tokens[512]         = serial++;
    sequence_id const s = kv->open();
    kv->attach(s, std::span(tokens).first(1024));
    static_cast<void>(kv->reserve(s, 1024));
    static_cast<void>(kv->commit(s, std::span(tokens).first(1024)));
    for (std::size_t n = 1025; n <= tokens.size(); ++n) {
      static_cast<void>(kv->reserve(s, static_cast<std::int64_t>(n)));
      static_cast<void>(kv->commit(s, std::span(tokens).first(n)));
    }
    kv->clear_copies();
    kv->close(s);
  };
  while (kv->metrics().evictions < blocks) live();
  std::int64_t const before = kv->metrics().hit_tokens, queried = kv->metrics().queried_tokens;
  for (auto _ : state) {
    watch.start();
    for (int i = 0; i < 16; ++i) live();
    watch.stop();
  }
  watch.report(state, "request", 16 * state.iterations());
  state.counters["hit_percent"] = 100. * static_cast<double>(kv->metrics().hit_tokens - before) /
                                  static_cast<double>(kv->metrics().queried_tokens - queried);
}
BENCHMARK(request)->Apply(pools);

}  // namespace
