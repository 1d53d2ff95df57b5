#pragma once
//  Four-bit floats with a scale per few inputs: NVFP4 as compressed-tensors and as ModelOpt write it, and MXFP4.
//
//                                  inputs per scale   scale    of the whole matrix                            w
//    compressed-tensors NVFP4            16           e4m3     weight_global_scale, a divisor      code * scale / global
//    ModelOpt NVFP4                      16           e4m3     weight_scale_2, a multiplier        code * scale * second
//    MXFP4                               32           ue8m0    none                                code * scale
//
//  Codes are e2m1, two to a byte along the inputs, the even input in the low nibble.
//  Open Compute Project, "OCP microscaling formats (MX) specification", version 1.0, 2023; neuralmagic/compressed-tensors,
//  nvfp4_quantized.py; NVIDIA/Model-Optimizer, modelopt/torch/export; openai/gpt-oss.
#include <tenon/quant/checkpoint_tensors.hpp>
#include <tenon/quant/plausibility.hpp>

namespace tenon {

struct microscaling_options {
  on_contradiction policy = on_contradiction::refuse;
};

struct nvfp4_tensors {
  tensor_view<std::uint8_t const, 2> weight_packed;        // (n, k / 2)
  scale_view                         weight_scale;         // (n, ceil(k / 16)) of e4m3
  scale_view                         weight_global_scale;  // (1): effective scale = weight_scale / weight_global_scale
};

struct modelopt_nvfp4_tensors {
  tensor_view<std::uint8_t const, 2> weight;          // (n, k / 2)
  scale_view                         weight_scale;    // (n, ceil(k / 16)) of e4m3
  scale_view                         weight_scale_2;  // (1): effective scale = weight_scale * weight_scale_2
};

/// gpt-oss has blocks (n, groups, 16) and scales (n, groups): the blocks are this with the last two axes joined.
struct mxfp4_tensors {
  tensor_view<std::uint8_t const, 2> weight_packed;  // (n, k / 2)
  scale_view                         weight_scale;   // (n, ceil(k / 32)) of ue8m0; files call it uint8
};

namespace checkpoint {

inline status import_fp4(char const* primitive, quantized_weight& w, tensor_view<std::uint8_t const, 2> const& packed,
                         char const* packed_name, scale_view const& scale, scale_element element, int group) {
  TENON_TRY(readable(primitive, packed_name, packed));
  TENON_TRY(readable(primitive, "weight_scale", scale));
  index_t const rows = packed.extent[0], columns = packed.extent[1] * 2;
  TENON_TRY(contract{primitive}
                .require(columns <= largest_extent, errc::out_of_range, "inputs", columns, largest_extent)
                .require(scale.element() == element, errc::unsupported, "weight_scale: of another element")
                .result);
  extent outputs{"outputs", rows}, groups{"groups", max(ceil_div(columns, index_t{group}), index_t{1})};
  TENON_TRY(shaped(primitive, scale, outputs, groups));
  TENON_TRY(shape_weight(primitive, w, rows, columns, {.code = weight_code::fp4, .group = group}));
  TENON_TRY(fill_scales(primitive, "weight_scale", w, [&](index_t i, index_t g) { return scale(i, g); }));
  for (index_t i = 0; i < rows; ++i)
    for (index_t c = 0; c < columns / 2; ++c) {
      std::uint8_t const two                                     = packed(i, c);
      w.codes[static_cast<std::size_t>(i * columns + 2 * c)]     = two & 15;
      w.codes[static_cast<std::size_t>(i * columns + 2 * c + 1)] = two >> 4;
    }
  return {};
}

/// The scale of a whole matrix. That it is meant the other way round shows: 1 / 2688 of the largest weight, or 2688 over it.
inline status import_global_scale(char const* primitive, char const* subject, char const* inverse, quantized_weight& w,
                                  scale_view const& scale, bool divisor, microscaling_options const& options) {
  TENON_TRY(readable(primitive, subject, scale));
  extent one{subject, 1}, same{subject, 1};
  TENON_TRY(shaped(primitive, scale, one, same));
  float const s = scale(0, 0), factor = divisor ? 1 / s : s;
  if (!std::isfinite(s) || !std::isfinite(factor) || s == 0) return {errc::out_of_range, primitive, subject, 0, 0};
  auto        sample  = sample_magnitudes(w, [](float v) { return v; });
  float const without = percentile(sample, 0.5);
  w.factor            = factor;
  if (options.policy == on_contradiction::refuse && !sample.empty() && !median_of_weights(without * factor) &&
      median_of_weights(without / factor))
    return {errc::unsupported, primitive, inverse, 0, 0};
  return {};
}

}  // namespace checkpoint

/// out = the matrix of an nvfp4-pack-quantized checkpoint of compressed-tensors: fp4 in groups of 16
///
/// input_global_scale is not read: it belongs to activations in fp4.
///
/// Errors   out_of_range (extents, NaN or infinite scales), misaligned, shape_mismatch(outputs, groups, weight_global_scale),
///          unsupported (scales of another element; a weight_global_scale that gives weights only as a multiplier, unless the
///          policy is to trust the file), out_of_memory; then `out` is as before.
/// Test     tests/quant/import_microscaling_test.cpp.   Page docs/operators/import_weights.md.
inline status import_nvfp4(quantized_weight& out, nvfp4_tensors const& in, microscaling_options options = {}) {
  constexpr char const* name = "import_nvfp4";
  quantized_weight      w;
  TENON_TRY(
      checkpoint::import_fp4(name, w, in.weight_packed, "weight_packed", in.weight_scale, scale_element::e4m3, 16));
  TENON_TRY(checkpoint::import_global_scale(name, "weight_global_scale",
                                            "weight_global_scale: gives weights as a multiplier, not as a divisor", w,
                                            in.weight_global_scale, true, options));
  out = std::move(w);
  return {};
}

/// The same for ModelOpt's files.
///
/// Errors   those of import_nvfp4; unsupported where weight_scale_2 gives weights only as a divisor.
/// Test     tests/quant/import_microscaling_test.cpp.   Page docs/operators/import_weights.md.
inline status import_modelopt_nvfp4(quantized_weight& out, modelopt_nvfp4_tensors const& in,
                                    microscaling_options options = {}) {
  constexpr char const* name = "import_modelopt_nvfp4";
  quantized_weight      w;
  TENON_TRY(checkpoint::import_fp4(name, w, in.weight, "weight", in.weight_scale, scale_element::e4m3, 16));
  TENON_TRY(checkpoint::import_global_scale(name, "weight_scale_2",
                                            "weight_scale_2: gives weights as a divisor, not as a multiplier", w,
                                            in.weight_scale_2, false, options));
  out = std::move(w);
  return {};
}

/// out = the matrix of an mxfp4-pack-quantized or gpt-oss checkpoint: fp4 in groups of 32
///
/// Errors   out_of_range (extents, NaN scales), misaligned, shape_mismatch(outputs, groups), unsupported (scales of another
///          element), out_of_memory; then `out` is as before.
/// Test     tests/quant/import_microscaling_test.cpp.   Page docs/operators/import_weights.md.
inline status import_mxfp4(quantized_weight& out, mxfp4_tensors const& in) {
  constexpr char const* name = "import_mxfp4";
  quantized_weight      w;
  TENON_TRY(
      checkpoint::import_fp4(name, w, in.weight_packed, "weight_packed", in.weight_scale, scale_element::ue8m0, 32));
  out = std::move(w);
  return {};
}

/// An fp4 matrix as files have it. Scale is e4m3 (NVFP4, both writers) or ue8m0 (MXFP4).
template <class Scale>
struct fp4_checkpoint {
  index_t                   rows    = 0;
  index_t                   columns = 0;
  std::vector<std::uint8_t> weight_packed;
  std::vector<Scale>        weight_scale;
  std::vector<float>        weight_global_scale;  // NVFP4: one, a divisor
  std::vector<float>        weight_scale_2;       // NVFP4: one, the multiplier that the matrix has

