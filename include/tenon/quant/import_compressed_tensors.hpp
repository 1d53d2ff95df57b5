#pragma once
//  compressed-tensors checkpoints: pack-quantized integers of 2 to 8 bits, int-quantized and float-quantized bytes.
//
//    w[i, k] = weight_scale[i / block_rows, group of k] * (q[i, k] - z[i, group of k])
//
//  q and z are signed. pack-quantized stores them plus 2^(bits - 1), floor(32 / bits) to a word, lowest first: the codes along
//  the inputs, the zero points along the outputs. Source: neuralmagic/compressed-tensors, src/compressed_tensors/compressors.
#include <tenon/quant/checkpoint_tensors.hpp>

#include <optional>

namespace tenon {

/// `weight_shape`: two integers, 64 bits as files have them or 32 as their metadata says.
struct weight_shape_view {
  tensor_view<std::int64_t const, 1> wide;
  tensor_view<std::int32_t const, 1> narrow;

  weight_shape_view() = default;
  template <element_of<std::int64_t> T>
  weight_shape_view(tensor_view<T, 1> const& v) : wide(as_const(v)) {}
  template <element_of<std::int32_t> T>
  weight_shape_view(tensor_view<T, 1> const& v) : narrow(as_const(v)) {}
};

struct pack_quantized_options {
  int              num_bits   = 4;
  int              group_size = 0;     // "group_size"; 0 or -1: strategies "channel" and "tensor"
  bool             symmetric  = true;  // "symmetric" of the configuration
  on_contradiction policy     = on_contradiction::refuse;
};

struct pack_quantized_tensors {
  tensor_view<std::int32_t const, 2> weight_packed;           // (n, ceil(k / per word))
  scale_view                         weight_scale;            // (n, groups), (n, 1) or (1)
  tensor_view<std::int32_t const, 2> weight_zero_point = {};  // (ceil(n / per word), groups); absent: 0
  tensor_view<std::int32_t const, 1> weight_g_idx = {};  // (k): the group of each input; absent or -1: k / group_size
  weight_shape_view                  weight_shape = {};  // (2): n, k; absent: the words are full
};

struct int_quantized_options {
  int group_size = 0;  // 0 or -1: strategies "channel" and "tensor"
};

struct int_quantized_tensors {
  tensor_view<std::int8_t const, 2> weight;                  // (n, k)
  scale_view                        weight_scale;            // (n, groups), (n, 1) or (1)
  tensor_view<std::int8_t const, 2> weight_zero_point = {};  // as weight_scale; absent: 0
  scale_view                        input_scale       = {};  // (1), of static activations
  tensor_view<std::int8_t const, 1> input_zero_point  = {};  // (1), must be 0; absent: 0
};

struct float_quantized_options {
  int block_rows = 1;  // "block_structure"[0]; 1: strategies "channel", "tensor" and "group"
  int group_size = 0;  // "block_structure"[1] or "group_size"; 0 or -1: strategies "channel" and "tensor"
};

struct float_quantized_tensors {
  tensor_view<e4m3 const, 2> weight;        // (n, k)
  scale_view                 weight_scale;  // (n, 1), (1), (n, groups) or (ceil(n / block_rows), ceil(k / group_size))
  scale_view                 input_scale = {};  // (1), of static activations
};

namespace checkpoint {

/// Scales of the extents that w's format asks for, or one for all where that is one per row.
inline status import_scales(char const* primitive, quantized_weight& w, scale_view const& scale) {
  bool const lone = scale.rows() == 1 && scale.columns() == 1 && w.format.block_rows == 1 && w.format.group == 0;
  if (!lone) {
    extent rows{w.format.block_rows > 1 ? "blocks of outputs" : "outputs", w.scale_rows()},
        groups{"groups", w.groups()};
    TENON_TRY(shaped(primitive, scale, rows, groups));
  }
  return fill_scales(primitive, "weight_scale", w,
                     [&](index_t i, index_t g) { return lone ? scale(0, 0) : scale(i, g); });
}

/// Field i of words that hold whole fields only.
template <class Word>
int word_field(Word const& word, index_t i, int bits) {
  index_t const per_word = 32 / bits;
  return static_cast<int>(static_cast<std::uint32_t>(word(i / per_word)) >> (i % per_word * bits) & field_mask(bits));
}

}  // namespace checkpoint

/// out = the matrix of a pack-quantized checkpoint: int4 for 2 to 4 bits, int8 for 5 to 8
///
/// Codes of 2 and 3 bits become q - z + 8, those of 5 to 8 bits q - z, and need no zero points. Inputs whose groups are not
/// in a row are sorted by group into `order`; inputs of one group keep their order.
///
/// Errors   out_of_range (extents, g_idx, NaN or infinite scales), misaligned, shape_mismatch(outputs, inputs, groups ...),
///          unsupported (other widths; groups of unequal size; symmetric with zero points or asymmetric without, unless the
///          policy is to trust the file; 8-bit codes that leave int8 by their zero point), out_of_memory; then `out` is as
///          before.
/// Test     tests/quant/import_compressed_tensors_test.cpp.   Page docs/operators/import_weights.md.
inline status import_pack_quantized(quantized_weight& out, pack_quantized_tensors const& in,
                                    pack_quantized_options options = {}) {
  constexpr char const* name = "import_pack_quantized";
  int const             bits = options.num_bits;
  if (bits < 2 || bits > 8) return {errc::unsupported, name, "num_bits", bits, 4};
  TENON_TRY(checkpoint::readable(name, "weight_packed", in.weight_packed));
  TENON_TRY(checkpoint::readable(name, "weight_scale", in.weight_scale));
  TENON_TRY(checkpoint::readable(name, "weight_zero_point", in.weight_zero_point));
  TENON_TRY(checkpoint::readable(name, "weight_g_idx", in.weight_g_idx));
  TENON_TRY(checkpoint::readable(name, "weight_shape", in.weight_shape.wide));
  TENON_TRY(checkpoint::readable(name, "weight_shape", in.weight_shape.narrow));
  index_t const per_word = 32 / bits, words = in.weight_packed.extent[1];
  index_t       rows = in.weight_packed.extent[0], columns = words * per_word;
  contract      c{name};
  if (bool const wide = checkpoint::given(in.weight_shape.wide); wide || checkpoint::given(in.weight_shape.narrow)) {
    auto const&   shape = in.weight_shape;
    index_t const two   = wide ? shape.wide.extent[0] : shape.narrow.extent[0];
    if (two != 2) return {errc::shape_mismatch, name, "elements of weight_shape", two, 2};
    index_t const n = wide ? shape.wide(0) : shape.narrow(0), k = wide ? shape.wide(1) : shape.narrow(1);
    if (n != rows) return {errc::shape_mismatch, name, "weight_shape: outputs", n, rows};
    if (k < 0 || k > columns || ceil_div(k, per_word) != words)
      return {errc::shape_mismatch, name, "weight_shape: inputs", k, columns};
    columns = k;
  }
  if (columns > checkpoint::largest_extent)
    return {errc::out_of_range, name, "inputs", columns, checkpoint::largest_extent};
  index_t const group       = checkpoint::columns_per_scale(options.group_size, columns);
  index_t const count       = max(ceil_div(columns, group), index_t{1});
  bool const    zeros_given = checkpoint::given(in.weight_zero_point);
  if (zeros_given) {
    extent zero_words{"words of weight_zero_point", ceil_div(rows, per_word)}, groups{"groups", count};
    c.shape(in.weight_zero_point, zero_words, groups);
  }
  extent inputs{"inputs", columns};
  if (checkpoint::given(in.weight_g_idx)) c.shape(in.weight_g_idx, inputs);
  bool const trust = options.policy == on_contradiction::trust_the_file;
  c.require(trust || options.symmetric || zeros_given, errc::unsupported,
            "weight_zero_point: declared asymmetric, but there is none");
  TENON_TRY(c.result);

  quantized_weight w;
  TENON_TRY(checkpoint::shape_weight(name, w, rows, columns,
                                     {.code        = bits > 4 ? weight_code::int8 : weight_code::int4,
                                      .group       = static_cast<int>(group),
                                      .zero_points = bits == 4 && zeros_given}));
  TENON_TRY(checkpoint::import_scales(name, w, in.weight_scale));
  std::vector<std::int32_t> position;
  // A writer that never ordered the inputs may leave -1 everywhere.
  if (checkpoint::given(in.weight_g_idx) && columns > 0 && in.weight_g_idx(0) != -1)
    TENON_TRY(checkpoint::sort_by_group(name, "weight_g_idx", w, in.weight_g_idx, position));
  else if (checkpoint::given(in.weight_g_idx))
    for (index_t k = 0; k < columns; ++k)
      if (in.weight_g_idx(k) != -1) return {errc::out_of_range, name, "weight_g_idx", in.weight_g_idx(k), -1};

  int const                 middle = 1 << (bits - 1);
  std::vector<std::uint8_t> zero;
  TENON_TRY(checkpoint::allocate(name, zero, rows * count, static_cast<std::uint8_t>(middle)));
  if (zeros_given)
    for (index_t i = 0; i < rows; ++i)
      for (index_t g = 0; g < count; ++g) {
        int const z = checkpoint::word_field([&](index_t word) { return in.weight_zero_point(word, g); }, i, bits);
        if (options.symmetric && !trust && z != middle)
          return {errc::unsupported, name, "weight_zero_point: declared symmetric, but one is not 0", z - middle, 0};
        zero[static_cast<std::size_t>(i * count + g)] = static_cast<std::uint8_t>(z);
      }
  if (w.format.zero_points) w.zeros = zero;
  index_t const misfit = checkpoint::with_bits(bits, [&](auto width) {
    constexpr int b     = decltype(width)::value;
    index_t       wrong = -1;
    for (index_t i = 0; i < rows; ++i)
      for (index_t k = 0; k < columns; ++k) {
        index_t const j = position.empty() ? k : position[static_cast<std::size_t>(k)];
        int const     z = b == 4 ? 8 : zero[static_cast<std::size_t>(i * count + j / group)];
        int const     q = checkpoint::word_field([&](index_t word) { return in.weight_packed(i, word); }, k, b);
        if (!checkpoint::code_of_field(w.codes[static_cast<std::size_t>(i * columns + j)], q, z, b)) wrong = k;
      }
    return wrong;
  });
  if (misfit >= 0)
    return {errc::unsupported, name, "weight_zero_point: an 8-bit code less its zero point is not an int8", misfit, 0};
  checkpoint::drop_symmetric_zeros(w);
  out = std::move(w);
  return {};
}

/// out = the matrix of an int-quantized checkpoint: int8
///
/// A lone scale is repeated for every row; so are zero points, which are subtracted: q - z must be an int8.
///
/// Errors   out_of_range (extents, NaN or infinite scales), misaligned, shape_mismatch(outputs, groups ...), unsupported
///          (an input_zero_point that is not 0; codes that leave int8 by their zero point), out_of_memory; then `out` is as
///          before.
/// Test     tests/quant/import_compressed_tensors_test.cpp.   Page docs/operators/import_weights.md.
inline status import_int_quantized(quantized_weight& out, int_quantized_tensors const& in,
                                   int_quantized_options options = {}) {
  constexpr char const* name = "import_int_quantized";
  TENON_TRY(checkpoint::readable(name, "weight", in.weight));
  TENON_TRY(checkpoint::readable(name, "weight_scale", in.weight_scale));
  TENON_TRY(checkpoint::readable(name, "weight_zero_point", in.weight_zero_point));
  TENON_TRY(checkpoint::readable(name, "input_zero_point", in.input_zero_point));
  index_t const rows = in.weight.extent[0], columns = in.weight.extent[1];
  index_t const group = checkpoint::columns_per_scale(options.group_size, columns);
  if (checkpoint::given(in.input_zero_point))
    for (index_t i = 0; i < in.input_zero_point.extent[0]; ++i)
      if (in.input_zero_point(i) != 0) return {errc::unsupported, name, "input_zero_point", in.input_zero_point(i), 0};
  quantized_weight w;
  bool const       zeros_given = checkpoint::given(in.weight_zero_point);
  bool const       lone_zero   = in.weight_zero_point.extent[0] == 1 && in.weight_zero_point.extent[1] == 1;
  if (zeros_given && !lone_zero) {
    extent outputs{"outputs", rows}, groups{"groups", max(ceil_div(columns, group), index_t{1})};
    TENON_TRY(contract{name}.shape(in.weight_zero_point, outputs, groups).result);
  }
  TENON_TRY(
      checkpoint::shape_weight(name, w, rows, columns, {.code = weight_code::int8, .group = static_cast<int>(group)}));
  TENON_TRY(checkpoint::import_scales(name, w, in.weight_scale));
  TENON_TRY(checkpoint::input_scale_of(name, in.input_scale, w.input_scale));
  for (index_t i = 0; i < rows; ++i)
    for (index_t k = 0; k < columns; ++k) {
      int v = in.weight(i, k);
      if (zeros_given) v -= lone_zero ? in.weight_zero_point(0, 0) : in.weight_zero_point(i, k / group);
      if (v < -128 || v > 127)
        return {errc::unsupported, name, "weight_zero_point: a code less its zero point is not an int8", k, 0};
      w.codes[static_cast<std::size_t>(i * columns + k)] = static_cast<std::uint8_t>(v);
    }
  out = std::move(w);
  return {};
}

/// out = the matrix of a float-quantized checkpoint: fp8 e4m3, weight_scale being the multiplier
///
/// A lone scale is repeated for every row.
///
/// Errors   out_of_range (extents, NaN or infinite scales), misaligned, shape_mismatch(outputs, blocks of outputs, groups),
///          out_of_memory; then `out` is as before.
/// Test     tests/quant/import_compressed_tensors_test.cpp.   Page docs/operators/import_weights.md.
inline status import_float_quantized(quantized_weight& out, float_quantized_tensors const& in,
                                     float_quantized_options options = {}) {
  constexpr char const* name = "import_float_quantized";
  TENON_TRY(checkpoint::readable(name, "weight", in.weight));
  TENON_TRY(checkpoint::readable(name, "weight_scale", in.weight_scale));
  if (options.block_rows < 1) return {errc::out_of_range, name, "block_rows", options.block_rows, 1};
  index_t const    rows = in.weight.extent[0], columns = in.weight.extent[1];
  quantized_weight w;
  TENON_TRY(
      checkpoint::shape_weight(name, w, rows, columns,
                               {.code  = weight_code::fp8,
                                .group = static_cast<int>(checkpoint::columns_per_scale(options.group_size, columns)),
                                .block_rows = options.block_rows}));
  TENON_TRY(checkpoint::import_scales(name, w, in.weight_scale));
  TENON_TRY(checkpoint::input_scale_of(name, in.input_scale, w.input_scale));
  for (index_t i = 0; i < rows; ++i)
    for (index_t k = 0; k < columns; ++k) w.codes[static_cast<std::size_t>(i * columns + k)] = in.weight(i, k).bits;
  out = std::move(w);
  return {};
}

/// A matrix as a pack-quantized file has it. Scales usually have the element of the model's other weights.
template <class Scale = float>
struct pack_quantized_checkpoint {
  pack_quantized_options    options;
  index_t                   rows    = 0;
  index_t                   columns = 0;
  std::vector<std::int32_t> weight_packed;
  std::vector<Scale>        weight_scale;
  std::vector<std::int32_t> weight_zero_point;  // empty: symmetric
  std::vector<std::int32_t> weight_g_idx;       // empty: the inputs are in order
  std::vector<std::int64_t> weight_shape;

