#pragma once
//  The policies of rms_norm and add_rms_norm, so that sums of squares have their order and rows their bits.
#include <tenon/core/architecture.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/norm/add_rms_norm_policy.hpp>
#include <tenon/norm/rms_norm_policy.hpp>
#include <tenon/quant/quantize_rows_policy.hpp>

namespace tenon {

/// The policy of rms_norm, with up to 4,096 (512 threads: 8,192) elements of a row in registers.
constexpr quantize_rows_policy choose_rms_norm_quantize_policy(architecture as, index_t hidden, bool vectorised) {
  auto const p = choose_rms_norm_policy(as, hidden, vectorised);
  return {p.threads_per_block, p.vector, as.is_host() || !vectorised ? 0 : p.threads_per_block == 128 ? 1 : 2};
}
inline constexpr quantize_rows_policy rms_norm_quantize_menu[] = {
    {1, 8, 0}, {128, 8, 1}, {256, 8, 2}, {512, 8, 2}, {256, 1, 0}};

/// The policy of add_rms_norm.
constexpr quantize_rows_policy choose_add_rms_norm_quantize_policy(architecture as, index_t hidden, bool vectorised) {
  auto const p = choose_add_rms_norm_policy(as, hidden, vectorised);
  return {p.threads_per_block, p.vector, p.held};
}
inline constexpr quantize_rows_policy add_rms_norm_quantize_menu[] = {
    {1, 8, 0}, {128, 8, 1}, {256, 8, 2}, {1024, 8, 1}, {256, 1, 0}};

}  // namespace tenon
