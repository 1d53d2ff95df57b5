#pragma once
//  DeepSeek's checkpoints (quant_method "fp8"): e4m3 with one scale per block of 128 x 128.
//
//    w[i, k] = weight_scale_inv[i / 128, k / 128] * weight[i, k]
//
//  In spite of its name, weight_scale_inv is what a code is multiplied by. Some writers take the name at its word and store
//  the reciprocal; the two differ by many orders of magnitude, and only one of them gives weights.
//  DeepSeek-AI, "DeepSeek-V3 technical report", 2024; README_WEIGHTS.md of deepseek-ai/DeepSeek-V3.
#include <tenon/quant/import_compressed_tensors.hpp>
#include <tenon/quant/plausibility.hpp>

namespace tenon {

/// What a stored scale is to a code: its factor, its divisor, or whichever gives plausible weights.
enum class scale_sense : std::uint8_t { detect, multiplier, divisor };

struct block_fp8_options {
  int         block_rows    = 128;  // "weight_block_size"[0]
  int         block_columns = 128;  // "weight_block_size"[1]
  scale_sense sense         = scale_sense::detect;
};

struct block_fp8_tensors {
  tensor_view<e4m3 const, 2> weight;            // (n, k)
  scale_view                 weight_scale_inv;  // (ceil(n / block_rows), ceil(k / block_columns))
};

/// out = the matrix of a DeepSeek checkpoint: fp8 with block scales
///
/// Detection takes the sense that gives a median of |w| between 1e-5 and 10, and refuses where both do or neither; a matrix
/// of zeros has no sense to detect and is taken as it is. A divisor costs its scale one rounding.
///
/// Errors   out_of_range (extents, NaN or infinite scales or reciprocals), misaligned, shape_mismatch(outputs, blocks of
///          outputs, groups), unsupported (the sense cannot be told), out_of_memory; then `out` is as before.
/// Test     tests/quant/import_block_fp8_test.cpp.   Page docs/operators/import_weights.md.
inline status import_block_fp8(quantized_weight& out, block_fp8_tensors const& in, block_fp8_options options = {}) {
  constexpr char const* name = "import_block_fp8";
  quantized_weight      w;
  status const          read = import_float_quantized(w, {.weight = in.weight, .weight_scale = in.weight_scale_inv},
                                                      {.block_rows = options.block_rows, .group_size = options.block_columns});
  if (!read.ok()) return {read.code, name, read.subject, read.got, read.want};
  if (options.sense == scale_sense::detect) {
    auto       product    = checkpoint::sample_magnitudes(w, [](float s) { return s; });
    auto       quotient   = checkpoint::sample_magnitudes(w, [](float s) { return 1 / s; });
    bool const multiplier = checkpoint::median_of_weights(checkpoint::percentile(product, 0.5));
    bool const divisor    = checkpoint::median_of_weights(checkpoint::percentile(quotient, 0.5));
    if (product.empty()) options.sense = scale_sense::multiplier;
    else if (multiplier && divisor)
      return {errc::unsupported, name, "weight_scale_inv: multiplier or divisor? Both give weights"};
    else if (!multiplier && !divisor)
      return {errc::unsupported, name, "weight_scale_inv: multiplier or divisor? Neither gives weights"};
    else options.sense = multiplier ? scale_sense::multiplier : scale_sense::divisor;
  }
  if (options.sense == scale_sense::divisor)
    for (std::size_t i = 0; i < w.scales.size(); ++i) {
      w.scales[i] = 1 / w.scales[i];
      if (!std::isfinite(w.scales[i]))
        return {errc::out_of_range, name, "weight_scale_inv: a divisor of 0", static_cast<index_t>(i), 0};
    }
  out = std::move(w);
  return {};
}

/// A matrix as DeepSeek's files have it; weight_scale_inv is the multiplier.
struct block_fp8_checkpoint {
  block_fp8_options  options;
  index_t            rows    = 0;
  index_t            columns = 0;
  std::vector<e4m3>  weight;
  std::vector<float> weight_scale_inv;

  block_fp8_tensors tensors() const {
    return {dense(weight.data(), rows, columns),
            dense(weight_scale_inv.data(), ceil_div(rows, index_t{options.block_rows}),
                  max(ceil_div(columns, index_t{options.block_columns}), index_t{1}))};
  }
};

/// out = an fp8 matrix as DeepSeek's files have it
///
/// Errors   unsupported (not fp8, an order of inputs), out_of_range (scales that become 0 or infinite), out_of_memory.
/// Test     tests/quant/import_block_fp8_test.cpp.   Page docs/operators/import_weights.md.
inline status export_block_fp8(block_fp8_checkpoint& out, quantized_weight const& w) {
  float_quantized_checkpoint<float> file;
  status const                      written = export_float_quantized(file, w);
  if (!written.ok()) return {written.code, "export_block_fp8", written.subject, written.got, written.want};
  out.options          = {.block_rows    = w.format.block_rows,
                          .block_columns = static_cast<int>(checkpoint::columns_per_scale(w.format.group, w.columns)),
                          .sense         = scale_sense::multiplier};
  out.rows             = w.rows;
  out.columns          = w.columns;
  out.weight           = std::move(file.weight);
  out.weight_scale_inv = std::move(file.weight_scale);
  return {};
}

}  // namespace tenon
