#pragma once
//  GPTQ checkpoints (quant_method "gptq"): 2, 3, 4 or 8 bits, packed along the inputs, with a group per input.
//
//    w[i, k] = scales[g_idx[k], i] * (q[i, k] - z[g_idx[k], i])
//
//  The fields of an output's inputs are one stream of bits, lowest first; with 3 bits two of 32 straddle words. The zero
//  points are a stream along the outputs. checkpoint_format "gptq" stores z - 1 in them (modulo 2^bits), "gptq_v2" stores z.
//  Frantar et al., "GPTQ: accurate post-training quantization", 2022; the layout is that of AutoGPTQ and GPTQModel.
#include <tenon/core/vec.hpp>
#include <tenon/quant/checkpoint_tensors.hpp>

namespace tenon {

/// What qzeros hold: checkpoint_format "gptq" is one_less, "gptq_v2" is as_is.
enum class gptq_zeros : std::uint8_t { one_less, as_is };

struct gptq_options {
  int              bits       = 4;
  int              group_size = 128;  // 0 or -1: all inputs share a scale
  gptq_zeros       zeros      = gptq_zeros::one_less;
  bool             sym        = false;  // "sym" of the configuration: every zero point should be 2^(bits - 1)
  on_contradiction policy     = on_contradiction::refuse;
};

struct gptq_tensors {
  tensor_view<std::int32_t const, 2> qweight;     // (k * bits / 32, n)
  tensor_view<std::int32_t const, 2> qzeros;      // (groups, n * bits / 32); absent: 2^(bits - 1)
  scale_view                         scales;      // (groups, n)
  tensor_view<std::int32_t const, 1> g_idx = {};  // (k): the group of each input; absent: k / group_size
};

namespace checkpoint {

/// Whether the zero points contradict the configuration. The check costs one pass and catches files whose declared
/// version is wrong, which would shift every weight by one scale.
inline status check_gptq_zeros(gptq_tensors const& in, gptq_options const& options, index_t rows, index_t groups) {
  int const symmetric = 1 << (options.bits - 1), minus = options.zeros == gptq_zeros::one_less ? 1 : 0;
  int const stored = symmetric - minus;                              // what a symmetric file of this version holds
  int const other  = symmetric - (1 - minus);                        // and one of the other version
  index_t   all = 0, as_declared = 0, as_other = 0, different = -1;  // a zero point that is not the symmetric one
  for (index_t g = 0; g < groups; ++g)
    for (index_t i = 0; i < rows; ++i, ++all) {
      int const field =
          static_cast<int>(stream_field([&](index_t word) { return in.qzeros(g, word); }, i, options.bits));
      as_declared += field == stored, as_other += field == other;
      if (field != stored) different = field;
    }
  if (all == 0 || options.policy == on_contradiction::trust_the_file) return {};
  if (as_other == all)
    return {errc::unsupported, "import_gptq",
            minus ? "qzeros: declared z - 1 (gptq), but every field is a symmetric z (gptq_v2)"
                  : "qzeros: declared z (gptq_v2), but every field is a symmetric z - 1 (gptq)",
            other, stored};
  if (options.sym && as_declared != all)
    return {errc::unsupported, "import_gptq", "qzeros: declared sym, but the zero points differ", different, stored};
  return {};
}

}  // namespace checkpoint

/// out = the matrix of a GPTQ checkpoint: int4 for 2, 3 and 4 bits, int8 for 8
///
/// Fields of 2 and 3 bits become int4 codes q - z + 8 and need no zero points; 8-bit fields become q - z. Inputs whose
/// groups are not in a row (desc_act) are sorted by group into `order`; inputs of one group keep their order.
///
/// Errors   out_of_range (extents, g_idx, NaN or infinite scales), misaligned, shape_mismatch(inputs, outputs, groups ...),
///          unsupported (other bits; groups of unequal size; zero points that contradict the options, unless the policy is
///          to trust the file; 8-bit codes that leave int8 by their zero point), out_of_memory; then `out` is as before.
/// Range    format "gptq_p" and the Marlin repacks have other layouts under the same names: refuse them by name.
/// Source   ModelCloud/GPTQModel, gptqmodel/nn_modules/qlinear.
/// Test     tests/quant/import_gptq_test.cpp.   Page docs/operators/import_weights.md.
inline status import_gptq(quantized_weight& out, gptq_tensors const& in, gptq_options options = {}) {
  constexpr char const* name = "import_gptq";
  int const             bits = options.bits;
  if (bits != 2 && bits != 3 && bits != 4 && bits != 8) return {errc::unsupported, name, "bits", bits, 4};
  TENON_TRY(checkpoint::readable(name, "qweight", in.qweight));
  TENON_TRY(checkpoint::readable(name, "qzeros", in.qzeros));
  TENON_TRY(checkpoint::readable(name, "scales", in.scales));
  TENON_TRY(checkpoint::readable(name, "g_idx", in.g_idx));
  index_t const rows = in.qweight.extent[1], words = in.qweight.extent[0], columns = words * 32 / bits;
  index_t const group = checkpoint::columns_per_scale(options.group_size, columns), count = ceil_div(columns, group);

  extent     outputs{"outputs", rows}, inputs{"inputs", columns}, groups{"groups", count};
  extent     zero_words{"words of qzeros", rows * bits / 32};
  bool const zeros_given = checkpoint::given(in.qzeros), g_idx_given = checkpoint::given(in.g_idx);
  contract   c{name};
  c.require(columns <= checkpoint::largest_extent, errc::out_of_range, "inputs", columns)
      .require(words * 32 % bits == 0, errc::shape_mismatch, "words of qweight % 3", words % 3, 0);
  if (zeros_given)
    c.require(rows * bits % 32 == 0, errc::shape_mismatch, "outputs * bits % 32", rows * bits % 32, 0)
        .shape(in.qzeros, groups, zero_words);
  if (g_idx_given) c.shape(in.g_idx, inputs);
  TENON_TRY(c.result);
  TENON_TRY(checkpoint::shaped(name, in.scales, groups, outputs));
  if (zeros_given) TENON_TRY(checkpoint::check_gptq_zeros(in, options, rows, count));

  quantized_weight w;
  TENON_TRY(checkpoint::shape_weight(name, w, rows, columns,
                                     {.code        = bits == 8 ? weight_code::int8 : weight_code::int4,
                                      .group       = static_cast<int>(group),
                                      .zero_points = bits == 4 && zeros_given}));
  std::vector<std::int32_t> position;
  if (g_idx_given) TENON_TRY(checkpoint::sort_by_group(name, "g_idx", w, in.g_idx, position));
  TENON_TRY(checkpoint::fill_scales(name, "scales", w, [&](index_t i, index_t g) {
    return count == 0 ? 0.f : in.scales(g, i);  // no inputs, no scales
  }));

  // Zero points of all groups and outputs, as numbers.
  std::vector<std::uint8_t> zero;
  TENON_TRY(checkpoint::allocate(name, zero, rows * count, static_cast<std::uint8_t>(1 << (bits - 1))));
  if (zeros_given)
    for (index_t g = 0; g < count; ++g)
      for (index_t i = 0; i < rows; ++i) {
        std::uint32_t const field = checkpoint::stream_field([&](index_t word) { return in.qzeros(g, word); }, i, bits);
        std::uint32_t const z     = field + (options.zeros == gptq_zeros::one_less ? 1 : 0);
        zero[static_cast<std::size_t>(i * count + g)] = static_cast<std::uint8_t>(z & checkpoint::field_mask(bits));
      }
  if (w.format.zero_points) w.zeros = zero;

  // Runs of whole fields: a word, or three words of 32 three-bit fields.
  index_t const misfit = checkpoint::with_bits(bits, [&](auto width) {
    constexpr int     b = decltype(width)::value, run_words = b == 3 ? 3 : 1;
    constexpr index_t run   = b == 3 ? 32 : 32 / b;
    index_t           wrong = -1;
    checkpoint::transpose_tiles(
        rows, columns / run,
        [&](index_t i, index_t r) {
          vec<std::int32_t, 4> of_run{};
          for (int at = 0; at < run_words; ++at) of_run[at] = in.qweight(r * run_words + at, i);
          return of_run;
        },
        [&](index_t i, index_t r, vec<std::int32_t, 4> const& of_run) {
          auto const word = [&](index_t at) { return of_run[static_cast<int>(at)]; };
          for (index_t e = 0; e < run; ++e) {
            index_t const k = r * run + e, j = position.empty() ? k : position[static_cast<std::size_t>(k)];
            int const     z = b == 4 ? 8 : zero[static_cast<std::size_t>(i * count + j / group)];
            int const     q = static_cast<int>(checkpoint::stream_field(word, e, b));
            if (!checkpoint::code_of_field(w.codes[static_cast<std::size_t>(i * columns + j)], q, z, b)) wrong = k;
          }
        });
    return wrong;
  });
  if (misfit >= 0)
    return {errc::unsupported, name, "qzeros: an 8-bit code less its zero point is not an int8", misfit, 0};
  checkpoint::drop_symmetric_zeros(w);
  out = std::move(w);
  return {};
}

/// A matrix as a GPTQ file has it. Files usually have f16 scales.
template <class Scale = f16>
struct gptq_checkpoint {
  gptq_options              options;
  index_t                   rows    = 0;
  index_t                   columns = 0;
  std::vector<std::int32_t> qweight;
  std::vector<std::int32_t> qzeros;
  std::vector<Scale>        scales;
  std::vector<std::int32_t> g_idx;

