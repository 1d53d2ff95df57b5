//  Operators one by one and in one launch, and cheaper forms of GELU.
#include <tenon/arch/arch.cuh>
#include <tenon/core/throw_if.hpp>
#include <tenon/gemm/gemm.hpp>
#include <tenon/gemm/interleave.hpp>
#include <tenon/norm/add_rms_norm.hpp>
#include <tenon/norm/rms_norm.hpp>
#include <tenon/op/gelu_forms.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "engine/tour/seeded_values.hpp"
#include "engine/tour/stops.hpp"
#include "engine/tour/timing.hpp"

namespace tenon::engine::tour {

namespace {

// What the library has only as a part of other operators, as kernels of one row per block.
struct add_params {
  tensor_view<float, 2>       y;
  tensor_view<float const, 2> x;
};
__global__ void add_rows(add_params const p) {  // y += x
  float*       y = &p.y(blockIdx.x, 0);
  float const* x = &p.x(blockIdx.x, 0);
  for (index_t j = 0; j < p.y.extent[1]; ++j) y[j] += x[j];
}
struct gate_params {
  tensor_view<float, 2>       y;   // (tokens, n)
  tensor_view<float const, 2> gu;  // (tokens, 2 n): gates, then ups
};
__global__ void gate_rows(gate_params const p) {  // y = silu(gate) up
  float*        y  = &p.y(blockIdx.x, 0);
  float const*  gu = &p.gu(blockIdx.x, 0);
  index_t const n  = p.y.extent[1];
  for (index_t j = 0; j < n; ++j) y[j] = silu(gu[j]) * gu[n + j];
}
arch::launch_shape rows_of(index_t rows, index_t columns) {
  return {.grid           = static_cast<unsigned>(rows),
          .block          = 1,
          .shared_bytes   = 0,
          .work_per_block = static_cast<double>(columns)};
}

double largest_difference(std::vector<float> const& a, std::vector<float> const& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return worst;
}

/// What both ways move in memory, what they differ by, and what they take.
struct comparison {
  index_t bytes_apart = 0, bytes_fused = 0;
  double  difference = 0, times = 0;
};

comparison add_and_norm(context const& where) {
  constexpr index_t tokens = 512, hidden = 4096;
  auto const        x = normal_values(tokens * hidden, 1), before = normal_values(tokens * hidden, 2),
             weight        = normal_values(hidden, 3);
  std::vector<float> apart = before, fused = before, y_apart(x.size()), y_fused(x.size());
  auto const         view = [](auto& v) { return dense(v.data(), tokens, hidden); };
  auto const         gain = dense(weight.data(), hidden);
  auto const         one  = [&] {
    throw_if(arch::launch("add_rows", where, rows_of(tokens, hidden), add_rows, add_params{view(apart), view(x)}));
    throw_if(rms_norm(where, view(y_apart), as_const(view(apart)), gain));
  };
  auto const other = [&] { throw_if(add_rms_norm(where, view(y_fused), view(fused), view(x), gain)); };
  one(), other();
  comparison c;
  c.difference          = largest_difference(y_apart, y_fused);
  auto const    seconds = seconds_in_turns(9, {one, other});
  index_t const all     = tokens * hidden * static_cast<index_t>(sizeof(float));
  c.bytes_apart = 5 * all, c.bytes_fused = 4 * all;  // x, residual twice, and y; the sum is read again
  c.times = seconds[0] / seconds[1];
  return c;
}

comparison gated_product(context const& where) {
  constexpr index_t tokens = 512, k = 192, n = 512;  // the MLP of the repository's model
  auto const x = normal_values(tokens * k, 1), gate = normal_values(n * k, 2, .1), up = normal_values(n * k, 3, .1);
  std::vector<float> stacked = gate, pairs(2 * gate.size());
  stacked.insert(stacked.end(), up.begin(), up.end());
  throw_if(interleave(dense(pairs.data(), paired_rows(n), k), dense(gate.data(), n, k), dense(up.data(), n, k)));
  std::vector<float> both(2 * tokens * n), y_apart(tokens * n), y_fused(tokens * n);
  auto const         a   = dense(x.data(), tokens, k);
  auto const         one = [&] {
    auto const gu = dense(both.data(), tokens, 2 * n);
    throw_if(gemm(where, gu, a, dense<float const>(stacked.data(), 2 * n, k)));
    throw_if(arch::launch("gate_rows", where, rows_of(tokens, n), gate_rows,
                                  gate_params{dense(y_apart.data(), tokens, n), as_const(gu)}));
  };
  auto const other = [&] {
    throw_if(gemm(where, dense(y_fused.data(), tokens, n), a, dense<float const>(pairs.data(), 2 * n, k), {},
                  epilogue::swiglu()));
  };
  one(), other();
  comparison c;
  c.difference       = largest_difference(y_apart, y_fused);
  auto const seconds = seconds_in_turns(9, {one, other});
  auto const element = static_cast<index_t>(sizeof(float)), operands = (tokens * k + 2 * n * k) * element;
  c.bytes_apart = operands + 5 * tokens * n * element;  // gates and ups out and in, y
  c.bytes_fused = operands + tokens * n * element;
  c.times       = seconds[0] / seconds[1];
  return c;
}

struct gelu_form {
  char const* name;
  float (*of)(float);
  void (*all)(std::vector<float>&, std::vector<float> const&);
};
template <float (*Form)(float)>
constexpr gelu_form form(char const* name) {
  return {name, Form, [](std::vector<float>& y, std::vector<float> const& x) {
            for (std::size_t i = 0; i < x.size(); ++i) y[i] = Form(x[i]);
          }};
}
constexpr gelu_form gelu_forms[] = {form<gelu_erf>("gelu_erf"),
                                    form<gelu_as_7_1_26>("gelu_as_7_1_26"),
                                    form<gelu_poly_14>("gelu_poly_14"),
                                    form<gelu_poly_12>("gelu_poly_12"),
                                    form<gelu_tanh_retuned>("gelu_tanh_retuned"),
                                    form<gelu_tanh>("gelu_tanh"),
                                    form<gelu_quick_retuned>("gelu_quick_retuned"),
                                    form<gelu_quick>("gelu_quick")};

void forms_of_gelu(findings& f) {
  auto const                         x = normal_values(1 << 16, 1);
  std::vector<float>                 y(x.size());
  std::vector<std::function<void()>> ways;
  table& t = f.add_table(figures::exact, {"GELU in f32", "largest error in [-10, 10]", "at x"});
  for (gelu_form const& g : gelu_forms) {
    double worst = 0, at = 0;
    for (int i = -10'000; i <= 10'000; ++i) {
      auto const   v     = static_cast<float>(i * 1e-3);
      double const exact = .5 * static_cast<double>(v) * std::erfc(-static_cast<double>(v) * std::sqrt(.5));
      double const e     = std::fabs(static_cast<double>(g.of(v)) - exact);
      if (e > worst) worst = e, at = static_cast<double>(v);
    }
    // Errors of rounding have their largest somewhere, and elsewhere with another compiler.
    t.rows.push_back({g.name, error_size(worst), worst > 1e-5 ? number("%.2f", at) : ""});
    ways.push_back([&x, &y, &g] { g.all(y, x); });
  }
  auto const seconds = seconds_in_turns(15, ways);
  table&     u       = f.add_table(figures::timed, {"GELU in f32, on this CPU", "times as fast as gelu_erf"});
  for (std::size_t i = 1; i < seconds.size(); ++i)
    u.rows.push_back({gelu_forms[i].name, number("%.1f", seconds[0] / seconds[i])});
}

}  // namespace

void visit_fusion(guide& g, findings& f) {
  context where;
  where.threads         = g.threads();
  comparison const norm = add_and_norm(where), gated = gated_product(where);
  table&           t = f.add_table(figures::exact, {"operators", "bytes, one by one", "fused", "largest difference"});
  table&           u = f.add_table(figures::timed, {"operators", "one by one, times the fused one"});
  for (auto const& [name, c] :
       {std::pair{"residual + RMSNorm, 512 x 4,096", &norm}, {"gate and up + SwiGLU, 512 x 192 x 512", &gated}}) {
    t.rows.push_back({name, number(c->bytes_apart), number(c->bytes_fused), error_size(c->difference)});
    u.rows.push_back({name, number("%.2f", c->times)});
  }
  forms_of_gelu(f);
}

}  // namespace tenon::engine::tour
