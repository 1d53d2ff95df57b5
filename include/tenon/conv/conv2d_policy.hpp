#pragma once
//  How a convolution is cut into blocks, warps and threads: policies of the dense product, whose rows are pixels of y.
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/gemm_plan.hpp>
#include <tenon/gemm/gemm_policy.hpp>

#include <cstddef>

namespace tenon {

/// Every policy that a kernel is compiled for, where it runs.
inline constexpr gemm_policy conv2d_menu[] = {
    gemm_policies::lanes,        gemm_policies::tile_32,     gemm_policies::tile_128,
    gemm_policies::tile_strided, gemm_policies::mma_64,      gemm_policies::mma_128,
    gemm_policies::mma_strided,  gemm_policies::mma_segment, gemm_policies::mma_segment_strided,
};

constexpr bool is_on_conv2d_menu(gemm_policy const& policy) {
  for (auto const& entry : conv2d_menu)
    if (policy == entry) return true;
  return false;
}

/// Whether a kernel is compiled for elements of this size under this epilogue: f32 on CUDA cores, 16 bits and int8 on tensor
/// cores.
constexpr bool conv2d_runs(gemm_policy const& p, std::size_t element_bytes, gemm_epilogue_needs const& e) {
  if (p.kind == gemm_kind::mma) return element_bytes <= 2 && p.runs(2, e);
  return p.runs(element_bytes, e);
}

/// Shared memory of a block: the ring, and where each row of its tile starts in x.
constexpr std::size_t conv2d_shared_bytes(gemm_policy const& p) {
  return p.ring_bytes() > 0 ? p.ring_bytes() + round_up(static_cast<std::size_t>(p.rows) * 16, std::size_t{128}) : 0;
}

/// The best candidate by gemm_plan.hpp's analytic time, for a product with a row per pixel of y, a column per output channel
/// of a group, and a matrix per group. All candidates for a type add an element's products in one order.
constexpr gemm_policy choose_conv2d_policy(gemm_shape const& s, gemm_resources const& have) {
  if (have.as.is_host()) return gemm_policies::lanes;
  gemm_kind const kind = s.element_bytes == 4 ? gemm_kind::tile : gemm_kind::mma;
  gemm_plan       best{};
  bool            found = false;
  for (bool const wide : {s.wide, false}) {  // by elements where nothing else serves
    for (auto const& p : conv2d_menu) {
      if (p.wide != wide || p.kind != kind || conv2d_shared_bytes(p) > have.as.shared_bytes()) continue;
      if (!conv2d_runs(p, static_cast<std::size_t>(s.element_bytes), s.epilogue)) continue;
      auto const plan = plan_of(p, 1, s, have);
      if (!found || plan.microseconds < best.microseconds) best = plan, found = true;
    }
    if (found) break;
  }
  return best.policy;
}

}  // namespace tenon
