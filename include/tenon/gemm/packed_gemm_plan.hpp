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
#include <tenon/gemm/packed_gemm_policy.hpp>
#include <tenon/op/epilogue_pipeline.hpp>
#include <tenon/quant/packed_weight.hpp>

#include <cstddef>
#include <cstdio>
#include <string>

namespace tenon {

/// What a plan is made for.
struct packed_gemm_shape {
  packed_layout b;                    // rows n (or paired_rows(n)), columns k
  index_t       m           = 0;      // tokens
  int           input_bytes = 2;      // of an element of A
  bool          wide        = true;   // rows of A are contiguous and start on 16 bytes
  int           segment     = 1;      // columns of D that the epilogue looks along
  bool          paired      = false;  // the epilogue takes a gate and an up
};

/// What a plan may count on.
struct packed_gemm_resources {
  architecture as;
  int          multiprocessors = 0;  // 0: those of the architecture's usual card
  std::size_t  workspace       = 0;  // bytes
  int          counters        = 0;
  bool         batch_invariant = false;  // the choice does not look at m
};

struct packed_gemm_plan {
  packed_gemm_policy policy       = packed_gemm_policies::lanes;
  int                splits       = 1;  // blocks that share one tile's sum over K
  std::size_t        workspace    = 0;  // bytes that it needs
  int                counters     = 0;  // words that it needs
  index_t            blocks       = 0;
  double             microseconds = 0;  // predicted

  friend constexpr bool operator==(packed_gemm_plan const&, packed_gemm_plan const&) = default;
};

/// "stream 16 x 64 x 256, 6 stages, bulk, 288 threads; 4 splits, 256 blocks, 5.3 us predicted"
inline std::string to_string(packed_gemm_plan const& p) {
  char text[120];
  std::snprintf(text, sizeof text, "; %d split%s, %lld blocks, %.1f us predicted", p.splits, p.splits == 1 ? "" : "s",
                static_cast<long long>(p.blocks), p.microseconds);
  return to_string(p.policy) + text;
}

namespace packed {

/// Planning values of an architecture's usual card.
struct card {
  double memory, l2;   // bytes per microsecond
  double products[2];  // operations per microsecond of mma.sync: 16-bit inputs, 8-bit inputs
};
constexpr card card_of(architecture as) {
  switch (policy_architecture(as.number)) {
    case 89: return {1.0e6, 5.0e6, {165e6, 330e6}};    // RTX 4090
    case 90: return {3.35e6, 5.5e6, {600e6, 1200e6}};  // H100 SXM
    default: return {1.55e6, 4.0e6, {280e6, 560e6}};   // A100 40 GB
  }
}

/// Whether a kernel of this policy runs there at all.
constexpr bool is_legal(packed_gemm_policy const& p, packed_gemm_shape const& shape, architecture as) {
  int const columns = shape.paired ? p.rows / 2 : p.rows;  // of D
  if (p.on_host() != as.is_host()) return false;
  if (p.on_host()) return true;
  if (p.wide && !shape.wide) return false;
  if (p.bulk && policy_architecture(as.number) < 90) return false;
  if (p.kind == packed_gemm_kind::vector) return true;
  if (shape.input_bytes > 2 || columns % shape.segment != 0) return false;
  if (p.kind == packed_gemm_kind::stream && !streams(shape.b)) return false;
  bool const fp8 = shape.input_bytes == 1 && shape.b.code == weight_code::fp8;
  if (fp8 ? (p.native && as.number < 89) || !p.has_room_for_fp8() : !p.native && p.wide) return false;
  return p.shared_bytes(shape.b.code, shape.input_bytes) + 8192 <= as.shared_bytes();
}

}  // namespace packed

/// One candidate: this policy with K in `splits` parts.
constexpr packed_gemm_plan plan_of(packed_gemm_policy const& p, int splits, packed_gemm_shape const& shape,
                                   packed_gemm_resources const& have) {
  auto const    card     = packed::card_of(have.as);
  index_t const k        = shape.b.blocks() * packed::atom_columns;
  index_t const tiles    = ceil_div(shape.b.rows, p.rows) * ceil_div(shape.m, p.tokens);
  int const     sms      = have.multiprocessors > 0 ? have.multiprocessors : have.as.multiprocessors();
  auto const    shared   = p.shared_bytes(shape.b.code, shape.input_bytes);
  int const     resident = p.kind == packed_gemm_kind::vector                                   ? 4
                           : shared > 0 && 2 * (shared + 1024) <= have.as.shared_bytes() + 1024 ? 2
                                                                                                : 1;
  double const  slots    = static_cast<double>(sms) * resident;

  packed_gemm_plan plan{p, splits};
  plan.blocks          = tiles * splits;
  double const waves   = static_cast<double>(ceil_div(plan.blocks, static_cast<index_t>(slots)));
  double const active  = static_cast<double>(plan.blocks) < slots ? static_cast<double>(plan.blocks) : slots;
  double const depth   = static_cast<double>(ceil_div(ceil_div(k, p.depth), splits) * p.depth);  // columns of one block
  double const weights = p.rows * depth * bits_of(shape.b.code) / 8, inputs = p.tokens * depth * shape.input_bytes;
  double const products = 2 * depth * p.rows * p.tokens * resident;
  double const rate     = (p.kind == packed_gemm_kind::vector ? 0.1 : 1) * card.products[shape.input_bytes == 1] / sms *
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

/// The best candidate of this kind, or of any. Kernels that serve everything and nothing best, by element loads or on CUDA
/// cores, only where there is no other.
constexpr packed_gemm_plan best_plan(packed_gemm_shape const& shape, packed_gemm_resources const& have,
                                     packed_gemm_kind const* kind) {
  packed_gemm_plan best{};
  for (bool const last_resort : {false, true}) {
    if (best.blocks > 0) break;
    for (auto const& policy : packed_gemm_menu) {
      bool const serves_all = !policy.on_host() && (!policy.wide || policy.kind == packed_gemm_kind::vector);
      if (serves_all != last_resort || !is_legal(policy, shape, have.as) || (kind && policy.kind != *kind)) continue;
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

/// The best candidate of the menu. With batch_invariant the kind of kernel is that of one token and K is not split, because
/// kind and split decide in which order a row's products are added.
constexpr packed_gemm_plan plan_packed_gemm(packed_gemm_shape const& shape, packed_gemm_resources const& have) {
  if (!have.batch_invariant || have.as.is_host()) return packed::best_plan(shape, have, nullptr);
  auto one        = shape;
  one.m           = 1;
  auto const kind = packed::best_plan(one, have, nullptr).policy.kind;
  return packed::best_plan(shape, have, &kind);
}

}  // namespace tenon
