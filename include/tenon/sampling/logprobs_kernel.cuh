#pragma once
//  Log-probabilities: of given ids, and of the first K of every row in order
//
//  One block per row. The first K are found as a set (three passes over the bits of a key and one among equals), gathered
//  in any order and ranked by counting who stands in front: K is small.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/sampling/log_probability.cuh>
#include <tenon/sampling/logits_row.cuh>
#include <tenon/sampling/probability_mass.hpp>
#include <tenon/sampling/sample_policy.hpp>

#include <cstdint>

namespace tenon::inline TENON_TARGET::kernel {

inline constexpr int most_top_logprobs = 64;

struct token_logprobs_params {
  tensor_view<float, 1>              logprobs;  // (rows)
  tensor_view<float const, 2>        logits;    // (rows, vocabulary)
  tensor_view<std::int32_t const, 1> ids;       // (rows)
};

template <class Policy>
__global__ __launch_bounds__(Policy::value.threads_per_block,
                             1) void token_logprobs(__grid_constant__ token_logprobs_params const p) {
  constexpr int threads = Policy::value.threads_per_block;

  auto&                     shared = arch::shared<typename logits_row<threads>::storage>();
  index_t const             r      = blockIdx.x;
  logits_row<threads> const row{shared, &p.logits(r, 0), static_cast<int>(p.logits.extent[1])};

  float const  largest = row.largest().value;
  mass_t const whole   = row.sum(restricted<logit_mass>{{largest, log2_e}});
  int const    id      = p.ids(r);
  bool const   known   = id >= 0 && id < row.vocabulary;
  if (threadIdx.x == 0)
    p.logprobs(r) = known ? log_probability(row.logits[id], largest, whole) : bit_cast<float>(0x7fc00000u);
}

struct top_logprobs_params {
  tensor_view<std::int32_t, 2> ids;       // (rows, K)
  tensor_view<float, 2>        logprobs;  // (rows, K)
  tensor_view<float const, 2>  logits;    // (rows, vocabulary)
};

template <class Policy>
struct top_logprobs_storage {
  typename logits_row<Policy::value.threads_per_block>::storage row;
  unsigned                                                      count;
  mass_t                                                        ranked[most_top_logprobs];  // key, then ~id
};

template <class Policy>
__global__ __launch_bounds__(Policy::value.threads_per_block,
                             1) void top_logprobs(__grid_constant__ top_logprobs_params const p) {
  constexpr int threads = Policy::value.threads_per_block;

  auto&                     shared = arch::shared<top_logprobs_storage<Policy>>();
  index_t const             r      = blockIdx.x;
  int const                 me     = static_cast<int>(threadIdx.x);
  int const                 wanted = static_cast<int>(p.ids.extent[1]);
  logits_row<threads> const row{shared.row, &p.logits(r, 0), static_cast<int>(p.logits.extent[1])};
  int const                 found = min(wanted, row.vocabulary);

  float const  largest = row.largest().value;
  mass_t const whole   = row.sum(restricted<logit_mass>{{largest, log2_e}});
  cutoff const kept    = row.select(static_cast<mass_t>(found), restricted<one_each>{});

  // Gather, in any order.
  if (me == 0) shared.count = 0;
  if constexpr (threads > 1) arch::sync_block();
  row.for_each([&](float v, int id) {
    std::uint32_t const key = logit_key(v);
    if (!kept.keeps(key, id)) return;
    unsigned slot;
    if constexpr (threads == 1) {
      slot = shared.count++;
    } else {
      slot = arch::atomic_add(&shared.count, 1u);
    }
    shared.ranked[slot] = static_cast<mass_t>(key) << 32 | ~static_cast<std::uint32_t>(id);
  });
  if constexpr (threads > 1) arch::sync_block();

  // Rank and store.
  for (int i = me; i < wanted; i += threads) {
    if (i >= found) {
      p.ids(r, i)      = -1;
      p.logprobs(r, i) = no_logit;
      continue;
    }
    mass_t const mine = shared.ranked[i];
    int          rank = 0;
    for (int j = 0; j < found; ++j) rank += shared.ranked[j] > mine;
    p.ids(r, rank)      = static_cast<int>(~static_cast<std::uint32_t>(mine));
    p.logprobs(r, rank) = log_probability(logit_of_key(static_cast<std::uint32_t>(mine >> 32)), largest, whole);
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