  gptq_tensors tensors() const {
    index_t const groups = ceil_div(columns, checkpoint::columns_per_scale(options.group_size, columns));
    return {dense(qweight.data(), columns * options.bits / 32, rows),
            dense(qzeros.data(), groups, rows * options.bits / 32), dense(scales.data(), groups, rows),
            dense(g_idx.data(), columns)};
  }
};

/// What a GPTQ file should be like: its bits, and what its zero points hold.
struct gptq_export_options {
  int        bits  = 0;  // 0: 4 for int4, 8 for int8
  gptq_zeros zeros = gptq_zeros::one_less;
};

/// out = an int4 or int8 matrix as a GPTQ file has it; scales are rounded to its element
///
/// With 2 and 3 bits every group's codes must lie within 2^bits neighbours; its zero point is 2^(bits - 1) where they fit
/// around that, else the one nearest to it.
///
/// Errors   unsupported (fp8, fp4, blocks, bits that do not hold the codes), shape_mismatch (inputs * bits and outputs *
///          bits not multiples of 32), out_of_range (scales that become 0 or infinite), out_of_memory.
/// Test     tests/quant/import_gptq_test.cpp.   Page docs/operators/import_weights.md.
template <class Scale>
status export_gptq(gptq_checkpoint<Scale>& out, quantized_weight const& w, gptq_export_options options = {}) {
  constexpr char const* name = "export_gptq";
  TENON_TRY(checkpoint::well_formed(name, w));
  bool const    four     = w.format.code == weight_code::int4;
  int const     bits     = options.bits != 0 ? options.bits : four ? 4 : 8;
  bool const    holds    = four ? bits >= 2 && bits <= 4 : bits == 8;
  index_t const row_bits = w.columns * bits, zero_bits = w.rows * bits;
  TENON_TRY(contract{name}
                .require(four || w.format.code == weight_code::int8, errc::unsupported, "code: GPTQ has integers only")
                .require(w.format.block_rows == 1, errc::unsupported, "block_rows", w.format.block_rows, 1)
                .require(holds, errc::unsupported, "bits", bits, four ? 4 : 8)
                .require(row_bits % 32 == 0, errc::shape_mismatch, "inputs * bits % 32", row_bits % 32, 0)
                .require(zero_bits % 32 == 0, errc::shape_mismatch, "outputs * bits % 32", zero_bits % 32, 0)
                .result);
  index_t const group  = checkpoint::columns_per_scale(w.format.group, w.columns);
  index_t const groups = ceil_div(w.columns, group), zero_words = zero_bits / 32;
  int const     middle = 1 << (bits - 1);

  gptq_checkpoint<Scale> to;
  to.options = {.bits       = bits,
                .group_size = w.format.group > 0 ? w.format.group : -1,
                .zeros      = options.zeros,
                .sym        = !w.format.zero_points};
  to.rows = w.rows, to.columns = w.columns;
  TENON_TRY(checkpoint::allocate(name, to.qweight, row_bits / 32 * w.rows));
  TENON_TRY(checkpoint::allocate(name, to.qzeros, groups * zero_words));
  TENON_TRY(checkpoint::allocate(name, to.scales, groups * w.rows));
  TENON_TRY(checkpoint::allocate(name, to.g_idx, w.columns));
  for (index_t j = 0; j < w.columns; ++j)
    to.g_idx[static_cast<std::size_t>(w.order.empty() ? j : w.order[static_cast<std::size_t>(j)])] =
        static_cast<std::int32_t>(j / group);

  for (index_t i = 0; i < w.rows; ++i)
    for (index_t g = 0; g < groups; ++g) {
      index_t const first = g * group, last = min(first + group, w.columns);
      int           z = 0;
      TENON_TRY(checkpoint::zero_of_fields(name, z, w, i, g, bits));
      if (z != middle) to.options.sym = false;
      checkpoint::put_stream_field(
          [&](index_t word) -> std::int32_t& { return to.qzeros[static_cast<std::size_t>(g * zero_words + word)]; }, i,
          bits, static_cast<std::uint32_t>(options.zeros == gptq_zeros::one_less ? z - 1 : z));
      TENON_TRY(checkpoint::round_scale(name, to.scales[static_cast<std::size_t>(g * w.rows + i)], w.scale(i, first)));
      for (index_t j = first; j < last; ++j) {
        index_t const k = w.order.empty() ? j : w.order[static_cast<std::size_t>(j)];
        checkpoint::put_stream_field(
            [&](index_t word) -> std::int32_t& { return to.qweight[static_cast<std::size_t>(word * w.rows + i)]; }, k,
            bits, static_cast<std::uint32_t>(checkpoint::integer_of(w, i, j, g) + z));
      }
    }
  out = std::move(to);
  return {};
}

}  // namespace tenon
