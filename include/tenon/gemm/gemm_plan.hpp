#pragma once
//  Which kernel makes a dense product, how K is split over blocks, and what that is expected to take: a plan is a value, made
//  without a device, printed, compared, kept, or replaced by the caller's own.
//
//  The choice is analytic. A candidate's blocks run in waves; a wave lasts as long as the slowest of
//
//    products   of its blocks, padding included, over the rate of the tensor cores (or of the fp32 units)
//    shared     what the warps read of their stages, over the bandwidth of shared memory
//    L2         the blocks' rows of A and B, over the bandwidth of its multiprocessors that run
//    steps      of one block along K, one after the other, each as long as a barrier, ldmatrix and mma take
//
//  and the launch at least as long as A, B and D take from memory, whose bandwidth wants enough bytes in flight. Splits of K
//  add their partial sums' way through L2. The constants are data-sheet values: they rank candidates, no more; a caller who has
//  measured passes a plan of his own. Seen in deepseek-ai/DeepGEMM, csrc/jit_kernels/heuristics (idea).
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/gemm_policy.hpp>
#include <tenon/op/epilogue_pipeline.hpp>

#include <cstddef>
#if !defined(__CUDACC_RTC__)
#  include <cstdio>
#  include <string>
#endif

namespace tenon {

/// What a plan is made for: D (m, n) = A (m, k) B^T, `batch` times.
struct gemm_shape {
  index_t             m = 0, n = 0, k = 0;
  index_t             batch         = 1;
  int                 element_bytes = 2;
  bool                tf32          = false;  // f32 elements may be rounded to tf32
  bool                wide          = true;   // rows of A and B are contiguous and start on 16 bytes (host: contiguous)
  gemm_epilogue_needs epilogue      = {};     // needs_of<Pipeline>()
};

/// What a plan may count on.
struct gemm_resources {
  architecture as;
  int          multiprocessors = 0;      // 0: those of the architecture's usual card
  bool         batch_invariant = false;  // no row's bits may depend on m
  std::size_t  workspace       = 0;      // bytes
  int          counters        = 0;      // words
};

struct gemm_plan {
  gemm_policy policy       = gemm_policies::lanes;
  int         splits       = 1;  // blocks that share one tile's sum over K
  std::size_t workspace    = 0;  // bytes that it needs
  index_t     counters     = 0;  // words that it needs
  index_t     blocks       = 0;
  double      waves        = 0;  // blocks over those that run at a time
  double      microseconds = 0;  // predicted; 0 where nothing is (host)

