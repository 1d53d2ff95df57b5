// Plans: legal everywhere, printable, what the page says; and what they do to results: splits of K, batches, tf32.
#include <tenon/gemm/gemm.hpp>
#include <tenon/gemm/gemm_ref.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "../support/targets.hpp"
#include "../support/tensor.hpp"

namespace {

using tenon::bf16, tenon::gemm_plan, tenon::gemm_policy, tenon::index_t;

struct layer {
  char const* name;
  index_t     n, k;
};
// docs/operators/gemm.md and the bench have the same ones.
constexpr layer layers[] = {
    {"Llama-3-8B qkv", 6144, 4096},       {"Llama-3-8B o", 4096, 4096},         {"Llama-3-8B gate_up", 28672, 4096},
    {"Llama-3-8B down", 4096, 14336},     {"Qwen2.5-7B qkv", 4608, 3584},       {"Qwen2.5-7B gate_up", 37888, 3584},
    {"Qwen2.5-7B down", 3584, 18944},     {"Qwen2.5-14B qkv", 7168, 5120},      {"Qwen2.5-14B o", 5120, 5120},
    {"Qwen2.5-14B gate_up", 27648, 5120}, {"Qwen2.5-14B down", 5120, 13824},    {"Llama-3-70B qkv", 10240, 8192},
    {"Llama-3-70B o", 8192, 8192},        {"Llama-3-70B gate_up", 57344, 8192}, {"Llama-3-70B down", 8192, 28672}};

/// "16x64x128 / 4": kind or tile, and splits.
std::string cell(gemm_plan const& p) {
  std::ostringstream text;
  if (p.policy.kind == tenon::gemm_kind::vector) text << "vector";
  else text << p.policy.rows << 'x' << p.policy.columns << 'x' << p.policy.depth;
  if (p.splits > 1) text << " / " << p.splits;
  return text.str();
}

std::string table() {
  std::ostringstream text;
  text << "| layer | n x k | m = 1 | 16 | 64 | 512 | 8192 |\n|---|---|---|---|---|---|---|\n";
  for (auto const& l : layers) {
    text << "| " << l.name << " | " << l.n << " x " << l.k;
    for (index_t const m : {1, 16, 64, 512, 8192})
      text << " | "
           << cell(tenon::plan_gemm({.m = m, .n = l.n, .k = l.k},
                                    {.as = {90}, .workspace = std::size_t{1} << 30, .counters = 1 << 20}));
    text << " |\n";
  }
  return text.str();
}

TEST(gemm_plan, page_shows_what_is_chosen) {
  std::string const path = std::string(TENON_SOURCE_DIR) + "/docs/operators/gemm.md";
  std::ifstream     file(path);
  std::string       page{std::istreambuf_iterator<char>(file), {}};
  std::string const begin = "<!-- plans -->\n", end = "<!-- /plans -->";
  auto const        first = page.find(begin), last = page.find(end);
  ASSERT_TRUE(first != std::string::npos && last != std::string::npos && first < last) << path;
  auto const at    = first + begin.size();
  auto const shown = page.substr(at, last - at);
  if (std::getenv("TENON_UPDATE_DOCS") && shown != table())
    std::ofstream(path) << page.substr(0, at) + table() + page.substr(last);
  else EXPECT_EQ(shown, table()) << "TENON_UPDATE_DOCS=1 writes it";
}

constexpr index_t sizes[] = {1, 2, 4, 5, 16, 17, 64, 128, 129, 1000, 4096, 151936};

// Every element, layout and epilogue has a policy on every architecture, and plan_gemm keeps to what it may use.
TEST(gemm_plan, is_legal_on_every_architecture) {
  for (int const arch : tenon::architectures)
    for (index_t const m : sizes)
      for (index_t const n : sizes)
        for (int const bytes : {2, 4})
          for (bool const wide : {false, true})
            for (int const more : {0, 1, 2, 3, 4, 5, 6, 7}) {
              tenon::gemm_epilogue_needs const needs{more & 2 ? 128 : more & 4 ? 32 : 1, 0, (more & 1) != 0};
              for (bool const invariant : {false, true}) {
                tenon::gemm_shape const     s{m, n, 4096, 1, bytes, false, wide, needs};
                tenon::gemm_resources const have{{arch}, 0, invariant, std::size_t{1} << 20, 64};
                auto const                  p = tenon::plan_gemm(s, have);
                ASSERT_TRUE(is_on_gemm_menu(p.policy) && p.policy.runs(static_cast<std::size_t>(bytes), needs))
                    << to_string(p);
                ASSERT_LE(p.policy.ring_bytes(), tenon::architecture{arch}.shared_bytes()) << to_string(p);
                ASSERT_TRUE(!p.policy.wide || wide) << to_string(p);
                ASSERT_EQ(p.policy.on_host(), arch == 0) << to_string(p);
                ASSERT_TRUE(p.workspace <= have.workspace && p.counters <= have.counters) << to_string(p);
                if (invariant) {
                  auto const one = tenon::plan_gemm({1, n, 4096, 1, bytes, false, !wide, needs}, have).policy;
                  ASSERT_TRUE(p.splits == 1 && p.policy.split == 1 && p.policy.kind == one.kind) << to_string(p);
                }
              }
            }
}

TEST(gemm_plan, asks_for_what_it_uses) {
  tenon::gemm_shape const s{.m = 16, .n = 4096, .k = 14336};
  tenon::gemm_resources   have{.as = {90}};
  auto const              bytes    = tenon::gemm_workspace_bytes(s, have);
  auto const              counters = tenon::gemm_counters(s, have);
  EXPECT_EQ(tenon::plan_gemm(s, have).splits, 1) << "without workspace";
  have.workspace = bytes, have.counters = static_cast<int>(counters);
  auto const p = tenon::plan_gemm(s, have);
  EXPECT_GT(p.splits, 1);
  EXPECT_EQ(p.workspace, bytes);
  EXPECT_EQ(p.counters, counters);
  EXPECT_EQ(p, tenon::plan_of(p.policy, p.splits, s, have));
}

TEST(gemm_plan, prints) {
  tenon::gemm_resources const have{.as = {0}};
  EXPECT_EQ(to_string(tenon::plan_gemm({.m = 33, .n = 70, .k = 8}, have)),
            "lanes 32x32x16, 0 stages, tile 4x4, 1 threads; 1 split, 6 blocks");
  auto const text = to_string(tenon::plan_of(tenon::gemm_policies::mma_16, 2, {.m = 16, .n = 4096, .k = 4096},
                                             {.as = {90}, .multiprocessors = 132}));
  EXPECT_EQ(
      text.substr(0, text.find(" waves") - 5),
      "mma 16x64x64, 6 stages, tile 16x16, 128 threads, swapped; 2 splits, 128 blocks, 524288 bytes, 64 counters,");
}

/// A context's workspace and counters.
struct scratch {
  test::tensor<float, 1>    bytes{1 << 19};
  test::tensor<unsigned, 1> words{64};
  scratch() { words.fill(0); }
  tenon::context in(tenon::context where) {
    where.workspace = {reinterpret_cast<std::byte*>(bytes.view().data), bytes.size() * sizeof(float)};
    where.counters  = {words.view().data, 64};
    return where;
  }
};

// Splits of K: within the fp32 bound of the sum in one piece, the same bits every time, counters back at zero. Under batch
// invariance only a caller's own plan splits.
template <class T>
void check_splits(gemm_policy const& policy, index_t k, bool tf32 = false, index_t m = 19) {
  SCOPED_TRACE(to_string(policy));
  constexpr index_t  n = 72;
  test::tensor<T, 2> a(m, k), b(n, k);
  test::tensor<T, 1> bias(n);
  a.random(1), b.random(2), bias.random(3);
  std::vector<float> want(static_cast<std::size_t>(m * n));
  auto const         as = a.values(), bs = b.values(), biases = bias.values();
  tenon::ref::gemm(test::over(want, m, n), test::over(as, m, k), test::over(bs, n, k),
                   tenon::epilogue::bias(test::over(biases, n)));
  test::on_every_target([&](tenon::context const& plain) {
    if (plain.arch == 0 || plain.arch == 89) return;  // 89 runs the kernels of 80
    for (int const splits : {2, 3}) {
      scratch                   has;
      tenon::context const      where = has.in(plain);
      test::tensor<float, 2>    d(m, n), again(m, n);
      tenon::gemm_options const options{.plan = gemm_plan{policy, splits}, .allow_tf32 = tf32};
      auto const                stages = tenon::epilogue::bias(bias.view());
      auto const                first  = tenon::gemm(where, d.view(), a.view(), b.view(), options, stages);
      ASSERT_TRUE(first.ok()) << first.subject << " " << first.got << " " << first.want;
      ASSERT_TRUE(tenon::gemm(where, again.view(), a.view(), b.view(), options, stages).ok());
      EXPECT_LE(test::relative_error(d.values(), want), tf32 ? 5e-4 : 1e-6 * std::sqrt(static_cast<double>(k)));
      EXPECT_TRUE(test::same_bits(d.values(), again.values()));
      for (unsigned const word : has.words.values()) EXPECT_EQ(word, 0u);
    }
  });
}
TEST(gemm_split, of_tensor_core_products) {
  check_splits<bf16>(tenon::gemm_policies::mma_16, 200);
  check_splits<bf16>(tenon::gemm_policies::mma_16_split, 304);
  check_splits<bf16>(tenon::gemm_policies::mma_64, 136);
  check_splits<bf16>(tenon::gemm_policies::mma_strided, 131);
}
TEST(gemm_split, of_float_products) {
  check_splits<float>(tenon::gemm_policies::tile_32, 100);
  check_splits<float>(tenon::gemm_policies::mma_16, 100, true);
}
// The tile that goes through its epilogue in slices hands those in one by one.
TEST(gemm_split, of_a_tile_in_slices) {
  static_assert(tenon::gemm_policies::mma_128x256.slice_rows() < tenon::gemm_policies::mma_128x256.rows);
  check_splits<bf16>(tenon::gemm_policies::mma_128x256, 72, false, 100);
}

TEST(gemm_split, says_what_is_missing) {
  test::tensor<bf16, 2>  a(3, 64), b(72, 64);
  test::tensor<float, 2> d(3, 72);
  tenon::context         where;
  where.arch     = 80;
  auto const run = [&](gemm_policy const& policy, int splits) {
    return tenon::gemm(where, d.view(), a.view(), b.view(), {.plan = gemm_plan{policy, splits}});
  };
  auto const no_bytes = run(tenon::gemm_policies::mma_16, 2);
  EXPECT_EQ(no_bytes.code, tenon::errc::workspace_too_small);
  EXPECT_STREQ(no_bytes.subject, "workspace");
  EXPECT_EQ(no_bytes.want, 2 * 2 * 16 * 64 * 4);
  std::vector<std::byte> room(2 * 2 * 16 * 64 * 4);
  where.workspace        = {room.data(), room.size()};
  auto const no_counters = run(tenon::gemm_policies::mma_16, 2);
  EXPECT_STREQ(no_counters.subject, "counters");
  EXPECT_EQ(no_counters.want, 2);
  EXPECT_STREQ(run(tenon::gemm_policies::vector_4, 2).subject, "plan.splits");
  EXPECT_STREQ(run(tenon::gemm_policies::mma_16, 0).subject, "plan.splits");
}

// One launch for a batch; each matrix has the bits of a product of its own. One A or B may serve all of them.
template <class T>
void check_batch() {
  constexpr index_t  batch = 3, m = 5, n = 21, k = 24;
  test::tensor<T, 3> a(batch, m, k), b(batch, n, k);
  test::tensor<T, 1> rows(batch * m);
  test::tensor<T, 2> residual(batch * m, n);
  a.random(1), b.random(2), rows.random(3), residual.random(4);
  test::on_every_target([&](tenon::context const& where) {
    for (int const shared : {0, 1, 2}) {  // none; A; B with stride 0
      tenon::tensor_view<T, 3> av = a.view(), bv = b.view();
      if (shared == 1) av.extent[0] = 1;
      if (shared == 2) bv.stride[0] = 0;
      test::tensor<float, 3> d(batch, m, n);
      test::tensor<float, 2> one(m, n);
      auto const stages = tenon::epilogue::scale_rows(rows.view()) | tenon::epilogue::residual(residual.view());
      ASSERT_TRUE(tenon::gemm(where, d.view(), av, bv, {}, stages).ok());
      auto const all = d.values();
      for (index_t i = 0; i < batch; ++i) {
        tenon::tensor_view<T, 2> const ai{av.data + (shared == 1 ? 0 : i * av.stride[0]), {m, k}, {k, 1}};
        tenon::tensor_view<T, 2> const bi{bv.data + i * bv.stride[0], {n, k}, {k, 1}};
        auto const                     mine = tenon::epilogue::scale_rows(rows.view().slice(i * m, m)) |
                          tenon::epilogue::residual(residual.view().slice(i * m, m));
        ASSERT_TRUE(tenon::gemm(where, one.view(), ai, bi, {}, mine).ok());
        EXPECT_TRUE(test::same_bits(one.values(), {all.begin() + i * m * n, all.begin() + (i + 1) * m * n})) << i;
      }
    }
  });
}
TEST(gemm_batch, has_the_bits_of_single_products) {
  check_batch<bf16>();
  check_batch<float>();
}
// Each matrix has its own partial sums and counters.
TEST(gemm_batch, splits_its_sums) {
  constexpr index_t     batch = 2, m = 17, n = 70, k = 136;
  test::tensor<bf16, 3> a(batch, m, k), b(batch, n, k);
  a.random(1), b.random(2);
  test::on_every_target([&](tenon::context const& plain) {
    if (plain.arch == 0 || plain.arch == 89) return;
    scratch                   has;
    tenon::context const      where = has.in(plain);
    tenon::gemm_options const options{.plan = gemm_plan{tenon::gemm_policies::mma_16, 2}};
    test::tensor<float, 3>    d(batch, m, n);
    ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view(), options).ok());
    auto const all = d.values();
    for (index_t i = 0; i < batch; ++i) {
      test::tensor<float, 2>            one(m, n);
      tenon::tensor_view<bf16, 2> const ai{a.view().data + i * m * k, {m, k}, {k, 1}};
      tenon::tensor_view<bf16, 2> const bi{b.view().data + i * n * k, {n, k}, {k, 1}};
      ASSERT_TRUE(tenon::gemm(where, one.view(), ai, bi, options).ok());
      EXPECT_TRUE(test::same_bits(one.values(), {all.begin() + i * m * n, all.begin() + (i + 1) * m * n})) << i;
    }
  });
}
TEST(gemm_batch, checks_its_matrices) {
  test::tensor<float, 3> d(3, 2, 4), a(2, 2, 8), b(3, 4, 8), none(0, 2, 4);
  tenon::context const   where;
  auto const             wrong = tenon::gemm(where, d.view(), a.view(), b.view());
  EXPECT_EQ(wrong.code, tenon::errc::shape_mismatch);
  EXPECT_STREQ(wrong.subject, "batch of a");
  EXPECT_TRUE(tenon::gemm(where, none.view(), tenon::tensor_view<float, 3>{b.view().data, {1, 2, 8}, {16, 8, 1}},
                          tenon::tensor_view<float, 3>{b.view().data, {1, 4, 8}, {32, 8, 1}})
                  .ok());
}

// Rounding both operands to tf32 errs by at most 2^-11 each, so |error| <= (2^-10 + 2^-22 + 2^-24 sqrt(k) ..) |a| |b|; over
// random signs it is far smaller: half a unit's deviation 2^-11 / sqrt(3) for each of two factors.
TEST(gemm_tf32, keeps_its_tolerance) {
  constexpr index_t m = 33, n = 70;
  for (index_t const k : {40, 43}) {
    test::tensor<float, 2> a(m, k), b(n, k);
    a.random(1), b.random(2);
    std::vector<float> want(m * n);
    auto const         as = a.values(), bs = b.values();
    tenon::ref::gemm(test::over(want, m, n), test::over(as, m, k), test::over(bs, n, k));
    test::on_every_target([&](tenon::context where) {
      where.batch_invariant = true;
      test::tensor<float, 2> d(m, n);
      ASSERT_TRUE(tenon::gemm(where, d.view(), a.view(), b.view(), {.allow_tf32 = true}).ok());
      double const error = test::relative_error(d.values(), want);
      EXPECT_LE(error, 5e-4);
      if (where.arch != 0) {
        EXPECT_GE(error, 1e-5) << "rounded to tf32, it would not be that exact";
      }
    });
  }
}

}  // namespace