  pack_quantized_tensors tensors() const {
    index_t const          per_word = 32 / options.num_bits;
    index_t const          group    = checkpoint::columns_per_scale(options.group_size, columns);
    index_t const          groups   = max(ceil_div(columns, group), index_t{1});
    pack_quantized_tensors t{.weight_packed = dense(weight_packed.data(), rows, ceil_div(columns, per_word)),
                             .weight_scale  = dense(weight_scale.data(), rows, groups),
                             .weight_shape  = dense(weight_shape.data(), 2)};
    if (!weight_zero_point.empty())
      t.weight_zero_point = dense(weight_zero_point.data(), ceil_div(rows, per_word), groups);
    if (!weight_g_idx.empty()) t.weight_g_idx = dense(weight_g_idx.data(), columns);
    return t;
  }
};

/// A matrix as an int-quantized file has it.
template <class Scale = float>
struct int_quantized_checkpoint {
  int_quantized_options    options;
  index_t                  rows    = 0;
  index_t                  columns = 0;
  std::vector<std::int8_t> weight;
  std::vector<Scale>       weight_scale;
  std::vector<float>       input_scale;  // empty or one

  int_quantized_tensors tensors() const {
    index_t const         group = checkpoint::columns_per_scale(options.group_size, columns);
    int_quantized_tensors t{
        .weight       = dense(weight.data(), rows, columns),
        .weight_scale = dense(weight_scale.data(), rows, max(ceil_div(columns, group), index_t{1}))};
    if (!input_scale.empty()) t.input_scale = dense(input_scale.data(), 1);
    return t;
  }
};

/// A matrix as a float-quantized file has it.
template <class Scale = float>
struct float_quantized_checkpoint {
  float_quantized_options options;
  index_t                 rows    = 0;
  index_t                 columns = 0;
  std::vector<e4m3>       weight;
  std::vector<Scale>      weight_scale;
  std::vector<float>      input_scale;  // empty or one

