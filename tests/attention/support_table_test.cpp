// The table of docs/operators/paged_attention.md: which kernel serves which call, made of the choices that the operator makes.
#include <tenon/attention/paged_attention_policy.hpp>

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "../support/page.hpp"

namespace {

using tenon::attention_unit, tenon::paged_attention_policy, tenon::paged_attention_problem;

std::string text(paged_attention_policy const& p) {
  char const* const  units[] = {"thread", "vector", "matrix"};
  std::ostringstream s;
  s << units[static_cast<int>(p.unit)] << ' ' << p.rows << " x " << p.keys;
  if (p.key_warps() > 1) s << ", " << p.key_warps() << " warps by keys";
  return s.str();
}

struct cache {
  char const* name;
  int         k_bits, v_bits;
};
cache const caches[] = {
    {"as q", 16, 16}, {"numbers and codes", 16, 8}, {"8-bit codes", 8, 8}, {"some or all 4-bit codes", 8, 4}};

std::string table() {
  std::ostringstream s;
  s << "| q | k, v | head_dim | many rows | few rows |\n|---|---|---|---|---|\n";
  auto const row = [&](char const* q, char const* kv, int arch, paged_attention_problem p) {
    char const* const dims[] = {"to 64", "to 128", "to 256"};
    for (int i = 0; i < 3; ++i) {
      p.head_dim = p.value_dim = tenon::index_t{64} << i;
      p.max_query_length       = 0;
      auto const many          = choose_paged_attention_policy({arch}, p);
      p.max_query_length       = 1;
      auto const few           = choose_paged_attention_policy({arch}, p);
      s << "| " << q << " | " << kv << " | " << dims[i] << " | " << text(many) << " | "
        << (few == many ? "the same" : text(few)) << " |\n";
    }
  };
  for (auto const& c : caches)
    row("f16, bf16", c.name, 90, {.vectorised = true, .narrow = true, .k_bits = c.k_bits, .v_bits = c.v_bits});
  row("f32", "any", 90, {.vectorised = true});
  row("any, off 16 bytes", "any", 90, {});
  row("host", "any", 0, {.vectorised = true});
  s << "\n| q | k, v | kernels that one call makes nvcc compile |\n|---|---|---|\n";
  auto const count = [&](char const* q, char const* kv, bool narrow, int k_bits, int v_bits) {
    int kernels = 0;
    for (auto const& p : tenon::paged_attention_menu)
      kernels += (p.unit == attention_unit::matrix && narrow && p.suits(k_bits, v_bits)) ||
                 (p.unit == attention_unit::vector && (p.vector == 1 || !narrow));
    s << "| " << q << " | " << kv << " | " << kernels << " |\n";
  };
  for (auto const& c : caches) count("f16, bf16", c.name, true, c.k_bits, c.v_bits);
  count("f32", "any", false, 32, 32);
  return s.str();
}

TEST(support_table, is_what_the_page_says) {
  std::string const page = test::text_of("docs/operators/paged_attention.md");
  EXPECT_NE(page.find(table()), std::string::npos) << "docs/operators/paged_attention.md should have\n\n" << table();
}

}  // namespace
