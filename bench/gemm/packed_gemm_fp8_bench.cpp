//  Products with packed fp8 weights (bench/gemm/main.cpp measures them).
#include <tenon/gemm/packed_gemm.hpp>

#include "packed.hpp"

void bench::add_fp8_formats(std::vector<format>& to) {
  using tenon::bf16, tenon::e4m3, tenon::scale_kind, tenon::weight_code, tenon::weight_format;
  static constexpr weight_format rows{weight_code::fp8, 0, 1, false}, blocks{weight_code::fp8, 128, 128, false};
  to.push_back({"fp8 weights", "bf16", "bf16", 1, false, [](arena& memory, layer const& l, index_t m, bool all) {
                  return packed_product<bf16, weight_code::fp8, scale_kind::row>(memory, l, m, all, rows);
                }});
  to.push_back({"fp8", "fp8", "fp8", 1, false, [](arena& memory, layer const& l, index_t m, bool all) {
                  return packed_product<e4m3, weight_code::fp8, scale_kind::row>(memory, l, m, all, rows);
                }});
  to.push_back({"fp8 block", "fp8 block", "fp8", 1, false, [](arena& memory, layer const& l, index_t m, bool all) {
                  return packed_product<e4m3, weight_code::fp8, scale_kind::block>(memory, l, m, all, blocks, 128);
                }});
}