  float_quantized_tensors tensors() const {
    index_t const           group = checkpoint::columns_per_scale(options.group_size, columns);
    float_quantized_tensors t{.weight       = dense(weight.data(), rows, columns),
                              .weight_scale = dense(weight_scale.data(), ceil_div(rows, index_t{options.block_rows}),
                                                    max(ceil_div(columns, group), index_t{1}))};
    if (!input_scale.empty()) t.input_scale = dense(input_scale.data(), 1);
    return t;
  }
};

namespace checkpoint {

template <class Scale>
status export_scales(char const* primitive, std::vector<Scale>& to, quantized_weight const& w) {
  TENON_TRY(allocate(primitive, to, static_cast<index_t>(w.scales.size())));
  for (std::size_t i = 0; i < to.size(); ++i) TENON_TRY(round_scale(primitive, to[i], w.factor * w.scales[i]));
  return {};
}

}  // namespace checkpoint

/// out = an int4 or int8 matrix as a pack-quantized file has it; scales are rounded to its element
///
/// num_bits 0 is 4 for int4 and 8 for int8. With another width every group's codes must lie within 2^bits neighbours; its
/// zero point is 0 where they fit around that, else the one nearest to it. A last group that is not full has as many
/// columns as are left, which other readers of this format may refuse.
///
/// Errors   unsupported (fp8, fp4, blocks, bits that do not hold the codes), out_of_range (scales that become 0 or
///          infinite), out_of_memory.
/// Test     tests/quant/import_compressed_tensors_test.cpp.   Page docs/operators/import_weights.md.
template <class Scale>
status export_pack_quantized(pack_quantized_checkpoint<Scale>& out, quantized_weight const& w, int num_bits = 0) {
  constexpr char const* name = "export_pack_quantized";
  TENON_TRY(checkpoint::well_formed(name, w));
  bool const four  = w.format.code == weight_code::int4;
  int const  bits  = num_bits != 0 ? num_bits : four ? 4 : 8;
  bool const holds = four ? bits >= 2 && bits <= 4 : bits >= 5 && bits <= 8;
  TENON_TRY(contract{name}
                .require(four || w.format.code == weight_code::int8, errc::unsupported,
                         "code: pack-quantized has integers only")
                .require(w.format.block_rows == 1, errc::unsupported, "block_rows", w.format.block_rows, 1)
                .require(holds, errc::unsupported, "num_bits", bits, four ? 4 : 8)
                .result);
  index_t const per_word = 32 / bits, words = ceil_div(w.columns, per_word), groups = w.groups();
  index_t const group  = checkpoint::columns_per_scale(w.format.group, w.columns);
  int const     middle = 1 << (bits - 1);

  pack_quantized_checkpoint<Scale> to;
  to.options = {.num_bits = bits, .group_size = w.format.group};
  to.rows = w.rows, to.columns = w.columns, to.weight_shape = {w.rows, w.columns};
  TENON_TRY(checkpoint::allocate(name, to.weight_packed, w.rows * words));
  TENON_TRY(checkpoint::allocate(name, to.weight_zero_point, ceil_div(w.rows, per_word) * groups));
  TENON_TRY(checkpoint::export_scales(name, to.weight_scale, w));
  if (!w.order.empty()) {
    TENON_TRY(checkpoint::allocate(name, to.weight_g_idx, w.columns));
    for (index_t j = 0; j < w.columns; ++j)
      to.weight_g_idx[static_cast<std::size_t>(w.order[static_cast<std::size_t>(j)])] =
          static_cast<std::int32_t>(j / group);
  }
  auto const put = [&](std::int32_t& word, index_t i, int field) {
    word = static_cast<std::int32_t>(static_cast<std::uint32_t>(word) |
                                     (static_cast<std::uint32_t>(field) << (i % per_word * bits)));
  };
  for (index_t i = 0; i < w.rows; ++i)
    for (index_t g = 0; g < groups; ++g) {
      int z = 0;
      TENON_TRY(checkpoint::zero_of_fields(name, z, w, i, g, bits));
      to.options.symmetric = to.options.symmetric && z == middle;
      put(to.weight_zero_point[static_cast<std::size_t>(i / per_word * groups + g)], i, z);
      for (index_t j = g * group; j < min((g + 1) * group, w.columns); ++j) {
        index_t const k = w.order.empty() ? j : w.order[static_cast<std::size_t>(j)];
        put(to.weight_packed[static_cast<std::size_t>(i * words + k / per_word)], k,
            checkpoint::integer_of(w, i, j, g) + z);
      }
    }
  if (to.options.symmetric) to.weight_zero_point.clear();
  out = std::move(to);
  return {};
}

/// out = an int8 matrix as an int-quantized file has it; scales are rounded to its element
///
/// Errors   unsupported (not int8, blocks, an order of inputs), out_of_range (scales that become 0 or infinite),
///          out_of_memory.
/// Test     tests/quant/import_compressed_tensors_test.cpp.   Page docs/operators/import_weights.md.
template <class Scale>
status export_int_quantized(int_quantized_checkpoint<Scale>& out, quantized_weight const& w) {
  constexpr char const* name = "export_int_quantized";
  TENON_TRY(checkpoint::well_formed(name, w));
  TENON_TRY(contract{name}
                .require(w.format.code == weight_code::int8, errc::unsupported, "code: int-quantized has int8 only")
                .require(w.format.block_rows == 1, errc::unsupported, "block_rows", w.format.block_rows, 1)
                .require(w.order.empty(), errc::unsupported, "order: int-quantized has none")
                .result);
  int_quantized_checkpoint<Scale> to;
  to.options = {.group_size = w.format.group};
  to.rows = w.rows, to.columns = w.columns;
  TENON_TRY(checkpoint::export_scales(name, to.weight_scale, w));
  TENON_TRY(checkpoint::allocate(name, to.weight, w.rows * w.columns));
  for (std::size_t i = 0; i < to.weight.size(); ++i) to.weight[i] = static_cast<std::int8_t>(w.codes[i]);
  if (w.input_scale) to.input_scale.push_back(*w.input_scale);
  out = std::move(to);
  return {};
}

/// out = an fp8 matrix as a float-quantized file has it; scales are rounded to its element
///
/// Errors   unsupported (not fp8, an order of inputs), out_of_range (scales that become 0 or infinite), out_of_memory.
/// Test     tests/quant/import_compressed_tensors_test.cpp.   Page docs/operators/import_weights.md.
template <class Scale>
status export_float_quantized(float_quantized_checkpoint<Scale>& out, quantized_weight const& w) {
  constexpr char const* name = "export_float_quantized";
  TENON_TRY(checkpoint::well_formed(name, w));
  TENON_TRY(contract{name}
                .require(w.format.code == weight_code::fp8, errc::unsupported, "code: float-quantized has fp8 only")
                .require(w.order.empty(), errc::unsupported, "order: float-quantized has none")
                .result);
  float_quantized_checkpoint<Scale> to;
  to.options = {.block_rows = w.format.block_rows, .group_size = w.format.group};
  to.rows = w.rows, to.columns = w.columns;
  TENON_TRY(checkpoint::export_scales(name, to.weight_scale, w));
  TENON_TRY(checkpoint::allocate(name, to.weight, w.rows * w.columns, e4m3::from_bits(0)));
  for (std::size_t i = 0; i < to.weight.size(); ++i) to.weight[i] = e4m3::from_bits(w.codes[i]);
  if (w.input_scale) to.input_scale.push_back(*w.input_scale);
  out = std::move(to);
  return {};
}

}  // namespace tenon
