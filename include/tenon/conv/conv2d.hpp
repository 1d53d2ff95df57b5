#pragma once
//  Two-dimensional convolution with a fused epilogue, as a dense product over pixels.
#include <tenon/arch/arch.cuh>
#include <tenon/conv/conv2d_lanes_kernel.cuh>
#include <tenon/conv/conv2d_options.hpp>
#include <tenon/conv/conv2d_params.hpp>
#include <tenon/conv/conv2d_policy.hpp>
#include <tenon/conv/conv2d_tiled_kernel.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/gemm/gemm.hpp>
#include <tenon/op/epilogue.hpp>

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>

namespace tenon {

/// Elements that conv2d multiplies.
template <class T>
concept conv2d_element = gemm_element<T> || std::same_as<T, std::int8_t>;

/// Elements of y for elements T of x: those of x, or f32, or for int8 also f16 and bf16; int8 saturates.
template <class D, class T>
concept conv2d_result = std::same_as<D, T> || std::same_as<D, float> || std::same_as<D, std::int8_t> ||
    (std::same_as<T, std::int8_t> && (std::same_as<D, f16> || std::same_as<D, bf16>));

}  // namespace tenon

namespace tenon::inline TENON_TARGET {

namespace detail {

/// The product of those extents that are not 0, or the largest index_t where it would be more.
template <std::same_as<index_t>... Extent>
constexpr index_t product_of(Extent... extent) {
  constexpr index_t most    = std::numeric_limits<index_t>::max();
  index_t           product = 1;
  ((product = extent <= most / product ? product * max<index_t>(extent, 1) : most), ...);
  return product;
}

/// The last axis and, as one, all before it; nothing where those are not one run of equal steps.
template <class T>
constexpr std::optional<tensor_view<T, 2>> as_pixels(tensor_view<T, 4> const& v) {
  index_t step = 0, count = 1;
  for (int axis = 3; axis-- > 0 && count > 0; count *= v.extent[axis]) {
    if (v.extent[axis] <= 1) continue;
    if (count == 1) step = v.stride[axis];
    else if (v.stride[axis] % count != 0 || v.stride[axis] / count != step) return std::nullopt;
  }
  return tensor_view<T, 2>{v.data, {count, v.extent[3]}, {step, v.stride[3]}};
}

template <class Policy, class D, class T, class Pipeline>
status launch_conv2d(conv2d_params<D, T, Pipeline> const& params, context const& where) {
  constexpr gemm_policy policy = Policy::value;
  if constexpr (!conv2d_runs(policy, sizeof(T), needs_of<Pipeline>())) {
    return {errc::unsupported, "conv2d", "policy"};  // not with these elements, or not with this epilogue
  } else {
    double const work =
        gemm_block_work<Policy, Pipeline>(params.product.d.extent[0], params.group_columns, params.depth);
    auto const launch = [&](void (*kernel)(conv2d_params<D, T, Pipeline> const), std::size_t shared_bytes) {
      return arch::launch("conv2d", where,
                          {.grid           = static_cast<unsigned>(params.product.tiles),
                           .block          = static_cast<unsigned>(policy.threads),
                           .shared_bytes   = shared_bytes,
                           .work_per_block = work},
                          kernel, params);
    };
    if constexpr (policy.kind == gemm_kind::lanes) {
      return launch(kernel::conv2d_lanes<Policy, D, T, Pipeline>, 0);
    } else {
      static_assert(sizeof(kernel::gemm_end_storage<Policy, Pipeline>) <= policy.ring_bytes());
      static_assert(sizeof(kernel::conv2d_storage<Policy, T>) == conv2d_shared_bytes(policy));
      return launch(kernel::conv2d_tiled<Policy, D, T, Pipeline>, sizeof(kernel::conv2d_storage<Policy, T>));
    }
  }
}

}  // namespace detail

/// y[b,i,j,o] = epilogue(sum_{p,q,c} w[o,p,q,c] x[b, i stride_h - padding_h + p dilation_h,
///                                                   j stride_w - padding_w + q dilation_w, first(o) + c])
/// with x = 0 outside its pixels, and first(o) = (o / (out_channels / groups)) (in_channels / groups)
///
/// y       (batch, out_height, out_width, out_channels)      that of x, f32, int8   pixels equal steps apart, channels any
///                                                           of int8 x also f16 bf16
/// x       (batch, height, width, in_channels)               T: f32 f16 bf16 int8   channels contiguous, else any strides
/// w       (out_channels, kernel_h, kernel_w, in_channels / groups)   T             dense but for the distance of its first
///         axis; with a pairwise epilogue paired_rows(out_channels) rows (gemm/interleave.hpp)
/// options stride, padding, dilation, groups; policy: one of conv2d_menu
/// epilogue(v, row, column)  fp32 -> fp32 as of gemm, row = (b out_height + i) out_width + j, column = o, called once per
///                           element of y, order unspecified. Batch norm of a trained model: scale_shift_columns.
///                           Stages that look along a row need groups of whole segments, pairs one group.
///
/// Arithmetic  products and sums in fp32 (f32 is true fp32); int8 in int32, exact, then rounded to fp32; one rounding to y. The
///             order of an element's sum depends on the kind of kernel and kernel_h kernel_w in_channels / groups alone, so an
///             image has the same bits in any batch (1 x 1: where context.batch_invariant, as gemm), and every run the same.
/// Cost        2 pixels(y) out_channels kernel_h kernel_w in_channels / groups operations; x is never copied into a matrix; no
///             workspace. Fast on a GPU where in_channels / groups fills chunks of 16 bytes and rows start on 16 bytes;
///             anything else takes element loads. Each group has tiles of its own: few channels per group waste them.
///             1 x 1, stride 1, no padding, one group, not int8: gemm.
/// Errors      shape_mismatch(batch, out_height, out_width, out_channels, in_channels, rows of w), out_of_range(any extent or
///             option of 2^31 or more; kernel_h, kernel_w, stride, dilation, groups below 1; padding below 0; pixels of y,
///             elements of a row of w, x, w, blocks: too many), bad_stride(x, y, w), misaligned(x, y, w), unsupported(policy;
///             policy.wide: not for these strides; groups: with this epilogue).
/// Range       pixels of y and of padded x along an axis < 2^31; int8: kernel_h kernel_w in_channels / groups < 2^17. Empty
///             extents are fine, and an image smaller than the kernel has no pixels of y.
/// Source      Chetlur et al., "cuDNN: efficient primitives for deep learning", 2014.
/// Test tests/conv/conv2d_test.cpp.   Page docs/operators/conv2d.md.
template <class D, class X, class W, gemm_epilogue Epilogue = identity>
status conv2d(context const& where, tensor_view<D, 4> y, tensor_view<X, 4> x, tensor_view<W, 4> w,
              conv2d_options options = {}, Epilogue epilogue = {}) {
  using T = std::remove_const_t<X>;
  static_assert(conv2d_element<T>, "tenon::conv2d: the elements of x must be f32, f16, bf16 or int8_t");
  static_assert(std::same_as<T, std::remove_const_t<W>>, "tenon::conv2d: x and w must have one element type");
  static_assert(conv2d_result<D, T>, "tenon::conv2d: the elements of y must be those of x, f32 or int8_t");
  using pipeline = epilogue::pipeline_of<Epilogue>;

  // Extents and options, before anything is multiplied by anything.
  constexpr index_t limit = (index_t{1} << 31) - 1;
  extent            batch{"batch"}, height{"height"}, width{"width"}, in_channels{"in_channels"};
  extent            out_height{"out_height"}, out_width{"out_width"}, out_channels{"out_channels"};
  extent            rows{"rows of w"}, kernel_h{"kernel_h"}, kernel_w{"kernel_w"}, channels{"channels of w"};
  contract          checked{"conv2d"};
  checked.shape(x, batch, height, width, in_channels)
      .shape(w, rows, kernel_h, kernel_w, channels)
      .shape(y, batch, out_height, out_width, out_channels);
  for (extent const* const e : {&batch, &height, &width, &in_channels, &rows, &kernel_h, &kernel_w, &channels,
                                &out_height, &out_width, &out_channels})
    checked.require(e->value <= limit, errc::out_of_range, e->name, e->value, limit);
  auto const within = [&](index_t v, index_t least, char const* name) {
    checked.require(v >= least, errc::out_of_range, name, v, least);
    checked.require(v <= limit, errc::out_of_range, name, v, limit);
  };
  within(kernel_h.value, 1, "kernel_h"), within(kernel_w.value, 1, "kernel_w");
  within(options.stride.height, 1, "stride.height"), within(options.stride.width, 1, "stride.width");
  within(options.padding.height, 0, "padding.height"), within(options.padding.width, 0, "padding.width");
  within(options.dilation.height, 1, "dilation.height"), within(options.dilation.width, 1, "dilation.width");
  within(options.groups, 1, "groups");
  TENON_TRY(checked.result);

  index_t const padded_h = height.value + 2 * options.padding.height,
                padded_w = width.value + 2 * options.padding.width;
  index_t const want_h   = conv2d_extent(height.value, kernel_h.value, options.stride.height, options.padding.height,
                                         options.dilation.height);
  index_t const want_w =
      conv2d_extent(width.value, kernel_w.value, options.stride.width, options.padding.width, options.dilation.width);
  index_t const     want_rows  = pipeline::paired ? paired_rows(out_channels.value) : out_channels.value;
  index_t const     group      = options.groups;
  index_t const     per_group  = out_channels.value / group;
  index_t const     most_depth = std::same_as<T, std::int8_t> ? (index_t{1} << 17) - 1 : limit;
  constexpr index_t largest    = index_t{1} << 62;
  checked.require(padded_h <= limit, errc::out_of_range, "padding.height", options.padding.height, limit)
      .require(padded_w <= limit, errc::out_of_range, "padding.width", options.padding.width, limit)
      .require(out_height.value == want_h, errc::shape_mismatch, "out_height", out_height.value, want_h)
      .require(out_width.value == want_w, errc::shape_mismatch, "out_width", out_width.value, want_w)
      .require(in_channels.value == group * channels.value, errc::shape_mismatch, "in_channels", in_channels.value,
               group * channels.value)
      .require(out_channels.value % group == 0, errc::shape_mismatch, "out_channels", out_channels.value,
               per_group * group)
      .require(rows.value == want_rows, errc::shape_mismatch, "rows of w", rows.value, want_rows)
      .require(group == 1 || !pipeline::paired, errc::unsupported, "groups", group, 1)
      .require(group == 1 || per_group % pipeline::segment == 0, errc::unsupported, "groups", group, 1);
  auto const at_most = [&](index_t elements, index_t most, char const* name) {
    checked.require(elements <= most, errc::out_of_range, name, elements, most);
  };
  at_most(detail::product_of(batch.value, out_height.value, out_width.value), limit, "pixels of y");
  at_most(detail::product_of(kernel_h.value, kernel_w.value, channels.value), most_depth, "elements of a row of w");
  at_most(detail::product_of(batch.value, height.value, width.value, in_channels.value), largest, "x");
  at_most(detail::product_of(rows.value, kernel_h.value, kernel_w.value, channels.value), largest, "w");
  TENON_TRY(checked.result);

  index_t const depth  = kernel_h.value * kernel_w.value * channels.value;
  auto const    pixels = detail::as_pixels(y);
  TENON_TRY(checked.contiguous(x, "x")
                .require(pixels.has_value(), errc::bad_stride, "y", y.stride[1], out_width.value * y.stride[2])
                .contiguous(w, "w")
                .require(w.size() == 0 || kernel_w.value == 1 || w.stride[2] == channels.value, errc::bad_stride, "w",
                         w.stride[2], channels.value)
                .require(w.size() == 0 || kernel_h.value == 1 || w.stride[1] == kernel_w.value * channels.value,
                         errc::bad_stride, "w", w.stride[1], kernel_w.value * channels.value)
                .addressable(y, "y")
                .addressable(x, "x")
                .addressable(w, "w")
                .result);
  if (y.size() == 0) return {};

  auto const& d      = *pixels;
  auto const  weight = tensor_view<T const, 2>{w.data, {rows.value, depth}, {rows.value > 1 ? w.stride[0] : 0, 1}};
  constexpr height_width one{1, 1}, none{};
  if constexpr (gemm_element<T>) {
    bool const pointwise = kernel_h.value == 1 && kernel_w.value == 1 && options.stride == one &&
                           options.padding == none && group == 1 && !options.policy;
    if (pointwise)
      if (auto const a = detail::as_pixels(x)) return gemm(where, d, *a, weight, {}, epilogue);
  }

  constexpr int        vector = 16 / static_cast<int>(sizeof(T));
  bool const           wide = channels.value % vector == 0 && is_vectorised<vector>(x) && is_vectorised<vector>(weight);
  gemm_shape const     shape{d.extent[0], per_group, depth, group, sizeof(T), false, wide, needs_of<pipeline>()};
  gemm_resources const have{{where.arch}, where.multiprocessors, where.batch_invariant, 0, 0};
  if (options.policy && !is_on_conv2d_menu(*options.policy)) return {errc::unsupported, "conv2d", "policy"};
  gemm_policy const policy = options.policy ? *options.policy : choose_conv2d_policy(shape, have);
  index_t const     tiles  = gemm_tiles(policy, shape);
  TENON_TRY(checked.require(!policy.wide || policy.on_host() || wide, errc::unsupported, "policy.wide", 1, 0)
                .require(tiles * group <= limit, errc::out_of_range, "blocks", tiles * group, limit)
                .result);

  auto const to_int = [](index_t v) { return static_cast<int>(v); };
  auto const step   = [&](int axis) { return x.extent[axis] > 1 ? x.stride[axis] : 0; };

  gemm_params<D, T, pipeline> const   product{d, {}, weight, epilogue::from(epilogue), 0, 0, 0, tiles * group};
  conv2d_image<T> const               image{.data          = x.data,
                                            .batch_stride  = step(0),
                                            .row_stride    = step(1),
                                            .column_stride = step(2),
                                            .height        = to_int(height.value),
                                            .width         = to_int(width.value),
                                            .channels      = to_int(channels.value),
                                            .out_height    = to_int(out_height.value),
                                            .out_width     = to_int(out_width.value),
                                            .kernel_width  = to_int(kernel_w.value),
                                            .stride_y      = to_int(options.stride.height),
                                            .stride_x      = to_int(options.stride.width),
                                            .padding_y     = to_int(options.padding.height),
                                            .padding_x     = to_int(options.padding.width),
                                            .dilation_y    = to_int(options.dilation.height),
                                            .dilation_x    = to_int(options.dilation.width)};
  conv2d_params<D, T, pipeline> const params{product, image, depth, tiles, per_group};
  return dispatch_policy<conv2d_menu>(
      "conv2d", policy, [&]<class Policy>(Policy) { return detail::launch_conv2d<Policy>(params, where); });
}

}  // namespace tenon::inline TENON_TARGET
