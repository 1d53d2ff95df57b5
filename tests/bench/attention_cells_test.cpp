//  The cells of the attention benchmark: what they count, what stands beside what, and which pages requests have.
#include <gtest/gtest.h>
#include <tenon/op/mask.hpp>

#include <set>

#include "../../bench/attention/cells_bench.cpp"
#include "../../bench/attention/operands.hpp"
#include "../../bench/attention/report.hpp"

namespace {

cell call(std::vector<index_t> queries, std::vector<index_t> keys) {
  cell c;
  c.heads = 4, c.kv_heads = 2, c.head_dim = 64, c.queries = std::move(queries), c.keys = std::move(keys);
  return c;
}

TEST(attention_cells, pairs_and_keys_are_those_that_the_mask_keeps) {
  for (bool const is_causal : {true, false})
    for (int const window : {0, 1, 5, 100}) {
      if (!is_causal && window > 0) continue;
      cell c   = call({1, 7, 3}, {9, 7, 40});
      c.causal = is_causal, c.window = window;
      index_t pairs = 0, keys = 0;
      for (std::size_t r = 0; r < c.keys.size(); ++r)
        for (int k = 0; k < c.keys[r]; ++k) {
          bool seen = false;
          for (index_t i = 0; i < c.queries[r]; ++i) {
            int const  q    = static_cast<int>(c.keys[r] - c.queries[r] + i);
            bool const kept = (!is_causal || tenon::causal{}.keep(0, 0, q, k)) &&
                              (window == 0 || tenon::sliding_window{window}.keep(0, 0, q, k));
            pairs += kept, seen |= kept;
          }
          keys += seen;
        }
      EXPECT_EQ(pairs, bench::pairs_of(c)) << is_causal << " " << window;
      EXPECT_EQ(keys, bench::keys_of(c)) << is_causal << " " << window;
    }
}

TEST(attention_cells, a_shared_start_counts_once) {
  cell c   = call({1, 1, 1}, {80, 70, 64});
  c.shared = 64;
  EXPECT_EQ(64 + 16 + 6, bench::keys_of(c));
  EXPECT_EQ(80 + 70 + 64, bench::keys_of(c, false));
}

TEST(attention_cells, bytes_are_those_of_pages) {
  cell       c     = call({1}, {64});
  auto const bytes = [&](std::string const& cache) {
    c.cache = cache;
    return bench::kv_bytes_of(c);
  };
  EXPECT_EQ(2 * 64 * 2 * 64 * 2, bytes("bf16"));
  EXPECT_EQ(2 * tenon::kv_page_bytes<tenon::kv_fp8>(64, 2, 64), bytes("fp8"));
  EXPECT_EQ(2 * tenon::kv_page_bytes<tenon::kv_int8>(64, 2, 64), bytes("int8"));
  EXPECT_EQ(2 * tenon::kv_page_bytes<tenon::kv_int4>(64, 2, 64), bytes("int4"));
  EXPECT_EQ(64 * 2 * 64 * 2 + tenon::kv_page_bytes<tenon::kv_int8>(64, 2, 64), bytes("k16v8"));
}

TEST(attention_cells, every_cell_can_be_named_and_compared) {
  for (bool const of_gpu : {true, false}) {
    std::set<std::string> groups;
    for (auto const& g : bench::attention_cells(of_gpu)) {
      EXPECT_TRUE(groups.insert(g.name).second) << g.name;
      EXPECT_EQ(std::string::npos, g.name.find(',')) << g.name;  // a comma parts names on the command line
      std::set<std::string> cells;
      for (auto const& c : g.cells) {
        SCOPED_TRACE(g.name + ": " + c.name);
        EXPECT_TRUE(cells.insert(c.name).second);
        EXPECT_EQ(std::string::npos, c.name.find(','));
        EXPECT_EQ(c.queries.size(), c.keys.size());
        EXPECT_EQ(0, c.heads % c.kv_heads);
        EXPECT_EQ(0, c.page > 0 ? c.shared % c.page : c.shared);
        for (std::size_t r = 0; r < c.keys.size(); ++r) EXPECT_TRUE(c.queries[r] <= c.keys[r] && c.keys[r] > c.shared);
        bool comparison = false;
        for (auto const& held : c.goals)
          comparison |= held.of == aim::times_as_quick || held.of == aim::most_time || held.of == aim::least_rate ||
                        held.of == aim::most_more_us;
        EXPECT_TRUE(!comparison || !c.beside.empty());
      }
      for (auto const& c : g.cells)
        EXPECT_TRUE(c.beside.empty() || cells.contains(c.beside)) << g.name << ": " << c.name;
    }
  }
}

TEST(attention_cells, requests_have_pages_of_their_own_behind_the_shared_ones) {
  cell c   = call({1, 2, 1}, {100, 70, 64 + 16});
  c.shared = 64, c.page = 16;
  bench::page_tables const t(c);
  EXPECT_EQ(4 + 3 + 1 + 1, t.pages);
  EXPECT_EQ(7, t.max_pages);
  std::set<std::int32_t> own;
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t p = 0; p < static_cast<std::size_t>((c.keys[r] + 15) / 16); ++p) {
      std::int32_t const page = t.table[r * 7 + p];
      EXPECT_TRUE(page >= 0 && page < t.pages);
      if (p < 4) EXPECT_EQ(t.table[p], page);
      else EXPECT_TRUE(own.insert(page).second) << r << " " << p;
    }
  EXPECT_EQ((std::vector<std::int32_t>{0, 1, 3, 4}), t.query_start);
  EXPECT_EQ((std::vector<std::int32_t>{100, 70, 80}), t.kv_length);
}

