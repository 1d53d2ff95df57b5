#pragma once
//  AWQ checkpoints (quant_method "awq"): four bits, eight to a word, a zero point and a scale per group and output.
//
//    w[i, k] = scales[k / g, i] * (q[i, k] - z[k / g, i])
//
//  Version gemm packs along the outputs, and not in their order: nibble n of a word is output awq_gemm_order[n] of eight.
//  Version gemv packs along the inputs, in order, and pads the groups. Both store the zero point itself.
//  Lin et al., "AWQ: activation-aware weight quantization", 2023; the layouts are those of AutoAWQ's WQLinear_GEMM and
//  WQLinear_GEMV.
#include <tenon/quant/checkpoint_tensors.hpp>

namespace tenon {

inline constexpr int awq_gemm_order[8] = {0, 2, 4, 6, 1, 3, 5, 7};

enum class awq_version : std::uint8_t { gemm, gemv };

constexpr char const* name_of(awq_version v) { return v == awq_version::gemm ? "gemm" : "gemv"; }

struct awq_options {
  int         group_size = 128;  // "group_size" of the configuration; 0 or -1: all inputs share a scale
  awq_version version    = awq_version::gemm;
};

struct awq_tensors {
  tensor_view<std::int32_t const, 2> qweight;  // gemm: (k, n / 8)           gemv: (n, k / 8)
  tensor_view<std::int32_t const, 2> qzeros;   // gemm: (groups, n / 8)      gemv: (n, zero words)
  scale_view                         scales;   // gemm: (groups, n)          gemv: (n, 8 * zero words)
};

namespace checkpoint {

/// Words of zero points per output in version gemv: groups / 8, rounded up to 1, 2 or 4 words for groups of 128, 64, 32.
constexpr index_t awq_gemv_zero_words(index_t groups, index_t group_size) {
  index_t const multiple = group_size >= 128 ? 1 : group_size >= 64 ? 2 : 4;
  return round_up(ceil_div(groups, index_t{8}), multiple);
}

/// The nibble of a word of version gemm that holds output i.
constexpr int awq_gemm_nibble(index_t i) {
  for (int n = 0; n < 8; ++n)
    if (awq_gemm_order[n] == i % 8) return n;
  return 0;
}

constexpr std::uint8_t nibble(std::int32_t word, int n) {
  return static_cast<std::uint8_t>((static_cast<std::uint32_t>(word) >> (4 * n)) & 15);
}

constexpr std::int32_t with_nibble(std::int32_t word, int n, std::uint8_t value) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(word) | (static_cast<std::uint32_t>(value) << (4 * n)));
}

}  // namespace checkpoint

/// out = the matrix of an AWQ checkpoint; int4, without zero points where all of them are 8
///
/// Errors   out_of_range (extents, NaN or infinite scales), misaligned, shape_mismatch(inputs, outputs, groups ...; k is a
///          multiple of the group), out_of_memory; then `out` is as before.
/// Range    files whose nibbles are in another order have the same shapes, and nothing in them tells.
/// Source   casper-hansen/AutoAWQ, awq/modules/linear/gemm.py and gemv.py.
/// Test     tests/quant/import_awq_test.cpp.   Page docs/operators/import_weights.md.
inline status import_awq(quantized_weight& out, awq_tensors const& in, awq_options options = {}) {
  constexpr char const* name = "import_awq";
  TENON_TRY(checkpoint::readable(name, "qweight", in.qweight));
  TENON_TRY(checkpoint::readable(name, "qzeros", in.qzeros));
  TENON_TRY(checkpoint::readable(name, "scales", in.scales));
  bool const    gemm    = options.version == awq_version::gemm;
  index_t const rows    = gemm ? in.qweight.extent[1] * 8 : in.qweight.extent[0];
  index_t const columns = gemm ? in.qweight.extent[0] : in.qweight.extent[1] * 8;
  index_t const group   = checkpoint::columns_per_scale(options.group_size, columns);
  index_t const count   = ceil_div(columns, group);

  extent outputs{"outputs", rows}, groups{"groups", count}, words{"words of qzeros", rows / 8};
  if (!gemm) {
    words.value  = checkpoint::awq_gemv_zero_words(count, group);
    groups.name  = "padded groups of scales";
    groups.value = 8 * words.value;
  }
  TENON_TRY(contract{name}
                .require(rows <= checkpoint::largest_extent, errc::out_of_range, "outputs", rows)
                .require(columns <= checkpoint::largest_extent, errc::out_of_range, "inputs", columns)
                .require(columns % group == 0, errc::shape_mismatch, "inputs % group_size", columns % group, 0)
                .shape(in.qzeros, gemm ? groups : outputs, words)
                .result);
  TENON_TRY(checkpoint::shaped(name, in.scales, gemm ? groups : outputs, gemm ? outputs : groups));

  quantized_weight w;
  TENON_TRY(checkpoint::shape_weight(
      name, w, rows, columns, {.code = weight_code::int4, .group = static_cast<int>(group), .zero_points = true}));
  TENON_TRY(checkpoint::fill_scales(name, "scales", w, [&](index_t i, index_t g) {
    if (count == 0) return 0.f;  // no inputs, no scales
    return gemm ? in.scales(g, i) : in.scales(i, g);
  }));
  if (gemm) {
    checkpoint::transpose_tiles(
        rows / 8, columns, [&](index_t c, index_t k) { return in.qweight(k, c); },
        [&](index_t c, index_t k, std::int32_t word) {
          for (int n = 0; n < 8; ++n)
            w.codes[static_cast<std::size_t>((8 * c + awq_gemm_order[n]) * columns + k)] = checkpoint::nibble(word, n);
        });
    for (index_t c = 0; c < rows / 8; ++c)
      for (index_t g = 0; g < count; ++g)
        for (int n = 0; n < 8; ++n)
          w.zeros[static_cast<std::size_t>((8 * c + awq_gemm_order[n]) * count + g)] =
              checkpoint::nibble(in.qzeros(g, c), n);
  } else {
    for (index_t i = 0; i < rows; ++i) {
      for (index_t k = 0; k < columns; ++k)
        w.codes[static_cast<std::size_t>(i * columns + k)] =
            checkpoint::nibble(in.qweight(i, k / 8), static_cast<int>(k % 8));
      for (index_t g = 0; g < count; ++g)
        w.zeros[static_cast<std::size_t>(i * count + g)] =
            checkpoint::nibble(in.qzeros(i, g / 8), static_cast<int>(g % 8));
    }
  }
  checkpoint::drop_symmetric_zeros(w);
  out = std::move(w);
  return {};
}

