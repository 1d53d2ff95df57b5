#pragma once
//  ids[r] = a draw from softmax(logits[r,:] / temperature), restricted by top-k, then top-p, then min-p
//
//  One block per row, no workspace. Passes over the row, all but the first from cache: 1 greedy; +2 for a draw; +4 for
//  top-k and +5 for top-p (three levels over the bits of a key, one among equals, one sum); +1 for the log-probability.
//  The draw inverts the cumulative distribution in the order of ids at u * mass, u from Philox (seed, position).
#include <tenon/arch/arch.cuh>
#include <tenon/core/tensor_view.hpp>
#include <tenon/sampling/log_probability.cuh>
#include <tenon/sampling/logits_row.cuh>
#include <tenon/sampling/philox.hpp>
#include <tenon/sampling/probability_mass.hpp>
#include <tenon/sampling/sample_policy.hpp>
#include <tenon/sampling/sampling_params.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

struct sample_kernel_params {
  tensor_view<std::int32_t, 1>          ids;       // (rows)
  tensor_view<float, 1>                 logprobs;  // (rows), or empty
  tensor_view<float const, 2>           logits;    // (rows, vocabulary)
  tensor_view<sampling_params const, 1> params;    // (rows), or empty: greedy
};

/// The draw of one row, given its largest logit.
template <int Threads>
__device__ __forceinline__ int draw(logits_row<Threads> const& row, largest_logit top, sampling_params const& how) {
  restricted<logit_mass> mass{{top.value, log2_e / how.temperature}};
  if (how.top_k > 0 && how.top_k < row.vocabulary)
    mass.kept = row.select(static_cast<mass_t>(how.top_k), restricted<one_each>{});
  if (how.top_p < 1.0f) mass.kept = row.select(share_of_mass(how.top_p, row.sum(mass)), mass);
  // Masses are exact multiples of 2^-40 of the largest, so min-p compares integers.
  if (how.min_p > 0.0f) mass.least = static_cast<mass_t>((how.min_p < 1.0f ? how.min_p : 1.0f) * 0x1p40f);
  return row.cross(multiply_wide(uniform_bits(how.seed, how.position), row.sum(mass)).high + 1, mass);
}

template <class Policy>
__global__ __launch_bounds__(Policy::value.threads_per_block,
                             1) void sample(__grid_constant__ sample_kernel_params const p) {
  constexpr int threads = Policy::value.threads_per_block;

  auto&                     shared = arch::shared<typename logits_row<threads>::storage>();
  index_t const             r      = blockIdx.x;
  logits_row<threads> const row{shared, &p.logits(r, 0), static_cast<int>(p.logits.extent[1])};

  largest_logit const top = row.largest();
  int                 id  = top.id;
  if (p.params.extent[0] != 0) {
    sampling_params const how = p.params(r);
    if (how.temperature > 0.0f && top.value > no_logit) id = draw(row, top, how);
  }

  if (p.logprobs.extent[0] != 0) {
    mass_t const whole = row.sum(restricted<logit_mass>{{top.value, log2_e}});
    if (threadIdx.x == 0) p.logprobs(r) = log_probability(row.logits[id], top.value, whole);
  }
  if (threadIdx.x == 0) p.ids(r) = id;
}

}  // namespace tenon::inline TENON_TARGET::kernel