  static constexpr int group = std::is_same_v<Scale, e4m3> ? 16 : 32;

  tensor_view<std::uint8_t const, 2> packed() const { return dense(weight_packed.data(), rows, columns / 2); }
  scale_view                         scales() const {
                            return dense(weight_scale.data(), rows, max(ceil_div(columns, index_t{group}), index_t{1}));
  }
  nvfp4_tensors          nvfp4() const { return {packed(), scales(), dense(weight_global_scale.data(), 1)}; }
  modelopt_nvfp4_tensors modelopt() const { return {packed(), scales(), dense(weight_scale_2.data(), 1)}; }
  mxfp4_tensors          mxfp4() const { return {packed(), scales()}; }
};

/// out = an fp4 matrix as files have it; its scales must be numbers of the file's element already
///
/// Errors   unsupported (not fp4, other groups, blocks, an order of inputs, scales that Scale does not hold),
///          shape_mismatch (an odd number of inputs), out_of_range (a factor whose reciprocal is not finite),
///          out_of_memory.
/// Test     tests/quant/import_microscaling_test.cpp.   Page docs/operators/import_weights.md.
template <class Scale>
status export_fp4(fp4_checkpoint<Scale>& out, quantized_weight const& w) {
  constexpr char const* name = "export_fp4";
  constexpr bool        nv   = std::is_same_v<Scale, e4m3>;
  static_assert(nv || std::is_same_v<Scale, ue8m0>, "tenon::export_fp4: scales are e4m3 or ue8m0");
  fp4_checkpoint<Scale> to;
  TENON_TRY(checkpoint::well_formed(name, w));
  index_t const group = w.format.group > 0 ? w.format.group : to.group;  // of one group: any size
  TENON_TRY(
      contract{name}
          .require(w.format.code == weight_code::fp4, errc::unsupported, "code: the format has fp4 only")
          .require(w.format.block_rows == 1, errc::unsupported, "block_rows", w.format.block_rows, 1)
          .require(w.order.empty(), errc::unsupported, "order: the format has none")
          .require(group == to.group && (w.format.group > 0 || w.columns <= group), errc::unsupported, "group",
                   w.format.group, to.group)
          .require(w.columns % 2 == 0, errc::shape_mismatch, "inputs % 2", w.columns % 2, 0)
          .require(nv ? std::isfinite(1 / w.factor) && w.factor != 0 : w.factor == 1, errc::out_of_range, "factor")
          .result);
  to.rows = w.rows, to.columns = w.columns;
  TENON_TRY(checkpoint::allocate(name, to.weight_packed, w.rows * w.columns / 2));
  TENON_TRY(checkpoint::allocate(name, to.weight_scale, static_cast<index_t>(w.scales.size()), Scale::from_bits(0)));
  for (std::size_t i = 0; i < w.scales.size(); ++i) {
    to.weight_scale[i] = Scale(w.scales[i]);
    if (static_cast<float>(to.weight_scale[i]) != w.scales[i])
      return {errc::unsupported, name, "scales: not of the file's element", static_cast<index_t>(i), 0};
  }
  for (std::size_t i = 0; i < to.weight_packed.size(); ++i)
    to.weight_packed[i] = static_cast<std::uint8_t>(w.codes[2 * i] | w.codes[2 * i + 1] << 4);
  if (nv) to.weight_global_scale = {1 / w.factor}, to.weight_scale_2 = {w.factor};
  out = std::move(to);
  return {};
}

}  // namespace tenon
