#pragma once
//  Products with packed weights of the benchmark. Bytes: a with its scales and the packed weight once, d once. The weights
//  are random codes and scales, drawn where they lie: nothing is quantised or packed.
#include <tenon/gemm/packed_gemm.hpp>
#include <tenon/quant/pack_weight.hpp>

#include <type_traits>
#include <utility>

#include "product.hpp"

namespace bench {

/// Random codes of a layout, and scales that are finite.
inline void fill_packed(std::byte* to, tenon::packed_layout const& l, std::uint32_t seed) {
  if (l.code == tenon::weight_code::fp8) fill(to, l.atoms_bytes(), seed, any_e4m3{});
  else fill(to, l.atoms_bytes(), seed, any_byte<std::byte>{});
  std::byte* const scales = to + l.scales_offset();
  if (l.scales == tenon::scale_kind::group)
    fill(reinterpret_cast<tenon::f16*>(scales), l.scales_bytes() / 2, seed + 1, any_scale<tenon::f16>{});
  else fill(reinterpret_cast<float*>(scales), l.scales_bytes() / 4, seed + 1, any_scale<float>{});
  if (l.zero_points) fill(to + l.zeros_offset(), l.bytes() - l.zeros_offset(), seed + 2, any_byte<std::byte>{15});
}

/// A packed weight of this layout, one for all formats that have it.
inline std::byte* packed_operand(arena& memory, tenon::packed_layout const& l, int set) {
  std::string const name = numbered(to_string(l), set);
  auto const        seed = static_cast<std::uint32_t>(std::hash<std::string>{}(name));
  return memory.operand<std::byte>(name, l.bytes(), [&](std::byte* to) { fill_packed(to, l, seed); });
}

template <class D, class A, class Weight>
struct packed_operands {
  tenon::tensor_view<D, 2>           d;
  tenon::tensor_view<A, 2>           a;
  tenon::tensor_view<float const, 2> scales;
  Weight                             b;
};

/// d (m, n) = a (m, k) w (n, k)^T, d in bf16; `input_group` columns share a scale of a (8-bit inputs), 0: a whole row.
template <class A, tenon::weight_code Code, tenon::scale_kind Scales, bool Gated = false>
product packed_product(arena& memory, layer const& l, index_t m, bool every_plan, tenon::weight_format const& format,
                       int input_group = 0) {
  using D                            = tenon::bf16;
  constexpr auto order               = tenon::pack_order_for<A>;
  using weight                       = tenon::packed_weight<Code, Scales, order>;
  index_t const              columns = Gated ? l.n / 2 : l.n, rows = Gated ? tenon::paired_rows(columns) : l.n;
  tenon::packed_layout const layout = tenon::packed_layout_of(format, rows, l.k, order);
  index_t const              groups = sizeof(A) == 1 ? tenon::row_scales(l.k, input_group) : 0;
  using Epilogue                    = std::conditional_t<Gated, decltype(tenon::epilogue::swiglu()), tenon::identity>;
  product p;
  p.weight_bytes = layout.bytes();
  p.moved        = {.bytes = p.weight_bytes + static_cast<index_t>(sizeof(D)) * m * columns +
                             static_cast<index_t>(sizeof(A)) * m * l.k + 4 * m * groups,
                    .operations = 2 * m * rows * l.k};
  p.sets         = sets_of(p.moved.bytes);
  std::vector<packed_operands<D, A, weight>> operands;
  for (int set = 0; set < p.sets; ++set) {
    std::byte* const data = packed_operand(memory, layout, set);
    auto const       seed = static_cast<std::uint32_t>(set);
    A*               a    = nullptr;
    if constexpr (std::is_same_v<A, tenon::e4m3>)
      a = memory.operand<A>(numbered("a e4m3", set), m * l.k,
                            [&](A* to) { fill(reinterpret_cast<std::byte*>(to), m * l.k, seed + 3, any_e4m3{}); });
    else if constexpr (sizeof(A) == 1)
      a = memory.operand<A>(numbered("a int8", set), m * l.k,
                            [&](A* to) { fill(to, m * l.k, seed + 3, any_byte<A>{}); });
    else a = dense_operand<A>(memory, "a", m, l.k, set, 1.f);
    float const* const scales =
        groups == 0 ? nullptr
                    : memory.operand<float>(numbered(std::to_string(groups) + " scales", set), m * groups,
                                            [&](float* to) { fill(to, m * groups, seed + 4, any_scale<float>{}); });
    operands.push_back({tenon::dense(output_operand<D>(memory, m, columns, set), m, columns), tenon::dense(a, m, l.k),
                        tenon::dense(scales, m, groups), weight{layout, data}});
  }
  auto const add = [&](std::string const& name, tenon::packed_gemm_options const& options) {
    p.ways.push_back({name, [operands, options, input_group](tenon::context const& where, int set) {
                        auto const& o = operands[static_cast<std::size_t>(set)];
                        (void)input_group;
                        if constexpr (sizeof(A) == 1)
                          return tenon::gemm(where, o.d, tenon::quantized_rows<A>{o.a, o.scales, input_group}, o.b,
                                             options, Epilogue{});
                        else return tenon::gemm(where, o.d, o.a, o.b, options, Epilogue{});
                      }});
  };
  add("", {});
  if (every_plan)
    for (auto const& policy : tenon::packed_gemm_menu)
      for (int const splits : {1, 2, 4, 8, 16}) {
        if (policy.on_host() == TENON_CUDA || (splits > 1 && policy.on_host())) continue;
        tenon::packed_gemm_options options;
        options.plan         = tenon::packed_gemm_plan{};
        options.plan->policy = policy, options.plan->splits = splits;
        add(to_string(policy) + "; splits " + std::to_string(splits), options);
      }
  p.plan = [shape = tenon::packed_gemm_shape{.b           = layout,
                                             .m           = m,
                                             .input_bytes = sizeof(A),
                                             .epilogue    = tenon::needs_of<tenon::epilogue::pipeline_of<Epilogue>>()}](
               tenon::context const& where) {
    return to_string(tenon::plan_packed_gemm(shape, {.as              = {where.arch},
                                                     .multiprocessors = where.multiprocessors,
                                                     .workspace       = where.workspace.size,
                                                     .counters        = where.counters.size,
                                                     .batch_invariant = where.batch_invariant}));
  };
  return p;
}

}  // namespace bench
