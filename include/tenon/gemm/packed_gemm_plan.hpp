#pragma once
//  Which kernel multiplies with a packed weight, how K is split, and what that is expected to take: a plan is a value, made
//  without a device, printed, compared, kept, or replaced by the caller's own.
//
//  The choice is analytic. A candidate's time is that of its waves of blocks; a wave takes the longer of
//
//    bytes      packed weights of its blocks over the memory's bandwidth, inputs over that of L2
//    products   operations of its blocks, padding included, over the rate of mma.sync
//
//  plus a fixed start. Splits of K add the partial sums' way through L2. The constants are planning values from data sheets:
//  only their ratios matter, and a caller who has measured passes a plan of his own.
#include <tenon/core/architecture.hpp>
#include <tenon/core/context.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/gemm/gemm_plan.hpp>
#include <tenon/gemm/packed_gemm_policy.hpp>
#include <tenon/op/epilogue_pipeline.hpp>
#include <tenon/quant/packed_weight.hpp>

#include <cstddef>
#if !defined(__CUDACC_RTC__)
#  include <cstdio>
#  include <string>
#endif

namespace tenon {

/// What a plan is made for.
struct packed_gemm_shape {
  packed_layout       b;                   // rows n (or paired_rows(n)), columns k
  index_t             m           = 0;     // tokens
  int                 input_bytes = 2;     // of an element of A
  bool                wide        = true;  // rows of A are contiguous and start on 16 bytes
  gemm_epilogue_needs epilogue    = {};    // needs_of<Pipeline>()
};

/// What a plan may count on.
struct packed_gemm_resources {
  architecture as;
  int          multiprocessors = 0;  // 0: those of the architecture's usual card
  std::size_t  workspace       = 0;  // bytes
  int          counters        = 0;
  bool         batch_invariant = false;  // the choice does not look at m
  bool         two_steps       = false;  // the caller can dequantise first (gemm/dequantized_gemm.hpp)
};

struct packed_gemm_plan {
  packed_gemm_policy policy       = packed_gemm_policies::lanes;
  int                splits       = 1;  // blocks that share one tile's sum over K
  std::size_t        workspace    = 0;  // bytes that it needs
  int                counters     = 0;  // words that it needs
  index_t            blocks       = 0;
  double             microseconds = 0;      // predicted
  bool               two_steps    = false;  // dequantise into the workspace, then `dense`; `policy` is not used
  gemm_plan          dense        = {};

