#pragma once
//  A RepVGG block as one convolution, offline: what is trained as up to three branches is run as one k x k kernel.
//
//    y = norm_k(conv_kxk(x)) + norm_1(conv_1x1(x)) + norm_0(x)
//    w'[o, i, r, c] = s_k[o] w_k[o, i, r, c] + at the centre: s_1[o] w_1[o, i] + where i is o's own input: s_0[o]
//    b'[o]          = the sum of the branches' biases, each folded with its BatchNorm
//
//  A 1x1 kernel is a k x k one with zeros around it, and the identity one that has a single 1. An input is numbered
//  within its group, so o's own input is o mod (in / groups).
//
//  Ding et al., "RepVGG: Making VGG-style ConvNets great again", 2021.
#include <tenon/compress/fold_batch_norm.hpp>
#include <tenon/compress/fold_report.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace tenon {

/// In what order the axes of a convolution's weight are stored; `in` counts the inputs of one group.
enum class conv_weight_order : std::uint8_t {
  oihw,  // (out, in, height, width)   PyTorch
  ohwi,  // (out, height, width, in)   channels last: rows of an im2col GEMM
};

/// A weight of either order as (out, in, height, width), without moving anything.
template <class W>
constexpr tensor_view<W, 4> as_oihw(tensor_view<W, 4> const& w, conv_weight_order order) {
  if (order == conv_weight_order::oihw) return w;
  return {w.data,
          {w.extent[0], w.extent[3], w.extent[1], w.extent[2]},
          {w.stride[0], w.stride[3], w.stride[1], w.stride[2]}};
}

/// A convolution and the BatchNorm behind it.
template <class W = float, class N = W>
struct conv_branch {
  tensor_view<W const, 4> w;
  tensor_view<N const, 1> bias = {};  // (out), or none
  batch_norm<N>           norm = {};  // of out channels
};

/// What a block is made of; any branch may be missing, but not all. Every weight is in the same order of axes.
template <class W = float, class N = W>
struct rep_vgg_block {
  std::optional<conv_branch<W, N>> spatial   = {};  // k x k, padded by k / 2
  std::optional<conv_branch<W, N>> pointwise = {};  // 1 x 1, without padding
  std::optional<batch_norm<N>>     identity  = {};  // only where in == out and stride == 1
  index_t                          groups    = 1;
  index_t                          stride    = 1;  // is not folded, but decides whether an identity is possible
  conv_weight_order                order     = conv_weight_order::oihw;
};