/// A matrix as an AWQ file has it. AutoAWQ's own files have f16 scales.
template <class Scale = f16>
struct awq_checkpoint {
  awq_options               options;
  index_t                   rows    = 0;
  index_t                   columns = 0;
  std::vector<std::int32_t> qweight;
  std::vector<std::int32_t> qzeros;
  std::vector<Scale>        scales;

  awq_tensors tensors() const {
    index_t const group = checkpoint::columns_per_scale(options.group_size, columns), groups = ceil_div(columns, group);
    index_t const words = checkpoint::awq_gemv_zero_words(groups, group);
    if (options.version == awq_version::gemm)
      return {dense(qweight.data(), columns, rows / 8), dense(qzeros.data(), groups, rows / 8),
              dense(scales.data(), groups, rows)};
    return {dense(qweight.data(), rows, columns / 8), dense(qzeros.data(), rows, words),
            dense(scales.data(), rows, 8 * words)};
  }
};

/// out = an int4 matrix as an AWQ file has it; scales are rounded to its element
///
/// Errors   unsupported (not int4, an order of inputs, blocks), shape_mismatch (outputs or inputs not multiples of eight
///          as the version packs them, inputs not of the group), out_of_range (scales that become 0 or infinite),
///          out_of_memory.
/// Test     tests/quant/import_awq_test.cpp.   Page docs/operators/import_weights.md.
template <class Scale>
status export_awq(awq_checkpoint<Scale>& out, quantized_weight const& w, awq_version version = awq_version::gemm) {
  constexpr char const* name = "export_awq";
  TENON_TRY(checkpoint::well_formed(name, w));
  bool const    gemm   = version == awq_version::gemm;
  index_t const packed = gemm ? w.rows : w.columns;
  index_t const group  = checkpoint::columns_per_scale(w.format.group, w.columns);
  TENON_TRY(contract{name}
                .require(w.format.code == weight_code::int4, errc::unsupported, "code: AWQ has int4 only")
                .require(w.format.block_rows == 1, errc::unsupported, "block_rows", w.format.block_rows, 1)
                .require(w.order.empty(), errc::unsupported, "order: AWQ has none")
                .require(packed % 8 == 0, errc::shape_mismatch, gemm ? "outputs % 8" : "inputs % 8", packed % 8, 0)
                .require(w.columns % group == 0, errc::shape_mismatch, "inputs % group", w.columns % group, 0)
                .result);
  awq_checkpoint<Scale> to;
  to.options = {.group_size = w.format.group > 0 ? w.format.group : -1, .version = version};
  to.rows = w.rows, to.columns = w.columns;
  index_t const groups = ceil_div(w.columns, group), words = checkpoint::awq_gemv_zero_words(groups, group);
  TENON_TRY(checkpoint::allocate(name, to.qweight, w.rows * w.columns / 8));
  TENON_TRY(checkpoint::allocate(name, to.qzeros, gemm ? groups * w.rows / 8 : w.rows * words));
  TENON_TRY(checkpoint::allocate(name, to.scales, gemm ? groups * w.rows : w.rows * 8 * words, Scale(0.f)));
  for (index_t i = 0; i < w.rows; ++i) {
    int const n = checkpoint::awq_gemm_nibble(i);
    for (index_t k = 0; k < w.columns; ++k) {
      auto const q    = w.codes[static_cast<std::size_t>(i * w.columns + k)];
      auto&      word = to.qweight[static_cast<std::size_t>(gemm ? k * (w.rows / 8) + i / 8 : (i * w.columns + k) / 8)];
      word            = checkpoint::with_nibble(word, gemm ? n : static_cast<int>(k % 8), q);
    }
    for (index_t g = 0; g < groups; ++g) {
      auto const z    = static_cast<std::uint8_t>(checkpoint::zero_of(w, i, g));
      auto&      word = to.qzeros[static_cast<std::size_t>(gemm ? g * (w.rows / 8) + i / 8 : i * words + g / 8)];
      word            = checkpoint::with_nibble(word, gemm ? n : static_cast<int>(g % 8), z);
      Scale& s        = to.scales[static_cast<std::size_t>(gemm ? g * w.rows + i : i * 8 * words + g)];
      TENON_TRY(checkpoint::round_scale(name, s, w.scale(i, g * group)));
    }
  }
  out = std::move(to);
  return {};
}

}  // namespace tenon
