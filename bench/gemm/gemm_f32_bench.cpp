//  Dense products of f32, true and rounded to tf32 (bench/gemm/main.cpp measures them).
#include <tenon/gemm/gemm.hpp>

#include "dense.hpp"

void bench::add_f32_formats(std::vector<format>& to) {
  to.push_back({"f32", "f32", "f32", 2, false, [](arena& memory, layer const& l, index_t m, bool all) {
                  return dense_product<float, false>(memory, l, m, all);
                }});
#if TENON_CUDA  // the host multiplies f32 as it is
  to.push_back({"tf32", "tf32", "tf32", 2, false, [](arena& memory, layer const& l, index_t m, bool all) {
                  return dense_product<float, false>(memory, l, m, all, true);
                }});
#endif
}