/// One convolution that computes what the block does, with its stride and groups, padded by k / 2: w_out and bias_out
///
/// w_out     (out, in / groups, k, k), or in the order that the block names   f32 f64 f16 bf16, any strides; k odd. The
///           spatial branch's weight itself, or memory that overlaps no input
/// bias_out  (out)                    f32 f64 f16 bf16; always written
/// block     spatial.w as w_out; pointwise.w (out, in / groups, 1, 1) in that order; BatchNorms of out channels
///
/// Arithmetic  double, the sum of all branches rounded once to the element of w_out and of bias_out.
/// Cost        two passes over w_out, the first of which only checks; a few vectors of length out.
/// Errors      unsupported(block: no branch; kernel: not square or even, which has no centre; identity: `got` inputs
///             are not `want` outputs; stride: not 1 beside an identity), shape_mismatch, misaligned, and those of
///             fold_batch_norm, where `subject` is that of the branch: "spatial", "pointwise", "identity". Nothing is
///             written then.
/// Test tests/compress/fold_rep_vgg_test.cpp.   Page docs/operators/folds.md.
template <fold_element To, fold_element B, fold_element W, fold_element N>
status fold_rep_vgg(tensor_view<To, 4> w_out, tensor_view<B, 1> bias_out, rep_vgg_block<W, N> const& block) {
  constexpr char const* name = "fold_rep_vgg";
  auto const            to   = as_oihw(w_out, block.order);
  index_t const         out = to.extent[0], ins = to.extent[1], kernel = to.extent[2];
  contract              c{name};
  for (index_t const e : to.extent) c.require(e >= 0, errc::out_of_range, "w_out", e, 0);
  c.require(block.spatial || block.pointwise || block.identity, errc::unsupported, "block")
      .require(to.extent[3] == kernel, errc::unsupported, "kernel", to.extent[3], kernel)
      .require(kernel % 2 == 1, errc::unsupported, "kernel", kernel, 3)
      .require(block.groups >= 1, errc::out_of_range, "groups", block.groups, 1)
      .require(block.groups <= max(out, index_t{1}), errc::out_of_range, "groups", block.groups, out)
      .require(block.stride >= 1, errc::out_of_range, "stride", block.stride, 1)
      .require(block.groups < 1 || out % block.groups == 0, errc::shape_mismatch, "groups", out, block.groups)
      .require(bias_out.extent[0] == out, errc::shape_mismatch, "bias_out", bias_out.extent[0], out)
      .addressable(w_out, "w_out")
      .addressable(bias_out, "bias_out");
  TENON_TRY(c.result);

  // Each branch: its weight, and its BatchNorm as a scale and a bias.
  tensor_view<W const, 4> spatial, pointwise;
  std::vector<double>     spatial_scale, pointwise_scale, identity_scale, bias(static_cast<std::size_t>(out), 0.);
  auto const              add = [&](char const* branch, std::vector<double>& scale, tensor_view<N const, 1> const& b,
                       batch_norm<N> const& norm) -> status {
    contract of{name};
    fold::vector(of, b, out, branch, true);
    TENON_TRY(of.result);
    fold::scaled_shift s;
    if (status bad = fold::read_batch_norm(name, s, norm, out); !bad.ok()) {
      bad.subject = branch;
      return bad;
    }
    for (std::size_t o = 0; o < bias.size(); ++o) bias[o] += s.of(o, fold::number_or(0, b, static_cast<index_t>(o)));
    scale = std::move(s.scale);
    return {};
  };
  if (block.spatial) {
    spatial = as_oihw(block.spatial->w, block.order);
    fold::same_shape(c, spatial, to, "spatial").addressable(spatial, "spatial");
    TENON_TRY(c.result);
    TENON_TRY(add("spatial", spatial_scale, block.spatial->bias, block.spatial->norm));
  }
  if (block.pointwise) {
    pointwise = as_oihw(block.pointwise->w, block.order);
    c.require(pointwise.extent[0] == out, errc::shape_mismatch, "pointwise", pointwise.extent[0], out)
        .require(pointwise.extent[1] == ins, errc::shape_mismatch, "pointwise", pointwise.extent[1], ins)
        .require(pointwise.extent[2] == 1, errc::shape_mismatch, "pointwise", pointwise.extent[2], 1)
        .require(pointwise.extent[3] == 1, errc::shape_mismatch, "pointwise", pointwise.extent[3], 1)
        .addressable(pointwise, "pointwise");
    TENON_TRY(c.result);
    TENON_TRY(add("pointwise", pointwise_scale, block.pointwise->bias, block.pointwise->norm));
  }
  if (block.identity) {
    c.require(ins * block.groups == out, errc::unsupported, "identity", ins * block.groups, out)
        .require(block.stride == 1, errc::unsupported, "stride", block.stride, 1);
    TENON_TRY(c.result);
    TENON_TRY(add("identity", identity_scale, {}, *block.identity));
  }

  index_t const centre  = kernel / 2;
  auto const    w_value = [&](index_t const* i) {
    auto const o   = static_cast<std::size_t>(i[0]);
    double     sum = block.spatial ? spatial_scale[o] * fold::number(fold::at(spatial, i)) : 0.;
    if (i[2] != centre || i[3] != centre) return sum;
    if (block.pointwise) sum += pointwise_scale[o] * fold::number(pointwise(i[0], i[1], 0, 0));
    if (block.identity && i[1] == i[0] % ins) sum += identity_scale[o];
    return sum;
  };
  return fold::store_layer(name, to, w_value, bias_out, bias);
}

}  // namespace tenon
