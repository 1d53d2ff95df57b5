// Plans of packed products: everything has one, they promise only what the context offers, and the page shows them.
#include <tenon/gemm/packed_gemm_plan.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace {

using tenon::architecture, tenon::index_t, tenon::pack_order, tenon::packed_gemm_kind, tenon::packed_gemm_resources,
    tenon::packed_gemm_shape, tenon::plan_packed_gemm, tenon::scale_kind, tenon::weight_code, tenon::weight_format;

constexpr std::size_t plenty = std::size_t{1} << 30;

packed_gemm_shape shape_of(weight_format const& format, index_t m, index_t n, index_t k, int input_bytes = 2) {
  auto const order = input_bytes == 1 ? pack_order::quads : pack_order::pairs;
  return {.b = tenon::packed_layout_of(format, n, k, order), .m = m, .input_bytes = input_bytes};
}

TEST(packed_gemm_plan, serves_every_shape_layout_and_epilogue) {
  for (int const arch : {0, 80, 86, 89, 90, 100, 120})
    for (auto const& format : {weight_format{weight_code::int4, 32, 1, true}, weight_format{weight_code::int8},
                               weight_format{weight_code::fp8}, weight_format{weight_code::fp8, 128, 128},
                               weight_format{weight_code::fp4, 16}})
      for (int const bytes : {1, 2, 4})
        for (index_t const m : {1, 7, 33, 300})
          for (bool const wide : {false, true})
            for (int const segment : {1, 32, 128}) {
              auto shape             = shape_of(format, m, 200, 300, bytes);
              shape.wide             = wide;
              shape.epilogue.segment = segment;
              auto const plan        = plan_packed_gemm(shape, {.as = {arch}});
              SCOPED_TRACE(to_string(plan) + " for " + to_string(shape.b) + " on " + std::to_string(arch));
              EXPECT_TRUE(tenon::packed::is_legal(plan.policy, shape, {arch}));
              EXPECT_EQ(plan.splits, 1) << "there is no workspace";
              EXPECT_GT(plan.blocks, 0);
            }
}

TEST(packed_gemm_plan, splits_only_what_the_workspace_holds) {
  auto const shape = shape_of({weight_code::int4, 128}, 4, 4096, 4096);
  auto const split = plan_packed_gemm(shape, {.as = {90}, .workspace = plenty, .counters = 1 << 16});
  EXPECT_GT(split.splits, 1) << to_string(split);
  EXPECT_GT(split.workspace, 0u);
  for (packed_gemm_resources const& less :
       {packed_gemm_resources{.as = {90}, .workspace = split.workspace, .counters = split.counters - 1},
        packed_gemm_resources{.as = {90}, .workspace = split.workspace - 1, .counters = split.counters}}) {
    auto const plan = plan_packed_gemm(shape, less);
    EXPECT_LE(plan.workspace, less.workspace);
    EXPECT_LE(plan.counters, less.counters);
  }
}

TEST(packed_gemm_plan, does_not_look_at_the_batch_where_it_must_not) {
  packed_gemm_resources const have{.as = {90}, .workspace = plenty, .counters = 1 << 16, .batch_invariant = true};
  auto const                  alone = plan_packed_gemm(shape_of({weight_code::int8}, 1, 4096, 4096), have);
  for (index_t const m : {2, 8, 31, 64, 4096}) {
    auto const plan = plan_packed_gemm(shape_of({weight_code::int8}, m, 4096, 4096), have);
    EXPECT_EQ(plan.policy.kind, alone.policy.kind) << m;
    EXPECT_EQ(plan.policy.depth, alone.policy.depth) << m;
    EXPECT_EQ(plan.splits, 1) << m;
  }
}

TEST(packed_gemm_plan, streams_few_tokens_and_tiles_many) {
  for (int const arch : {80, 89, 90}) {
    packed_gemm_resources const have{.as = {arch}, .workspace = plenty, .counters = 1 << 16};
    EXPECT_EQ(plan_packed_gemm(shape_of({weight_code::int4, 128}, 1, 6144, 4096), have).policy.kind,
              packed_gemm_kind::stream);
    EXPECT_EQ(plan_packed_gemm(shape_of({weight_code::int4, 128}, 2048, 6144, 4096), have).policy.kind,
              packed_gemm_kind::tile);
  }
}

std::string table() {
  struct layer {
    char const* name;
    index_t     n, k;
  };
  constexpr layer layers[] = {
      {"Llama-3-8B qkv", 6144, 4096},       {"Llama-3-8B o", 4096, 4096},       {"Llama-3-8B gate_up", 28672, 4096},
      {"Llama-3-8B down", 4096, 14336},     {"Qwen2.5-7B qkv", 4608, 3584},     {"Qwen2.5-7B gate_up", 37888, 3584},
      {"Qwen2.5-7B down", 3584, 18944},     {"Qwen2.5-14B qkv", 7168, 5120},    {"Qwen2.5-14B o", 5120, 5120},
      {"Qwen2.5-14B gate_up", 27648, 5120}, {"Qwen2.5-14B down", 5120, 13824},  {"Llama-70B qkv", 10240, 8192},
      {"Llama-70B o", 8192, 8192},          {"Llama-70B gate_up", 57344, 8192}, {"Llama-70B down", 8192, 28672}};
  std::ostringstream text;
  text << "| layer | n × k | M = 1 | M = 16 | M = 64 | M = 2048 |\n|---|---|---|---|---|---|\n";
  for (auto const& l : layers) {
    text << "| " << l.name << " | " << l.n << " × " << l.k;
    for (index_t const m : {1, 16, 64, 2048}) {
      auto const  plan   = plan_packed_gemm(shape_of({weight_code::int4, 128}, m, l.n, l.k),
                                            {.as = {90}, .workspace = plenty, .counters = 1 << 16});
      auto const& policy = plan.policy;
      text << " | " << (policy.kind == packed_gemm_kind::stream ? "stream " : "tile ") << policy.tokens << "×"
           << policy.rows << "×" << policy.depth;
      if (plan.splits > 1) text << ", ×" << plan.splits;
    }
    text << " |\n";
  }
  return text.str();
}

TEST(packed_gemm_plan, is_what_the_page_shows) {
  std::string const  page = TENON_SOURCE_DIR "/docs/operators/packed_gemm.md", from = "<!-- plans -->\n";
  std::ifstream      file(page);
  std::ostringstream read;
  read << file.rdbuf();
  std::string const text  = read.str();
  auto const        begin = text.find(from), end = text.find("<!-- end of plans -->");
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  std::string const shown = text.substr(begin + from.size(), end - begin - from.size()), made = "\n" + table() + "\n";
  if (shown != made && std::getenv("TENON_UPDATE_DOCS"))
    std::ofstream(page) << text.substr(0, begin + from.size()) << made << text.substr(end);
  else EXPECT_EQ(shown, made) << "TENON_UPDATE_DOCS=1 rewrites the table";
}

}  // namespace
