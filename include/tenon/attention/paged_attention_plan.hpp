#pragma once
//  Which kernel a call of paged_attention takes and how its keys are spread over blocks, as a value: printed, compared, made
//  without a device. It looks at shapes, never at lengths, which only the device knows: the same plan serves a captured graph.
#include <tenon/attention/paged_attention_policy.hpp>
#include <tenon/config.hpp>
#include <tenon/core/architecture.hpp>
#include <tenon/core/integer.hpp>

#include <cstddef>
#if !defined(__CUDACC_RTC__)
#  include <cstdio>
#  include <string>
#endif

namespace tenon {

/// What a plan is made for.
struct paged_attention_shape {
  index_t                 tokens = 0, requests = 0, kv_heads = 0;
  index_t                 capacity = 0;  // keys that a request can have: max_pages * page_size
  int                     chunk    = 0;  // paged_attention_options::chunk
  paged_attention_problem problem  = {};
};

/// What a plan may count on.
struct paged_attention_resources {
  architecture as;
  int          multiprocessors = 0;  // 0: those of the architecture's usual card
  std::size_t  workspace       = 0;  // bytes
  int          counters        = 0;  // words
};

struct paged_attention_plan {
  paged_attention_policy policy    = {};
  index_t                blocks    = 0;
  int                    unit      = 0;  // keys that are never cut apart; 0: no splits
  int                    least     = 1;  // units that a block takes at least
  index_t                slots     = 0;  // partial states
  std::size_t            workspace = 0;  // bytes
  index_t                counters  = 0;  // words

  friend constexpr bool operator==(paged_attention_plan const&, paged_attention_plan const&) = default;
};

#if !defined(__CUDACC_RTC__)
/// "matrix dim 128, 16 rows x 16 keys, 4 warps; 396 blocks, units of 64 keys, 3354624 bytes, 396 counters"
inline std::string to_string(paged_attention_plan const& p) {
  char const* const units[] = {"thread", "vector", "matrix"};
  char              text[200];
  int const         at = std::snprintf(text, sizeof text, "%s dim %d, %d rows x %d keys, %d warps; %lld blocks",
                                       units[static_cast<int>(p.policy.unit)], p.policy.dim, p.policy.rows, p.policy.keys,
                                       p.policy.warps, static_cast<long long>(p.blocks));
  if (p.unit > 0)
    std::snprintf(text + at, sizeof text - static_cast<std::size_t>(at), ", units of %d keys, %zu bytes, %lld counters",
                  p.unit, p.workspace, static_cast<long long>(p.counters));
  return text;
}
#endif

namespace attention_planning {

/// Bytes of one partial state of a block's rows: o, maximum, sum.
constexpr std::size_t state_bytes(paged_attention_policy const& p) {
  return static_cast<std::size_t>(p.rows) * static_cast<std::size_t>(p.dim + 2) * sizeof(float);
}

/// Blocks that one multiprocessor holds: by registers, and by shared memory with a kilobyte for each block and up to six for
/// what is beside the ring.
constexpr int residents(paged_attention_policy const& p, int k_bits, int v_bits, architecture as) {
  std::size_t const block = static_cast<std::size_t>(p.ring_bytes(k_bits, v_bits)) + 6144;
  return max(1, min(static_cast<int>((as.shared_bytes() + 1024) / block), p.residents(k_bits, v_bits)));
}

}  // namespace attention_planning

/// The plan of a call. Splits want memory for partial states and zeroed counters; without enough of either there are none.
/// With chunks, every chunk of every query tile has a slot of its own.
constexpr paged_attention_plan plan_paged_attention(paged_attention_shape const&     s,
                                                    paged_attention_resources const& have) {
  auto problem = s.problem;
  problem.invariant |= s.chunk > 0;
  paged_attention_plan plan;
  plan.policy         = choose_paged_attention_policy(have.as, problem);
  auto const&   p     = plan.policy;
  index_t const tiles = s.tokens * problem.group / p.rows + s.requests;  // query_tiles
  plan.blocks         = tiles * s.kv_heads;
  if (p.unit != attention_unit::matrix || s.capacity == 0) return plan;

  int const     multiprocessors = have.multiprocessors > 0 ? have.multiprocessors : have.as.multiprocessors();
  index_t const resident = multiprocessors * attention_planning::residents(p, problem.k_bits, problem.v_bits, have.as);
  auto const    state    = attention_planning::state_bytes(p);
  if (s.chunk > 0) {
    index_t const units = plan.blocks * (ceil_div(s.capacity, index_t{s.chunk}) + 1);
    plan.unit = s.chunk, plan.slots = plan.counters = units;
    plan.workspace = static_cast<std::size_t>(units) * state;
    plan.blocks    = min(resident, units);
    return plan;
  }
  if (problem.invariant) return plan;
  // A request's rows fill one tile: its keys are all there is to share out, and requests may differ much in them.
  bool const    one_tile = problem.max_query_length > 0 && problem.max_query_length * problem.group <= p.rows;
  index_t const units    = plan.blocks * (ceil_div(s.capacity, index_t{p.span()}) + 1);  // at most
  if (!one_tile && plan.blocks >= resident) return plan;
  index_t const room = min(static_cast<index_t>(have.workspace / (2 * state)), index_t{have.counters});
  index_t const most = min(min(resident, units), room);
  if (2 * most < min(resident, units)) return plan;  // too little for a fair share
  plan.unit = p.span(), plan.least = 4, plan.blocks = most, plan.slots = 2 * most, plan.counters = most;
  plan.workspace = static_cast<std::size_t>(plan.slots) * state;
  return plan;
}

}  // namespace tenon