TEST(attention_cells, codes_stand_for_numbers_of_deviation_one) {
  bench::arena memory(1 << 22);
  auto const   deviation = [](auto const& pages) {
    double sum = 0, squares = 0, count = 0;
    for (index_t p = 0; p < 4; ++p)
      for (index_t place = 0; place < 16; ++place)
        for (index_t d = 0; d < 64; ++d) {
          double const v = tenon::kv_value(pages, p, place, 1, d);
          sum += v, squares += v * v, count += 1;
        }
    EXPECT_NEAR(0, sum / count, 0.1);
    return std::sqrt(squares / count);
  };
  EXPECT_NEAR(1, deviation(bench::pages_operand<tenon::bf16>(memory, "k", 4, 16, 2, 64, 0)), 0.05);
  EXPECT_NEAR(1, deviation(bench::pages_operand<tenon::kv_fp8>(memory, "k", 4, 16, 2, 64, 0)), 0.05);
  EXPECT_NEAR(1, deviation(bench::pages_operand<tenon::kv_int8>(memory, "k", 4, 16, 2, 64, 0)), 0.05);
  EXPECT_NEAR(1, deviation(bench::pages_operand<tenon::kv_int4>(memory, "k", 4, 16, 2, 64, 0)), 0.05);
}

TEST(attention_cells, goals_are_met_or_missed_by_their_own_figure) {
  bench::ceilings const of{1e9, 1e9, {}};
  auto const record = [](std::string const& name, double seconds, std::int64_t bytes, std::int64_t operations) {
    bench::record r;
    r.group = "g", r.of.name = name, r.seconds = seconds, r.kv_bytes = bytes, r.moved = {bytes, operations};
    return r;
  };
  std::vector<bench::record> records{record("a", 1e-3, 500'000, 4'000'000), record("b", 5e-4, 200'000, 0)};
  records[1].of.beside = "a", records[1].cudnn = 1e-3;
  auto const& b     = records[1];
  auto const  value = [&](aim what) { return *bench::figure({what, 1, 0}, b, records, of); };
  EXPECT_NEAR(500, value(aim::most_us), 1e-9);
  EXPECT_NEAR(40, value(aim::least_of_copy), 1e-9);
  EXPECT_NEAR(2, value(aim::times_as_quick), 1e-9);
  EXPECT_NEAR(0.5, value(aim::most_time), 1e-9);
  EXPECT_NEAR(0.8, value(aim::least_rate), 1e-9);
  EXPECT_NEAR(-500, value(aim::most_more_us), 1e-9);
  EXPECT_NEAR(2, value(aim::times_cudnn), 1e-9);
  EXPECT_NEAR(4e-3, *bench::figure({aim::least_tflops, 1, 0}, records[0], records, of), 1e-12);
  EXPECT_FALSE(bench::figure({aim::times_cudnn, 1, 0}, records[0], records, of));
  EXPECT_FALSE(bench::figure({aim::most_time, 1, 0}, records[0], records, of));
  auto const said = [&](goal const& held, double v) { return std::string(bench::verdict(held, v)); };
  EXPECT_EQ("met", said({aim::most_us, 8, 6}, 7));
  EXPECT_EQ("best", said({aim::most_us, 8, 6}, 6));
  EXPECT_EQ("missed", said({aim::most_us, 8, 6}, 9));
  EXPECT_EQ("missed", said({aim::least_of_copy, 88, 95}, 87));
  EXPECT_EQ("best", said({aim::least_of_copy, 88, 95}, 96));
  EXPECT_EQ("met", said({aim::least_of_copy, 88, 0}, 96));
  EXPECT_STREQ("-", bench::verdict({aim::most_us, 8, 6}, {}));
}

}  // namespace