  friend constexpr bool operator==(gemm_plan const&, gemm_plan const&) = default;
};

#if !defined(__CUDACC_RTC__)
/// "mma 16x64x64, 6 stages, tile 16x16, 128 threads, swapped; 4 splits, 256 blocks, 0.97 waves, 1048576 bytes, 64 counters,
/// 12.3 us predicted"
inline std::string to_string(gemm_plan const& p) {
  char text[200];
  int  at = std::snprintf(text, sizeof text, "; %d split%s, %lld blocks", p.splits, p.splits == 1 ? "" : "s",
                          static_cast<long long>(p.blocks));
  if (p.splits > 1)
    at += std::snprintf(text + at, sizeof text - static_cast<std::size_t>(at), ", %zu bytes, %lld counters",
                        p.workspace, static_cast<long long>(p.counters));
  if (p.microseconds > 0)
    std::snprintf(text + at, sizeof text - static_cast<std::size_t>(at), ", %.2f waves, %.1f us predicted", p.waves,
                  p.microseconds);
  return to_string(p.policy) + text;
}
#endif

/// Planning values of an architecture's usual card, per microsecond: data sheets of the A100 SXM 80 GB, RTX 4090, H100 SXM.
struct gemm_card {
  double memory, l2;       // bytes
  double shared;           // bytes, of one multiprocessor
  double tensor, fp32;     // operations: mma.sync of 16-bit elements (tf32: half of it), fp32 units
  double latency = 0.8;    // from memory, microseconds
  double start   = 2;      // of a launch, microseconds
  double barrier = 0.03;   // of a stage, microseconds
  double step    = 0.025;  // of one mma along K with its fragments, microseconds
};
constexpr gemm_card gemm_card_of(architecture as) {
  switch (policy_architecture(as.number)) {
    case 89: return {1.008e6, 5.0e6, 322e3, 165e6, 82.6e6};
    case 90: return {3.35e6, 5.5e6, 225e3, 620e6, 66.9e6};  // mma.sync, not wgmma
    default: return {2.039e6, 4.5e6, 180e3, 312e6, 19.5e6};
  }
}

/// Tiles of one D: its blocks, where K is not split.
constexpr index_t gemm_tiles(gemm_policy const& p, gemm_shape const& s) {
  return ceil_div(s.m, p.rows) * ceil_div(s.n, p.d_columns(s.epilogue));
}

namespace planning {

/// Blocks of a policy that one multiprocessor holds: by shared memory, threads and registers (accumulators and 64 more).
constexpr int gemm_residents(gemm_policy const& p, architecture as) {
  int count = 2048 / p.threads;
  if (auto const shared = p.ring_bytes(); shared > 0)
    count = min(count, static_cast<int>((as.shared_bytes() + 1024) / (shared + 1024)));
  int const sums = p.kind == gemm_kind::vector ? 64 : p.rows * p.columns * p.split / p.threads;
  count          = min(count, 65536 / (p.threads * min(sums + 64, 255)));
  return count > 0 ? count : 1;
}

/// Microseconds that `blocks` blocks take, `residents` of each multiprocessor at a time.
constexpr double gemm_wave_time(gemm_policy const& p, gemm_shape const& s, gemm_card const& card, int multiprocessors,
                                double blocks, double depth, double b_rows) {
  double const per_sm   = blocks <= multiprocessors ? 1 : blocks / multiprocessors;
  double const products = 2 * static_cast<double>(p.rows) * b_rows * depth;
  double const element  = s.element_bytes;
  double const running  = blocks < multiprocessors ? blocks / multiprocessors : 1;
  double const l2       = blocks * (static_cast<double>(p.rows) + b_rows) * depth * element / (card.l2 * running) *
                    (p.wide ? 1 : 4);  // element by element
  if (p.kind == gemm_kind::vector) {   // two instructions for each product: a conversion and the sum
    double const sum = 2 * per_sm * products / (card.fp32 / multiprocessors);
    return sum > l2 ? sum : l2;
  }
  bool const   tensor = p.kind == gemm_kind::mma;
  double const rate   = (tensor ? card.tensor / (s.element_bytes == 4 ? 2 : 1) : card.fp32) / multiprocessors;
  double const warps  = per_sm * p.threads / 32;  // fewer than eight do not keep the units busy
  double const sum    = per_sm * products / (rate * (warps < 8 ? warps / 8 : 1));
  double const reads  = products / 2 * element * (1. / p.tile_rows + 1. / p.tile_columns);
  double const shared = per_sm * reads / card.shared;
  double const chain  = depth * element / (2 * p.depth) * (card.barrier + card.step * p.depth / 16 / p.split);
  double const inside = sum > shared ? sum : shared;
  double const alone  = inside > chain ? inside : chain;
  return alone > l2 ? alone : l2;
}

}  // namespace planning

/// One candidate: this policy with K in `splits` parts.
constexpr gemm_plan plan_of(gemm_policy const& p, int splits, gemm_shape const& s, gemm_resources const& have) {
  gemm_plan     plan{p, splits};
  index_t const tiles = gemm_tiles(p, s);
  plan.blocks         = tiles * splits * s.batch;
  if (splits > 1) {
    plan.counters  = tiles * s.batch * (p.rows / p.slice_rows());
    plan.workspace = static_cast<std::size_t>(tiles * s.batch * splits) * sizeof(float) *
                     static_cast<std::size_t>(p.rows * p.columns);
  }
  if (have.as.is_host()) return plan;

  auto const    card      = gemm_card_of(have.as);
  int const     sms       = have.multiprocessors > 0 ? have.multiprocessors : have.as.multiprocessors();
  int const     residents = planning::gemm_residents(p, have.as);
  double const  slots     = static_cast<double>(sms) * residents;
  index_t const step      = p.depth > 0 ? 2 * p.depth / s.element_bytes : 1;
  double const  depth     = static_cast<double>(ceil_div(ceil_div(s.k, step), index_t{splits}) * step);
  double const  b_rows    = p.d_columns(s.epilogue) * (s.epilogue.paired ? 2 : 1);
  plan.waves              = static_cast<double>(plan.blocks) / slots;

  double const whole = static_cast<double>(static_cast<index_t>(plan.waves));
  double const rest  = static_cast<double>(plan.blocks) - whole * slots;
  auto const   wave  = [&](double blocks) {
    return planning::gemm_wave_time(p, s, card, sms, blocks, depth, b_rows) + 0.5;
  };
  double const waves = whole * (whole > 0 ? wave(slots) : 0) + (rest > 0 ? wave(rest) : 0);

  double const b_total = static_cast<double>(s.n) * (s.epilogue.paired ? 2 : 1), m = static_cast<double>(s.m);
  double const bytes = static_cast<double>(s.batch * s.element_bytes) *
                       ((m + b_total) * static_cast<double>(s.k) + m * static_cast<double>(s.n));
  double const active = static_cast<double>(plan.blocks) < slots ? static_cast<double>(plan.blocks) : slots;
  double const stage  = p.kind == gemm_kind::vector
                            ? 32. * p.threads * p.tile_columns
                            : static_cast<double>(p.ring_bytes()) * (p.stages - 1) / p.stages / (p.wide ? 1 : 4);
  double const flying = active * stage / (card.memory * card.latency);
  double const memory = bytes / (card.memory * (flying < 1 ? flying : 1));
  plan.microseconds   = card.start + (waves > memory ? waves : memory);
  if (splits > 1) plan.microseconds += 1 + 2 * static_cast<double>(plan.workspace) / card.l2;
  return plan;
}

/// The best candidate. With batch_invariant all candidates add an element's products in one order: one kind, no splits.
constexpr gemm_plan plan_gemm(gemm_shape const& s, gemm_resources const& have) {
  if (have.as.is_host()) return plan_of(s.wide ? gemm_policies::lanes : gemm_policies::lanes_strided, 1, s, have);
  gemm_kind const many = s.element_bytes == 2 || s.tf32 ? gemm_kind::mma : gemm_kind::tile;
  gemm_plan       best{};
  bool            found = false;
  for (bool const wide : {s.wide, false}) {  // by elements where nothing else serves
    for (auto const& p : gemm_menu) {
      if (p.wide != wide || !p.runs(static_cast<std::size_t>(s.element_bytes), s.epilogue)) continue;
      bool const few = p.kind == gemm_kind::vector && s.m <= p.rows && !have.batch_invariant;
      if (!few && p.kind != many) continue;
      if (have.batch_invariant && p.split > 1) continue;
      if (p.ring_bytes() > have.as.shared_bytes()) continue;
      index_t const stages = p.depth > 0 ? ceil_div(s.k * s.element_bytes, index_t{2} * p.depth) : 0;
      for (int const splits : {1, 2, 3, 4, 6, 8, 12, 16}) {
        if (splits > 1 && (few || have.batch_invariant || stages < index_t{2} * p.stages * splits)) break;
        auto const plan = plan_of(p, splits, s, have);
        if (plan.workspace > have.workspace || plan.counters > have.counters) break;
        if (!found || plan.microseconds < best.microseconds) best = plan, found = true;
        if (plan.waves > 4) break;  // enough blocks
      }
    }
    if (found) break;
  }
  return best;
}

/// Bytes of context.workspace and words of context.counters with which plan_gemm chooses freely; less of them is no error.
constexpr std::size_t gemm_workspace_bytes(gemm_shape const& s, gemm_resources have) {
  have.workspace = ~std::size_t{0}, have.counters = 0x7fffffff;
  return plan_gemm(s, have).workspace;
}
constexpr index_t gemm_counters(gemm_shape const& s, gemm_resources have) {
  have.workspace = ~std::size_t{0}, have.counters = 0x7fffffff;
  return plan_gemm(s, have).counters;
}

}  // namespace tenon