  friend constexpr bool operator==(packed_gemm_plan const&, packed_gemm_plan const&) = default;
};

#if !defined(__CUDACC_RTC__)
/// "stream 16 x 64 x 256, 6 stages, bulk, 288 threads; 4 splits, 256 blocks, 5.3 us predicted"
inline std::string to_string(packed_gemm_plan const& p) {
  if (p.two_steps) return "dequantize; " + to_string(p.dense);
  char text[120];
  std::snprintf(text, sizeof text, "; %d split%s, %lld blocks, %.1f us predicted", p.splits, p.splits == 1 ? "" : "s",
                static_cast<long long>(p.blocks), p.microseconds);
  return to_string(p.policy) + text;
}
#endif

namespace packed {

/// Whether a kernel of this policy runs there at all.
constexpr bool is_legal(packed_gemm_policy const& p, packed_gemm_shape const& shape, architecture as) {
  int const columns = shape.epilogue.paired ? p.rows / 2 : p.rows;  // of D
  if (p.on_host() != as.is_host()) return false;
  if (p.on_host()) return true;
  if (p.wide && !shape.wide) return false;
  if (p.bulk && policy_architecture(as.number) < 90) return false;
  if (columns % shape.epilogue.segment != 0) return false;
  if (p.kind == packed_gemm_kind::vector) return true;
  if (shape.input_bytes > 2) return false;
  if (p.kind == packed_gemm_kind::stream && !streams(shape.b)) return false;
  if (shape.b.code == weight_code::fp4 && !p.has_room_for_fp4()) return false;
  bool const fp8 = shape.input_bytes == 1 && shape.b.code == weight_code::fp8;
  if (fp8 ? (p.native && as.number < 89) || !p.has_room_for_fp8() : !p.native && p.wide) return false;
  return p.shared_bytes(shape.b.code, shape.input_bytes) + 8192 <= as.shared_bytes();
}

}  // namespace packed

/// One candidate: this policy with K in `splits` parts.
constexpr packed_gemm_plan plan_of(packed_gemm_policy const& p, int splits, packed_gemm_shape const& shape,
                                   packed_gemm_resources const& have) {
  gemm_card const card   = gemm_card_of(have.as);
  index_t const   k      = shape.b.blocks() * packed::atom_columns;
  index_t const   tiles  = ceil_div(shape.b.rows, p.rows) * ceil_div(shape.m, p.tokens);
  int const       sms    = have.multiprocessors > 0 ? have.multiprocessors : have.as.multiprocessors();
  auto const      shared = p.shared_bytes(shape.b.code, shape.input_bytes);
  // By registers, the large tile is alone on its multiprocessor.
  bool const   two      = shared > 0 && 2 * (shared + 1024) <= have.as.shared_bytes() + 1024;
  int const    resident = p.kind == packed_gemm_kind::vector                    ? 4
                          : p.kind == packed_gemm_kind::tile && p.threads > 128 ? 1
                          : two                                                 ? 2
                                                                                : 1;
  double const slots    = static_cast<double>(sms) * resident;

  packed_gemm_plan plan{p, splits};
  plan.blocks          = tiles * splits;
  double const waves   = static_cast<double>(ceil_div(plan.blocks, static_cast<index_t>(slots)));
  double const active  = static_cast<double>(plan.blocks) < slots ? static_cast<double>(plan.blocks) : slots;
  double const depth   = static_cast<double>(ceil_div(ceil_div(k, p.depth), splits) * p.depth);  // columns of one block
  double const weights = p.rows * depth * bits_of(shape.b.code) / 8, inputs = p.tokens * depth * shape.input_bytes;
  double const products = 2 * depth * p.rows * p.tokens * resident;
  bool const   units    = p.kind == packed_gemm_kind::vector;  // CUDA cores: a conversion and a sum for each product
  double const rate     = (units ? card.fp32 / 2 : card.tensor * (shape.input_bytes == 1 ? 2 : 1)) / sms *
                      (resident > 1 ? 1 : 0.8);  // of one multiprocessor
  // Blocks of one wave that share rows of B read them from L2; a multiprocessor alone takes at most a part of the bandwidth.
  double const fraction = active / slots < 0.6 ? active / slots / 0.6 : 1;
  double const from_memory =
      active * weights / (card.memory * fraction) / static_cast<double>(min<index_t>(ceil_div(shape.m, p.tokens), 8));
  double const from_l2 = active * (weights + inputs) / (card.l2 * fraction);
  double const moving  = from_memory > from_l2 ? from_memory : from_l2;
  double const summing = products / rate;
  plan.microseconds    = 2 + waves * ((moving > summing ? moving : summing) + 0.5);
  if (splits > 1) {
    auto const partials = static_cast<double>(tiles) * p.rows * p.tokens * 4 * splits;
    plan.workspace      = static_cast<std::size_t>(partials);
    plan.counters       = static_cast<int>(tiles);
    plan.microseconds += 1 + 2 * partials / card.l2;
  }
  return plan;
}

namespace packed {

/// The best candidate of this kind, or of any. Kernels that serve everything and nothing best (element loads, CUDA cores,
/// weights by cp.async where there are bulk copies) only where there is no other.
constexpr packed_gemm_plan best_plan(packed_gemm_shape const& shape, packed_gemm_resources const& have,
                                     packed_gemm_kind const* kind) {
  packed_gemm_plan best{};
  for (bool const last_resort : {false, true}) {
    if (best.blocks > 0) break;
    for (auto const& policy : packed_gemm_menu) {
      bool const copied     = policy.kind == packed_gemm_kind::stream && !policy.bulk && have.as.number >= 90;
      bool const serves_all = !policy.on_host() && (!policy.wide || policy.kind == packed_gemm_kind::vector || copied);
      if (serves_all != last_resort || !is_legal(policy, shape, have.as) || (kind && policy.kind != *kind)) continue;
      // Deeper stages are shared by more warps along K, which add in another order.
      if (have.batch_invariant && policy.kind == packed_gemm_kind::stream && policy.depth != 256) continue;
      index_t const steps = ceil_div(shape.b.blocks() * atom_columns, policy.depth);
      bool const    whole = policy.on_host() || policy.kind == packed_gemm_kind::vector || have.batch_invariant;
      for (int splits = 1; splits <= (whole ? 1 : 16); ++splits) {
        if (splits > 1 && steps < 4 * splits) break;  // less than four stages do not fill the ring
        auto const plan = plan_of(policy, splits, shape, have);
        if (plan.workspace > have.workspace || plan.counters > have.counters) continue;
        if (best.blocks == 0 || plan.microseconds < best.microseconds) best = plan;
      }
    }
  }
  return best;
}

}  // namespace packed

/// Two steps: b dequantised into the workspace, then the dense product with what is left of it.
constexpr packed_gemm_plan plan_two_steps(packed_gemm_shape const& shape, packed_gemm_resources const& have) {
  index_t const    rows = shape.b.rows, columns = shape.b.columns;
  auto const       dense_bytes = static_cast<std::size_t>(round_up(rows * columns * shape.input_bytes, 256));
  packed_gemm_plan plan{};
  if (shape.input_bytes == 1 || have.workspace < dense_bytes) return plan;
  gemm_card const card  = gemm_card_of(have.as);
  double const    moved = static_cast<double>(shape.b.bytes()) + static_cast<double>(dense_bytes);
  plan.two_steps        = true;
  plan.dense            = plan_gemm({.m             = shape.m,
                                     .n             = shape.epilogue.paired ? rows / 2 : rows,
                                     .k             = columns,
                                     .element_bytes = shape.input_bytes,
                                     .wide          = shape.wide && columns * shape.input_bytes % 16 == 0,
                                     .epilogue      = shape.epilogue},
                                    {.as              = have.as,
                                     .multiprocessors = have.multiprocessors,
                                     .workspace       = have.workspace - dense_bytes,
                                     .counters        = have.counters});
  plan.workspace        = dense_bytes + plan.dense.workspace;
  plan.counters         = static_cast<int>(plan.dense.counters);
  plan.blocks           = plan.dense.blocks;
  plan.microseconds     = card.start + moved / card.memory + plan.dense.microseconds;
  return plan;
}

/// The best candidate of the menu. With batch_invariant the kind of kernel is that of one token, K is not split and stages have
/// one depth, because these decide in which order a row's products are added.
constexpr packed_gemm_plan plan_packed_gemm(packed_gemm_shape const& shape, packed_gemm_resources const& have) {
  if (have.batch_invariant && !have.as.is_host()) {
    auto one        = shape;
    one.m           = 1;
    auto const kind = packed::best_plan(one, have, nullptr).policy.kind;
    return packed::best_plan(shape, have, &kind);
  }
  auto const best = packed::best_plan(shape, have, nullptr);
  if (!have.two_steps || have.as.is_host()) return best;
  auto const other = plan_two_steps(shape, have);
  return other.two_steps && other.microseconds < best.microseconds ? other : best;
}

}  // namespace tenon
