//  Dense products of 16-bit elements, plain and with the gated epilogue (bench/gemm/main.cpp measures them).
#include <tenon/gemm/gemm.hpp>

#include "dense.hpp"

void bench::add_16_bit_formats(std::vector<format>& to) {
  to.push_back({"bf16", "bf16", "bf16", 0, false, [](arena& memory, layer const& l, index_t m, bool all) {
                  return dense_product<tenon::bf16, false>(memory, l, m, all);
                }});
  to.push_back(
      {"bf16 swiglu", "bf16 + swiglu", "bf16", 0, true, [](arena& memory, layer const& l, index_t m, bool all) {
         return dense_product<tenon::bf16, true>(memory, l, m, all);
       }});
  to.push_back({"f16", "f16", "f16", 2, false, [](arena& memory, layer const& l, index_t m, bool all) {
                  return dense_product<tenon::f16, false>(memory, l, m, all);
                }});
}
