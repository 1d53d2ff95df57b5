#pragma once
//  Dense products of the benchmark. Bytes: a and b once, d once. Operations: 2 m n k.
#include <tenon/gemm/gemm.hpp>

#include <type_traits>
#include <utility>

#include "product.hpp"

namespace bench {

template <class T>
struct dense_operands {
  tenon::tensor_view<T, 2> d, a, b;
};

/// d (m, n) = a (m, k) b (n, k)^T; gated: d (m, n / 2) = silu(gate) * up.
template <class T, bool Gated>
product dense_product(arena& memory, layer const& l, index_t m, bool every_plan, bool allow_tf32 = false) {
  index_t const columns = Gated ? l.n / 2 : l.n, rows = Gated ? tenon::paired_rows(columns) : l.n;
  using Epilogue = std::conditional_t<Gated, decltype(tenon::epilogue::swiglu()), tenon::identity>;
  product p;
  p.weight_bytes = static_cast<index_t>(sizeof(T)) * rows * l.k;
  p.moved        = {.bytes      = p.weight_bytes + static_cast<index_t>(sizeof(T)) * (m * columns + m * l.k),
                    .operations = 2 * m * rows * l.k};
  p.sets         = sets_of(p.moved.bytes);
  std::vector<dense_operands<T>> operands;
  for (int set = 0; set < p.sets; ++set)
    operands.push_back({tenon::dense(output_operand<T>(memory, m, columns, set), m, columns),
                        tenon::dense(dense_operand<T>(memory, "a", m, l.k, set, 1.f), m, l.k),
                        tenon::dense(dense_operand<T>(memory, "b", rows, l.k, set, 0.05f), rows, l.k)});
  auto const add = [&](std::string const& name, tenon::gemm_options const& options) {
    p.ways.push_back({name, [operands, options](tenon::context const& where, int set) {
                        auto const& o = operands[static_cast<std::size_t>(set)];
                        return tenon::gemm(where, o.d, o.a, o.b, options, Epilogue{});
                      }});
  };
  tenon::gemm_options options;
  options.allow_tf32 = allow_tf32;
  add("", options);
  if (every_plan)
    for (auto const& policy : tenon::gemm_menu)
      for (int const splits : {1, 2, 4, 8, 16}) {
        bool const may_split = policy.kind == tenon::gemm_kind::mma || policy.kind == tenon::gemm_kind::tile;
        if (policy.on_host() == TENON_CUDA || (splits > 1 && !may_split)) continue;
        options.plan         = tenon::gemm_plan{};
        options.plan->policy = policy, options.plan->splits = splits;
        add(to_string(policy) + "; splits " + std::to_string(splits), options);
      }
  p.plan = [shape = tenon::gemm_shape{.m             = m,
                                      .n             = columns,
                                      .k             = l.k,
                                      .element_bytes = sizeof(T),
                                      .tf32          = allow_tf32,
                                      .epilogue      = tenon::needs_of<tenon::epilogue::pipeline_of<Epilogue>>()}](
               tenon::context const& where) {
    return to_string(tenon::plan_gemm(shape, {.as              = {where.arch},
                                              .multiprocessors = where.multiprocessors,
                                              .batch_invariant = where.batch_invariant,
                                              .workspace       = where.workspace.size,
                                              .counters        = where.counters.size}));
  };
  return p;
}

}  // namespace bench
