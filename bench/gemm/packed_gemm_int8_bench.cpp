//  Products with packed int8 weights (bench/gemm/main.cpp measures them).
#include <tenon/gemm/packed_gemm.hpp>

#include "packed.hpp"

void bench::add_int8_formats(std::vector<format>& to) {
  using tenon::bf16, tenon::scale_kind, tenon::weight_code, tenon::weight_format;
  static constexpr weight_format rows{weight_code::int8, 0, 1, false};
  to.push_back({"w8a16", "bf16", "bf16", 0, false, [](arena& memory, layer const& l, index_t m, bool all) {
                  return packed_product<bf16, weight_code::int8, scale_kind::row>(memory, l, m, all, rows);
                }});
  to.push_back({"w8a8", "int8", "int8", 1, false, [](arena& memory, layer const& l, index_t m, bool all) {
                  return packed_product<std::int8_t, weight_code::int8, scale_kind::row>(memory, l, m, all, rows);
                }});
}
