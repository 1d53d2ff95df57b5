//  Products with packed weights in two steps: the weight as a dense matrix in the workspace, then a dense product
//  (bench/gemm/main.cpp measures them). Bytes are those that one step needs: what the first step writes is its own loss.
#include <tenon/gemm/dequantized_gemm.hpp>

#include "packed.hpp"

#if TENON_CUDA  // on the host one step is always planned

namespace {

using tenon::bf16, tenon::index_t, tenon::scale_kind, tenon::weight_code;

template <weight_code Code, scale_kind Scales>
bench::product two_steps(bench::arena& memory, bench::layer const& l, index_t m, tenon::weight_format const& format) {
  using weight      = tenon::packed_weight<Code, Scales, tenon::pack_order::pairs>;
  auto const layout = tenon::packed_layout_of(format, l.n, l.k, tenon::pack_order::pairs);

  bench::product p;
  p.weight_bytes  = layout.bytes();
  p.moved         = {.bytes = p.weight_bytes + 2 * m * (l.n + l.k), .operations = 2 * m * l.n * l.k};
  p.sets          = bench::sets_of(p.moved.bytes);
  auto const plan = [layout, m](tenon::context const& where) {
    return tenon::plan_two_steps({.b = layout, .m = m}, {.as              = {where.arch},
                                                         .multiprocessors = where.multiprocessors,
                                                         .workspace       = where.workspace.size,
                                                         .counters        = where.counters.size});
  };
  std::vector<bench::packed_operands<bf16, bf16, weight>> operands;
  for (int set = 0; set < p.sets; ++set)
    operands.push_back({tenon::dense(bench::output_operand<bf16>(memory, m, l.n, set), m, l.n),
                        tenon::dense(bench::dense_operand<bf16>(memory, "a", m, l.k, set, 1.f), m, l.k),
                        {},
                        weight{layout, bench::packed_operand(memory, layout, set)}});
  p.ways.push_back({"", [operands, plan](tenon::context const& where, int set) -> tenon::status {
                      auto const&                o = operands[static_cast<std::size_t>(set)];
                      tenon::packed_gemm_options options;
                      options.plan = plan(where);
                      if (!options.plan->two_steps) return {tenon::errc::workspace_too_small, "bench", "workspace"};
                      return tenon::dequantized_gemm(where, o.d, o.a, o.b, options);
                    }});
  p.plan = [plan](tenon::context const& where) { return to_string(plan(where)); };
  return p;
}

}  // namespace

void bench::add_two_step_formats(std::vector<format>& to) {
  to.push_back(
      {"w4a16 g128 two steps", "bf16", "bf16", 1, false,
       [](arena& memory, layer const& l, index_t m, bool) {
         return two_steps<weight_code::int4, scale_kind::group>(memory, l, m, {weight_code::int4, 128, 1, false});
       },
       128});
  to.push_back({"w8a16 two steps", "bf16", "bf16", 1, false,
                [](arena& memory, layer const& l, index_t m, bool) {
                  return two_steps<weight_code::int8, scale_kind::row>(memory, l, m, {weight_code::int8, 0, 1, false});
                },
                128});
}

#else
void bench::add_two_step_formats(std::vector<format>&) {}
#endif
