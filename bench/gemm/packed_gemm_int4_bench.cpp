//  Products with packed 4-bit weights (bench/gemm/main.cpp measures them).
#include <tenon/gemm/packed_gemm.hpp>

#include "packed.hpp"

void bench::add_int4_formats(std::vector<format>& to) {
  using tenon::bf16, tenon::scale_kind, tenon::weight_code, tenon::weight_format;
  auto const add = [&](char const* name, int importance, int group, bool zero_points) {
    weight_format const f{weight_code::int4, group, 1, zero_points};
    to.push_back({name, "bf16", "bf16", importance, false, [f](arena& memory, layer const& l, index_t m, bool all) {
                    return packed_product<bf16, weight_code::int4, scale_kind::group>(memory, l, m, all, f);
                  }});
  };
  add("w4a16 g128", 0, 128, false);
  add("w4a16 g128 zero points", 0, 128, true);
  add("w4a16 g32", 2, 32, false);
  to.push_back({"w4a8 g128", "bf16", "int8", 2, false, [](arena& memory, layer const& l, index_t m, bool all) {
                  return packed_product<std::int8_t, weight_code::int4, scale_kind::group>(
                      memory, l, m, all, {weight_code::int4, 128, 1, false});
                }});
  to.push_back(
      {"w4a16 g128 swiglu", "bf16 + swiglu", "bf16", 0, true, [](arena& memory, layer const& l, index_t m, bool all) {
         return packed_product<bf16, weight_code::int4, scale_kind::group, true>(memory, l, m, all,
                                                                                 {weight_code::int4, 128, 1, false});
       }});
}
