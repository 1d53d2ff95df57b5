// The streaming product with packed weights: every format and policy, against double precision on the same numbers.
#include <gtest/gtest.h>

#include <cstdint>

#include "packed_gemm_problem.hpp"

namespace {

using namespace test::packed_gemm;
using enum tenon::weight_code;

using copies_8       = policy_of<policies::stream_8>;
using copies_16      = policy_of<policies::stream_16>;
using copies_32      = policy_of<policies::stream_32>;
using copies_strided = policy_of<policies::stream_strided>;
using copies_widened = policy_of<policies::stream_widened>;
using bulk_8         = policy_of<policies::stream_bulk_8>;
using bulk_16        = policy_of<policies::stream_bulk_16>;
using bulk_32        = policy_of<policies::stream_bulk_32>;

// Two blocks share a multiprocessor's memory: 164 KB of sm_80 and 228 KB of sm_90, of which each block takes 1 KB for the
// system (CUDA C++ Programming Guide, table of technical specifications).
template <class Policy, class A, weight_code Code, scale_kind Scales>
constexpr std::size_t shared_bytes = sizeof(
    tenon::kernel::packed_gemm_stream_storage<Policy, A, tenon::packed_weight<Code, Scales, tenon::pack_order_of<A>>>);
template <class Policy>
constexpr bool shares_a_multiprocessor(std::size_t kilobytes) {
  std::size_t const most = kilobytes * 1024 / 2 - 1024;
  return shared_bytes<Policy, bf16, int4, scale_kind::group> <= most &&
         shared_bytes<Policy, bf16, fp4, scale_kind::group> <= most &&
         shared_bytes<Policy, bf16, int8, scale_kind::row> <= most &&
         shared_bytes<Policy, std::int8_t, int4, scale_kind::group> <= most;
}
static_assert(shares_a_multiprocessor<bulk_8>(228) && shares_a_multiprocessor<bulk_16>(228));
static_assert(shares_a_multiprocessor<copies_8>(164) && shares_a_multiprocessor<copies_16>(164) &&
              shares_a_multiprocessor<copies_32>(164) && shares_a_multiprocessor<copies_strided>(164));
static_assert(shared_bytes<bulk_32, bf16, fp4, scale_kind::group> <= 227 * 1024);
static_assert(shared_bytes<copies_32, bf16, fp4, scale_kind::group> <= 99 * 1024);  // sm_89

TEST(packed_gemm_stream, every_format_with_inputs_of_16_bits) {
  problem const s{3, 75, 595, 0, 1, 5};  // rows of A end in poison
  agrees<bulk_8, float, bf16, int4, scale_kind::group>(int4_groups, s);
  agrees<bulk_8, float, bf16, int4, scale_kind::group>(int4_symmetric, s);
  agrees<bulk_8, float, bf16, int4, scale_kind::group>({int4, 192, 1, true}, s);
  agrees<bulk_8, float, f16, int4, scale_kind::group>(int4_rows, s);
  agrees<bulk_8, float, f16, int8, scale_kind::row>(int8_rows, s);
  agrees<bulk_8, float, bf16, int8, scale_kind::group>(int8_groups, s);
  agrees<bulk_8, float, bf16, int8, scale_kind::group>({int8, 16, 1, false}, s);
  agrees<bulk_8, float, bf16, fp8, scale_kind::row>(fp8_rows, s);
  agrees<bulk_8, float, f16, fp8, scale_kind::block>(fp8_blocks, {3, 150, 300, 0, 1, 4});
  agrees<bulk_16, float, f16, fp4, scale_kind::group>(fp4_groups, s);
}

TEST(packed_gemm_stream, every_format_with_inputs_of_8_bits) {
  problem const s{3, 75, 427, 0, 1, 5}, grouped{3, 75, 427, 64, 1, 5};
  agrees<bulk_8, float, std::int8_t, int8, scale_kind::row>(int8_rows, s);
  agrees<bulk_8, float, std::int8_t, int8, scale_kind::row>(int8_rows, grouped);
  agrees<bulk_8, float, std::int8_t, int4, scale_kind::group>(int4_groups, grouped);
  agrees<bulk_8, float, std::int8_t, int4, scale_kind::group>(int4_symmetric, {5, 20, 400, 128});
  agrees<bulk_8, float, e4m3, fp8, scale_kind::row>(fp8_rows, s);
  agrees<bulk_8, float, e4m3, fp8, scale_kind::row>(fp8_rows, grouped);
  agrees<bulk_8, float, e4m3, fp8, scale_kind::block>(fp8_blocks, {3, 150, 304, 128});
}

TEST(packed_gemm_stream, every_number_of_tokens) {
  agrees<bulk_16, bf16, bf16, int4, scale_kind::group>(int4_symmetric, {17, 139, 264});
  agrees<bulk_32, bf16, bf16, int4, scale_kind::group>(int4_groups, {37, 70, 264});
  agrees<bulk_32, f16, std::int8_t, int8, scale_kind::row>(int8_rows, {31, 70, 144});
  // More stages than the ring has.
  agrees<copies_8, float, bf16, int4, scale_kind::group>(int4_groups, {5, 139, 1400});
  agrees<bulk_8, float, f16, int8, scale_kind::row>(int8_rows, {3, 70, 1352});
  agrees<copies_16, float, f16, fp4, scale_kind::group>(fp4_groups, {9, 70, 264});
  agrees<copies_32, float, std::int8_t, int4, scale_kind::group>(int4_groups, {37, 70, 272});
  agrees<copies_widened, float, e4m3, fp8, scale_kind::block>(fp8_blocks, {3, 150, 304, 128});
}

TEST(packed_gemm_stream, rows_of_a_lie_anyhow) {
  agrees<copies_strided, float, bf16, int4, scale_kind::group>(int4_groups, {5, 7, 43, 0, 1, 0, 3});
  agrees<copies_strided, float, std::int8_t, int8, scale_kind::row>(int8_rows, {5, 75, 203, 64, 1, 5});
  agrees<copies_strided, float, e4m3, fp8, scale_kind::row>(fp8_rows, {5, 75, 203, 0, 1, 5});
}

TEST(packed_gemm_stream, shares_k_between_blocks) {
  agrees<bulk_8, bf16, bf16, int4, scale_kind::group>({int4, 192, 1, true}, {9, 70, 808, 0, 3});
  agrees<bulk_8, float, std::int8_t, int8, scale_kind::row>(int8_rows, {3, 7, 64, 0, 2});  // one of them has none
  agrees<copies_8, float, std::int8_t, int8, scale_kind::row>(int8_rows, {3, 7, 320, 64, 2});
}

TEST(packed_gemm_stream, gates) {
  agrees<bulk_8, float, bf16, int4, scale_kind::group>(int4_groups, {9, 44, 72}, tenon::epilogue::swiglu());
  agrees<bulk_8, float, bf16, int4, scale_kind::group>(int4_groups, {9, 44, 328, 0, 2}, tenon::epilogue::swiglu());
}

#if TENON_CHECKED
TEST(packed_gemm_stream, has_no_bank_conflicts) {
  EXPECT_EQ((bank_conflicts<bulk_8, bf16, int4, scale_kind::group>(int4_groups, 8, 512)), 0u);
  EXPECT_EQ((bank_conflicts<bulk_16, f16, int8, scale_kind::row>(int8_rows, 16, 256)), 0u);
  EXPECT_EQ((bank_conflicts<copies_16, f16, fp4, scale_kind::group>(fp4_groups, 16, 512)), 0u);
  EXPECT_EQ((bank_conflicts<bulk_8, std::int8_t, int4, scale_kind::group>(int4_symmetric, 8, 512)), 0u);
  EXPECT_EQ((bank_conflicts<bulk_8, e4m3, fp8, scale_kind::block>(fp8_blocks, 8, 256)), 0u);
}
#endif

}  // namespace
