#pragma once
//  ModelOpt's four-bit integers (W4A16_AWQ, W4A8_AWQ): two's complement, two to a byte along the outputs.
//
//    w[i, k] = weight_scale[i, k / g] * code[i, k]        the even output of a pair in the low nibble
//
//  ModelOpt's other formats have the tensors of others: FP8 those of import_float_quantized, W8A8_SQ_PER_CHANNEL and W8A16
//  those of import_int_quantized, NVFP4 has import_modelopt_nvfp4. Source: NVIDIA/Model-Optimizer, modelopt/torch/export.
#include <tenon/quant/import_compressed_tensors.hpp>

namespace tenon {

struct modelopt_int4_options {
  int group_size = 128;  // "group_size" of hf_quant_config.json; 0 or -1: a whole row
};

struct modelopt_int4_tensors {
  tensor_view<std::uint8_t const, 2> weight;                // (n / 2, k)
  scale_view                         weight_scale;          // (n, groups)
  scale_view                         pre_quant_scale = {};  // (k), factors of the inputs; absent: 1
};

/// out = the matrix of a ModelOpt int4 checkpoint; int4 without zero points
///
/// A pre_quant_scale other than 1 belongs to the inputs, not to this matrix: fold it into what comes before (the gain of a
/// normalisation, the rows of the matrix whose outputs these inputs are) and leave it out here.
///
/// Errors   out_of_range (extents, NaN or infinite scales), misaligned, shape_mismatch(outputs, inputs, groups), unsupported
///          (a pre_quant_scale other than 1), out_of_memory; then `out` is as before.
/// Test     tests/quant/import_modelopt_test.cpp.   Page docs/operators/import_weights.md.
inline status import_modelopt_int4(quantized_weight& out, modelopt_int4_tensors const& in,
                                   modelopt_int4_options options = {}) {
  constexpr char const* name = "import_modelopt_int4";
  TENON_TRY(checkpoint::readable(name, "weight", in.weight));
  TENON_TRY(checkpoint::readable(name, "weight_scale", in.weight_scale));
  TENON_TRY(checkpoint::readable(name, "pre_quant_scale", in.pre_quant_scale));
  index_t const rows = in.weight.extent[0] * 2, columns = in.weight.extent[1];
  if (rows > checkpoint::largest_extent) return {errc::out_of_range, name, "outputs", rows, checkpoint::largest_extent};
  if (in.pre_quant_scale.given()) {
    extent inputs{"inputs", columns}, one{"columns of pre_quant_scale", 1};
    TENON_TRY(checkpoint::shaped(name, in.pre_quant_scale, inputs, one));
    for (index_t k = 0; k < columns; ++k)
      if (in.pre_quant_scale(k, 0) != 1)
        return {errc::unsupported, name, "pre_quant_scale: fold it into what comes before", k, 0};
  }
  quantized_weight w;
  TENON_TRY(checkpoint::shape_weight(
      name, w, rows, columns,
      {.code  = weight_code::int4,
       .group = static_cast<int>(checkpoint::columns_per_scale(options.group_size, columns))}));
  TENON_TRY(checkpoint::import_scales(name, w, in.weight_scale));
  for (index_t c = 0; c < rows / 2; ++c)
    for (index_t k = 0; k < columns; ++k) {
      std::uint8_t const two = in.weight(c, k) ^ 0x88;  // two's complement plus 8: the upper bit of each flips
      w.codes[static_cast<std::size_t>(2 * c * columns + k)]       = two & 15;
      w.codes[static_cast<std::size_t>((2 * c + 1) * columns + k)] = two >> 4;
    }
  out = std::move(w);
  return {};
}

/// A matrix as ModelOpt's int4 files have it.
template <class Scale = float>
struct modelopt_int4_checkpoint {
  modelopt_int4_options     options;
  index_t                   rows    = 0;
  index_t                   columns = 0;
  std::vector<std::uint8_t> weight;
  std::vector<Scale>        weight_scale;

  modelopt_int4_tensors tensors() const {
    index_t const group = checkpoint::columns_per_scale(options.group_size, columns);
    return {dense(weight.data(), rows / 2, columns),
            dense(weight_scale.data(), rows, max(ceil_div(columns, group), index_t{1}))};
  }
};

/// out = an int4 matrix without zero points as ModelOpt's files have it; scales are rounded to its element
///
/// Errors   unsupported (not int4, zero points, blocks, an order of inputs), shape_mismatch (an odd number of outputs),
///          out_of_range (scales that become 0 or infinite), out_of_memory.
/// Test     tests/quant/import_modelopt_test.cpp.   Page docs/operators/import_weights.md.
template <class Scale>
status export_modelopt_int4(modelopt_int4_checkpoint<Scale>& out, quantized_weight const& w) {
  constexpr char const* name = "export_modelopt_int4";
  TENON_TRY(checkpoint::well_formed(name, w));
  TENON_TRY(contract{name}
                .require(w.format.code == weight_code::int4, errc::unsupported, "code: the format has int4 only")
                .require(!w.format.zero_points, errc::unsupported, "zero_points: the format has none")
                .require(w.format.block_rows == 1, errc::unsupported, "block_rows", w.format.block_rows, 1)
                .require(w.order.empty(), errc::unsupported, "order: the format has none")
                .require(w.rows % 2 == 0, errc::shape_mismatch, "outputs % 2", w.rows % 2, 0)
                .result);
  modelopt_int4_checkpoint<Scale> to;
  to.options = {.group_size = w.format.group};
  to.rows = w.rows, to.columns = w.columns;
  TENON_TRY(checkpoint::export_scales(name, to.weight_scale, w));
  TENON_TRY(checkpoint::allocate(name, to.weight, w.rows / 2 * w.columns));
  for (index_t c = 0; c < w.rows / 2; ++c)
    for (index_t k = 0; k < w.columns; ++k) {
      auto const low  = w.codes[static_cast<std::size_t>(2 * c * w.columns + k)];
      auto const high = w.codes[static_cast<std::size_t>((2 * c + 1) * w.columns + k)];
      to.weight[static_cast<std::size_t>(c * w.columns + k)] = static_cast<std::uint8_t>((low | high << 4) ^ 0x88);
    }
  out = std::move(to);
  return {};
}

}  // namespace tenon
