// The product with packed weights on CUDA cores: every format, against double precision on the same numbers.
#include <gtest/gtest.h>

#include <cstdint>

#include "packed_gemm_problem.hpp"

namespace {

using namespace test::packed_gemm;
using enum tenon::weight_code;
using vector_4 = policy_of<policies::vector_4>;

TEST(packed_gemm_vector, every_format_with_inputs_of_32_bits) {
  problem const s{5, 75, 203, 0, 1, 5};
  agrees<vector_4, float, float, int4, scale_kind::group>({int4, 16, 1, true}, s);
  agrees<vector_4, float, float, int4, scale_kind::group>({int4, 192, 1, true}, s);
  agrees<vector_4, float, float, int4, scale_kind::group>(int4_rows, s);
  agrees<vector_4, float, float, int8, scale_kind::row>(int8_rows, s);
  agrees<vector_4, float, float, int8, scale_kind::group>(int8_groups, s);
  agrees<vector_4, float, float, fp8, scale_kind::row>(fp8_rows, s);
  agrees<vector_4, float, float, fp8, scale_kind::block>(fp8_blocks, {3, 150, 300, 0, 1, 4});
  agrees<vector_4, float, float, fp4, scale_kind::group>(fp4_groups, s);
}

TEST(packed_gemm_vector, other_inputs_wherever_they_lie) {
  agrees<vector_4, bf16, bf16, int4, scale_kind::group>(int4_groups, {5, 7, 43, 0, 1, 0, 3});
  agrees<vector_4, float, std::int8_t, int8, scale_kind::row>(int8_rows, {5, 75, 203, 64, 1, 5});
  agrees<vector_4, float, std::int8_t, int4, scale_kind::group>({int4, 16, 1, true}, {5, 75, 203, 0, 1, 5});
  agrees<vector_4, float, e4m3, fp8, scale_kind::block>(fp8_blocks, {3, 150, 304, 128});
}

TEST(packed_gemm_vector, gates) {
  agrees<vector_4, float, float, int4, scale_kind::group>(int4_groups, {3, 44, 72}, tenon::epilogue::swiglu());
}

}  // namespace
