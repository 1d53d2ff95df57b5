#pragma once
//  The gain of a norm, and the bias of a LayerNorm, into the linear layers that read it, offline. The norm then only
//  normalises, which is what rotations, smoothing and pruning of the residual stream want.
//
//    W (g * n + beta) + b = W' n + b'
//    W'[i, j] = W[i, j] g[j]      b'[i] = b[i] + sum_j W[i, j] beta[j]      then g = 1, beta = 0
//
//  Every reader of the norm has to be among them: one that is left out (a router, a shared expert) reads a norm without
//  its gain, and the model is wrong without any error. So the caller counts the readers, and the count has to agree.
//
//  Ashkboos et al., "SliceGPT: Compress large language models by deleting rows and columns", 2024.
#include <tenon/compress/fold_report.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <type_traits>
#include <variant>
#include <vector>

namespace tenon {

/// A weight of any storage, to be changed: routers are often f32 where experts are bf16.
using fold_matrix =
    std::variant<tensor_view<float, 2>, tensor_view<double, 2>, tensor_view<f16, 2>, tensor_view<bf16, 2>>;
/// The same of a bias, which may be missing.
using fold_vector = std::variant<std::monostate, tensor_view<float, 1>, tensor_view<double, 1>, tensor_view<f16, 1>,
                                 tensor_view<bf16, 1>>;

/// A linear layer that reads a norm.
struct norm_consumer {
  fold_matrix w;             // (out, hidden); a weight that is stored (hidden, out) with its strides swapped
  fold_vector bias    = {};  // (out), or none
  index_t     readers = 1;   // places of the model that read this weight: 2 for a head that is tied to the embedding
};

struct fold_norm_gain_options {
  index_t consumers   = 0;      // to be given: how many layers of the model read this norm
  bool    unit_offset = false;  // the stored gain is w of g = 1 + w (Gemma), and becomes 0
};

namespace fold {

/// fold_norm_gain with a bias of the norm, or with one of no elements.
template <fold_element G, fold_element S>
status fold_norm(fold_report& report, std::span<norm_consumer const> consumers, tensor_view<G, 1> gain,
                 tensor_view<S, 1> shift, fold_norm_gain_options const& options) {
  constexpr char const* name   = "fold_norm_gain";
  index_t const         hidden = gain.extent[0], count = static_cast<index_t>(consumers.size());
  contract              c{name};
  c.require(options.consumers >= 1 && count == options.consumers, errc::shape_mismatch, "consumers", count,
            options.consumers);
  vector(c, gain, hidden, "gain", false);
  vector(c, shift, hidden, "bias", true);
  TENON_TRY(c.result);

  std::vector<double> g, beta;
  bool                shifts = false;
  for (index_t j = 0; j < hidden; ++j) {
    g.push_back(options.unit_offset ? 1 + number(gain(j)) : number(gain(j)));
    beta.push_back(number_or(0, shift, j));
    shifts = shifts || beta.back() != 0;
  }

  auto const address = [](auto const& v) -> void const* { return v.data; };
  for (index_t k = 0; k < count; ++k) {
    norm_consumer const& one = consumers[static_cast<std::size_t>(k)];
    std::visit(
        [&](auto const& w) {
          c.require(w.extent[1] == hidden, errc::shape_mismatch, "hidden of a consumer", k, count)
              .require(w.extent[0] >= 0, errc::out_of_range, "out of a consumer", k, count)
              .addressable(w, "w of a consumer");
          c.require(!shifts || !std::holds_alternative<std::monostate>(one.bias), errc::unsupported,
                    "bias of a consumer", k, count);
          std::visit(
              [&](auto const& b) {
                if constexpr (!std::is_same_v<decltype(b), std::monostate const&>)
                  c.require(b.extent[0] == w.extent[0], errc::shape_mismatch, "bias of a consumer", k, count)
                      .addressable(b, "bias of a consumer");
              },
              one.bias);
        },
        one.w);
    c.require(one.readers == 1, errc::unsupported, "readers of a consumer", k, one.readers);
    for (index_t before = 0; before < k; ++before)
      c.require(std::visit(address, one.w) == nullptr ||
                    std::visit(address, one.w) != std::visit(address, consumers[static_cast<std::size_t>(before)].w),
                errc::unsupported, "w of a consumer", k, before);
  }
  TENON_TRY(c.result);

  // Once to see that everything can be stored, once to store it.
  fold_report done;
  for (bool const write : {false, true})
    for (index_t k = 0; k < count; ++k) {
      norm_consumer const& one  = consumers[static_cast<std::size_t>(k)];
      auto const           rows = [&](auto const& w) -> status {
        using W = typename std::remove_cvref_t<decltype(w)>::element;
        for (index_t i = 0; i < w.extent[0]; ++i) {
          double sum = 0;
          for (index_t j = 0; j < hidden; ++j) {
            double const from = number(w(i, j)), by = g[static_cast<std::size_t>(j)];
            sum += from * beta[static_cast<std::size_t>(j)];
            W const to = rounded<W>(from * by);
            if (write) {
              w(i, j) = to;
              done.add(from * by, std::fma(from, by, -number(to)));
            } else if (!finite(to)) {
              return {errc::out_of_range, name, "w of a consumer", k, i};
            }
          }
          if (!shifts) continue;
          status const s = std::visit(
              [&](auto const& b) -> status {
                if constexpr (!std::is_same_v<decltype(b), std::monostate const&>) {
                  using B            = typename std::remove_cvref_t<decltype(b)>::element;
                  double const meant = number(b(i)) + sum;
                  B const      to    = rounded<B>(meant);
                  if (!write)
                    return finite(to) ? status{} : status{errc::out_of_range, name, "bias of a consumer", k, i};
                  b(i) = to;
                  done.add(meant, meant - number(to));
                }
                return {};
              },
              one.bias);
          TENON_TRY(s);
        }
        return {};
      };
      TENON_TRY(std::visit(rows, one.w));
    }
  for (index_t j = 0; j < hidden; ++j) gain(j) = rounded<G>(options.unit_offset ? 0 : 1);
  if constexpr (!std::is_const_v<S>)
    for (index_t j = 0; j < shift.extent[0]; ++j) shift(j) = rounded<S>(0);
  report = done;
  return {};
}

}  // namespace fold

/// W'[i, j] = W[i, j] g[j] in every consumer, and then g = 1
///
/// report     what rounding has changed: exact() where no number was rounded, as with gains that are powers of two;
///            lossy() where more was lost than an f32 loses, as with 16-bit weights. Written when the call succeeds
/// consumers  every layer that reads the norm, changed in place: w (out, hidden) f32 f64 f16 bf16, any strides, each of
///            its own
/// gain       (hidden)  f32 f64 f16 bf16; becomes 1, or 0 with unit_offset
/// options    consumers, the number of layers that read the norm; unit_offset
///
/// Who reads a norm: q, k and v (or q, and the down-projections of MLA), gates of gated attention; gate and up, the
/// router and the shared experts; the head for the last norm. A tied head has to be untied first (copied), or the
/// embedding is scaled too.
///
/// Arithmetic  double, rounded once to the element of each weight.
/// Cost        two passes over the weights, the first of which only checks; vectors of length hidden.
/// Errors      shape_mismatch(consumers: `got` are listed, `want` were counted), out_of_range(gain: the first that is
///             not finite), misaligned. Of a consumer, with its place in the list as `got`: unsupported(readers: it has
///             `want`, as a tied head; w: listed before, at `want`), shape_mismatch(hidden), out_of_range(out; w:
///             `want` is the row of the first result that its storage cannot hold). Nothing is written then.
/// Test tests/compress/fold_norm_gain_test.cpp.   Page docs/operators/folds.md.
template <fold_element G>
requires(!std::is_const_v<G>) status fold_norm_gain(fold_report& report, std::span<norm_consumer const> consumers,
                                                    tensor_view<G, 1> gain, fold_norm_gain_options const& options) {
  return fold::fold_norm(report, consumers, gain, no_bias, options);
}

/// The same for a LayerNorm with a bias beta: b'[i] = b[i] + sum_j W[i, j] beta[j], too, and then beta = 0
///
/// bias  (hidden)  f32 f64 f16 bf16; becomes 0. Consumers need a bias (out) of their own, unless it is 0 everywhere
///
/// Arithmetic  sums by ascending j in double.
/// Errors      also of the bias of a consumer: unsupported(it has none), shape_mismatch, out_of_range; and of bias, as
///             of gain.
/// Test tests/compress/fold_norm_gain_test.cpp.   Page docs/operators/folds.md.
template <fold_element G, fold_element S>
requires(!std::is_const_v<G> && !std::is_const_v<S>) status
    fold_norm_gain(fold_report& report, std::span<norm_consumer const> consumers, tensor_view<G, 1> gain,
                   tensor_view<S, 1> bias, fold_norm_gain_options const& options) {
  return fold::fold_norm(report, consumers, gain, bias, options);
}

}  // namespace tenon
