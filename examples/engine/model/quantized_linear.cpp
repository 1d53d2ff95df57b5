#include "engine/model/quantized_linear.hpp"

#include <tenon/core/throw_if.hpp>
#include <tenon/quant/import_awq.hpp>
#include <tenon/quant/import_block_fp8.hpp>
#include <tenon/quant/import_compressed_tensors.hpp>
#include <tenon/quant/import_gptq.hpp>
#include <tenon/quant/import_microscaling.hpp>
#include <tenon/quant/pack_weight.hpp>
#include <tenon/quant/quantize_weight.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>

#include "engine/error.hpp"

namespace tenon::engine {
namespace {

std::string shape_text(std::vector<std::int64_t> const& shape) {
  std::string s = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + "]";
}

/// Views of one module's tensors. Those that do not lie where their type may are copied.
class module_tensors {
 public:
  module_tensors(checkpoint const& files, std::string name) : files_(files), name_(std::move(name)) {}

  tensor_info const* find(char const* suffix) const { return files_.find(name_ + "." + suffix); }

  /// A tensor of one of `types` and at most two extents.
  template <class T>
  tensor_view<T const, 2> matrix(char const* suffix, std::initializer_list<dtype> types, bool needed = true) {
    tensor_info const* t = find(suffix);
    if (!t && !needed) return {};
    check(t, suffix, types);
    auto const [rows, columns] = extents(*t);
    return tenon::dense(static_cast<T const*>(aligned(*t)), rows, columns);
  }
  template <class T>
  tensor_view<T const, 1> vector(char const* suffix, std::initializer_list<dtype> types) {
    tensor_info const* t = find(suffix);
    if (!t) return {};
    check(t, suffix, types);
    return tenon::dense(static_cast<T const*>(aligned(*t)), t->elements());
  }
  scale_view scales(char const* suffix, bool needed = true) {
    tensor_info const* t = find(suffix);
    if (!t && !needed) return {};
    check(t, suffix, {dtype::f32, dtype::f16, dtype::bf16, dtype::f8_e4m3, dtype::f8_e8m0, dtype::u8});
    auto const e               = t->type == dtype::f32       ? scale_element::f32
                                 : t->type == dtype::f16     ? scale_element::f16
                                 : t->type == dtype::bf16    ? scale_element::bf16
                                 : t->type == dtype::f8_e4m3 ? scale_element::e4m3
                                                             : scale_element::ue8m0;
    auto const [rows, columns] = extents(*t);
    return {aligned(*t), e, rows, columns};
  }
  weight_shape_view shape(char const* suffix) {
    tensor_info const* t = find(suffix);
    if (!t) return {};
    if (t->type == dtype::i32) return vector<std::int32_t>(suffix, {dtype::i32});
    return vector<std::int64_t>(suffix, {dtype::i64});
  }

  std::string subject(char const* suffix) const { return files_.name() + ": tensor " + name_ + "." + suffix; }
  std::string subject() const { return files_.name() + ": module " + name_; }

 private:
  void check(tensor_info const* t, char const* suffix, std::initializer_list<dtype> types) const {
    std::string known;
    for (dtype const d : types) known.append(known.empty() ? "" : " or ").append(name_of(d));
    if (!t) throw wrong(subject(suffix), "is missing", "none", "one of " + known);
    if (std::find(types.begin(), types.end(), t->type) == types.end())
      throw wrong(subject(suffix), "has an unsupported type", name_of(t->type), known);
    if (t->shape.size() > 2)
      throw wrong(subject(suffix), "has the wrong shape", shape_text(t->shape), "at most two extents");
  }
  static std::pair<index_t, index_t> extents(tensor_info const& t) {
    return {t.shape.empty() ? 1 : t.shape[0], t.shape.size() < 2 ? 1 : t.shape[1]};
  }
  void const* aligned(tensor_info const& t) {
    if (reinterpret_cast<std::uintptr_t>(t.bytes.data()) % bytes_of(t.type) == 0) return t.bytes.data();
    auto& copy = copies_.emplace_back((t.bytes.size() + 7) / 8);
    std::memcpy(copy.data(), t.bytes.data(), t.bytes.size());
    return copy.data();
  }

  checkpoint const&                      files_;
  std::string                            name_;
  std::deque<std::vector<std::uint64_t>> copies_;
};

status import_module(quantized_weight& to, module_tensors& t, stored_format const& s) {
  auto const words = {dtype::i32};
  switch (s.as) {
    case stored_weight::awq:
      return import_awq(to,
                        {.qweight = t.matrix<std::int32_t>("qweight", words),
                         .qzeros  = t.matrix<std::int32_t>("qzeros", words),
                         .scales  = t.scales("scales")},
                        {.group_size = s.group, .version = s.along_input ? awq_version::gemv : awq_version::gemm});
    case stored_weight::gptq:
      return import_gptq(to,
                         {.qweight = t.matrix<std::int32_t>("qweight", words),
                          .qzeros  = t.matrix<std::int32_t>("qzeros", words, false),
                          .scales  = t.scales("scales"),
                          .g_idx   = t.vector<std::int32_t>("g_idx", words)},
                         {.bits       = s.bits,
                          .group_size = s.group,
                          .zeros      = s.one_less ? gptq_zeros::one_less : gptq_zeros::as_is,
                          .sym        = s.symmetric});
    case stored_weight::pack_quantized:
      return import_pack_quantized(to,
                                   {.weight_packed     = t.matrix<std::int32_t>("weight_packed", words),
                                    .weight_scale      = t.scales("weight_scale"),
                                    .weight_zero_point = t.matrix<std::int32_t>("weight_zero_point", words, false),
                                    .weight_g_idx      = t.vector<std::int32_t>("weight_g_idx", words),
                                    .weight_shape      = t.shape("weight_shape")},
                                   {.num_bits = s.bits, .group_size = s.group, .symmetric = s.symmetric});
    case stored_weight::int_quantized:
      return import_int_quantized(to,
                                  {.weight            = t.matrix<std::int8_t>("weight", {dtype::i8}),
                                   .weight_scale      = t.scales("weight_scale"),
                                   .weight_zero_point = t.matrix<std::int8_t>("weight_zero_point", {dtype::i8}, false),
                                   .input_scale       = t.scales("input_scale", s.static_input),
                                   .input_zero_point  = t.vector<std::int8_t>("input_zero_point", {dtype::i8})},
                                  {.group_size = s.group});
    case stored_weight::float_quantized:
      return import_float_quantized(to,
                                    {.weight       = t.matrix<e4m3>("weight", {dtype::f8_e4m3}),
                                     .weight_scale = t.scales("weight_scale"),
                                     .input_scale  = t.scales("input_scale", s.static_input)},
                                    {.block_rows = s.block_rows, .group_size = s.group});
    case stored_weight::block_fp8:
      return import_block_fp8(
          to, {.weight = t.matrix<e4m3>("weight", {dtype::f8_e4m3}), .weight_scale_inv = t.scales("weight_scale_inv")},
          {.block_rows = s.block_rows, .block_columns = s.group});
    case stored_weight::nvfp4:
      return import_nvfp4(to, {.weight_packed       = t.matrix<std::uint8_t>("weight_packed", {dtype::u8}),
                               .weight_scale        = t.scales("weight_scale"),
                               .weight_global_scale = t.scales("weight_global_scale")});
    case stored_weight::mxfp4:
      return import_mxfp4(to, {.weight_packed = t.matrix<std::uint8_t>("weight_packed", {dtype::u8}),
                               .weight_scale  = t.scales("weight_scale")});
  }
  return {errc::unsupported, "import", "format"};
}

bool is_power_of_two(float v) {
  int exponent = 0;
  return std::frexp(v, &exponent) == 0.5f;
}

/// Scales times what all have in common, so that matrices of different factors can be joined: exact for powers of two.
void fold_factor(quantized_weight& w) {
  for (float& s : w.scales) s *= w.factor;
  w.factor = 1;
}

/// Zero points of 8, said aloud.
void add_zero_points(quantized_weight& w) {
  if (w.format.zero_points) return;
  w.format.zero_points = true;
  w.zeros.assign(static_cast<std::size_t>(w.rows * w.groups()), 8);
}

/// Whether rows of both may stand in one matrix.
bool may_join(quantized_linear const& a, quantized_linear const& b) {
  auto const& f = a.weight.format;
  auto const& g = b.weight.format;
  bool const  factors =
      a.weight.factor == b.weight.factor || (is_power_of_two(a.weight.factor) && is_power_of_two(b.weight.factor));
  return factors && f.code == g.code && f.group == g.group && f.block_rows == g.block_rows &&
         a.weight.columns == b.weight.columns && a.weight.order == b.weight.order && a.inputs == b.inputs;
}

/// The factor that all have, or 1 where theirs must be folded into the scales.
float common_factor(std::span<quantized_linear const> parts) {
  float const first = parts.front().weight.factor;
  return std::all_of(parts.begin(), parts.end(), [&](auto const& p) { return p.weight.factor == first; }) ? first : 1.f;
}

/// The part of `from` that row `row` has, behind what `to` has already; a row of zeros for -1.
template <class T>
void append_row(std::vector<T>& to, std::vector<T> const& from, index_t row, index_t width, T fill) {
  if (row < 0) to.insert(to.end(), static_cast<std::size_t>(width), fill);
  else to.insert(to.end(), from.begin() + row * width, from.begin() + (row + 1) * width);
}

/// A matrix of the same format without rows yet.
quantized_linear start_of(quantized_linear const& like, bool zero_points, float factor, index_t rows) {
  quantized_linear l;
  l.inputs                    = like.inputs;
  l.weight.format             = like.weight.format;
  l.weight.format.zero_points = zero_points;
  l.weight.factor             = factor;
  l.weight.columns            = like.weight.columns;
  l.weight.order              = like.weight.order;
  l.weight.codes.reserve(static_cast<std::size_t>(rows * like.weight.columns));
  return l;
}

/// Appends rows of a format whose scales belong to one row each.
void append(quantized_linear& to, quantized_weight const& from, index_t row) {
  quantized_weight&  w      = to.weight;
  std::uint8_t const nought = w.format.code == weight_code::int4 ? 8 : 0;
  append_row(w.codes, from.codes, row, w.columns, nought);
  append_row(w.scales, from.scales, row, w.groups(), 0.f);
  if (w.format.zero_points) append_row(w.zeros, from.zeros, row, w.groups(), std::uint8_t{8});
  ++w.rows;
}

}  // namespace

weight_format format_of(quantize_choice choice, std::int64_t hidden) {
  switch (choice) {
    case quantize_choice::w4a16: return {.code = weight_code::int4, .group = hidden >= 1024 ? 128 : 32};
    case quantize_choice::fp8: return {.code = weight_code::fp8};
    case quantize_choice::fp8_block: return {.code = weight_code::fp8, .group = 128, .block_rows = 128};
    default: return {.code = weight_code::int8};
  }
}

weight_format format_of(stored_format const& s) {
  bool const fp8 = s.as == stored_weight::float_quantized || s.as == stored_weight::block_fp8;
  bool const fp4 = s.as == stored_weight::nvfp4 || s.as == stored_weight::mxfp4;
  return {.code        = fp4           ? weight_code::fp4
                         : fp8         ? weight_code::fp8
                         : s.bits <= 4 ? weight_code::int4
                                       : weight_code::int8,
          .group       = s.group,
          .block_rows  = s.block_rows,
          .zero_points = s.as == stored_weight::awq || (s.bits == 4 && !fp4 && !s.symmetric)};
}

std::optional<quantized_linear> read_quantized(checkpoint const& files, quantization_config const& config,
                                               std::string const& name, index_t outputs, index_t inputs) {
  auto const stored = config.format_of(name);
  if (!stored) return {};
  module_tensors     tensors(files, name);
  tensor_info const* plain = tensors.find("weight");
  if (plain && (plain->type == dtype::f32 || plain->type == dtype::f16 || plain->type == dtype::bf16)) return {};
  quantized_linear l;
  if (status const s = import_module(l.weight, tensors, *stored); !s.ok())
    throw error(tensors.subject() + ": " + describe(s));
  if (l.weight.rows != outputs || l.weight.columns != inputs)
    throw wrong(tensors.subject(), "has the wrong shape", shape_text({l.weight.rows, l.weight.columns}),
                shape_text({outputs, inputs}));
  l.inputs.kind  = stored->inputs;
  l.inputs.group = stored->input_group < inputs ? stored->input_group : 0;
  if (stored->static_input && l.weight.input_scale) l.inputs.scale = *l.weight.input_scale;
  return l;
}

quantized_linear quantize(quantize_choice choice, std::int64_t hidden, tensor_view<float const, 2> w,
                          std::string const& name) {
  quantized_linear l;
  bool const       fp8 = choice == quantize_choice::fp8 || choice == quantize_choice::fp8_block;
  status const     s   = quantize_weight(l.weight, w, format_of(choice, hidden),
                                         {.method = fp8 ? weight_scale_method::absmax : weight_scale_method::searched});
  if (!s.ok()) throw error("--quantize: module " + name + ": " + describe(s));
  if (choice == quantize_choice::w8a8) l.inputs.kind = input_kind::int8;
  if (fp8) l.inputs.kind = input_kind::fp8;
  if (choice == quantize_choice::fp8_block && w.extent[1] > l.weight.format.group) l.inputs.group = 128;
  return l;
}

bool fit_to_layout(quantized_linear& l) {
  quantized_weight& w = l.weight;
  weight_format&    f = w.format;
  if (f.block_rows > 1 && f.group == 0)  // blocks as wide as the matrix: one, that its columns do not fill
    f.group = static_cast<int>(round_up(max(w.columns, index_t{1}), index_t{packed::atom_columns}));
  if (f.block_rows > 1)
    return f.code == weight_code::fp8 && f.block_rows % packed::panel_rows == 0 && f.group % packed::atom_columns == 0;
  if (f.group == 0) return true;
  if (f.code == weight_code::fp8) return false;
  if (f.group % packed::atom_columns == 0 || f.group == 32 || f.group == 16) return true;
  int const part = f.group % 32 == 0 ? 32 : 16;
  if (f.group % part != 0) return false;
  index_t const groups = w.groups(), parts = ceil_div(w.columns, index_t{part});
  auto const    split = [&](auto& values) {
    std::remove_reference_t<decltype(values)> out;
    out.reserve(static_cast<std::size_t>(w.rows * parts));
    for (index_t i = 0; i < w.rows; ++i)
      for (index_t p = 0; p < parts; ++p)
        out.push_back(values[static_cast<std::size_t>(i * groups + p * part / f.group)]);
    values = std::move(out);
  };
  split(w.scales);
  if (f.zero_points) split(w.zeros);
  f.group = part;
  return true;
}

bool stack(quantized_linear& to, std::span<quantized_linear const> parts) {
  index_t rows  = 0;
  bool    zeros = false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto const& w            = parts[i].weight;
    bool const  whole_blocks = i + 1 == parts.size() || w.rows % w.format.block_rows == 0;
    if (!may_join(parts.front(), parts[i]) || !whole_blocks) return false;
    zeros = zeros || w.format.zero_points;
    rows += w.rows;
  }
  float const factor = common_factor(parts);
  to                 = start_of(parts.front(), zeros, factor, rows);
  for (auto const& part : parts) {
    quantized_weight w = part.weight;
    if (w.factor != factor) fold_factor(w);
    if (zeros) add_zero_points(w);
    auto const join = [](auto& all, auto const& more) { all.insert(all.end(), more.begin(), more.end()); };
    join(to.weight.codes, w.codes), join(to.weight.scales, w.scales), join(to.weight.zeros, w.zeros);
  }
  to.weight.rows = rows;
  return true;
}

bool interleave_rows(quantized_linear& to, quantized_linear const& gate, quantized_linear const& up) {
  if (!may_join(gate, up) || gate.weight.rows != up.weight.rows || gate.weight.format.block_rows > 1) return false;
  bool const       zeros    = gate.weight.format.zero_points || up.weight.format.zero_points;
  quantized_weight parts[2] = {gate.weight, up.weight};
  float const      factor   = gate.weight.factor == up.weight.factor ? gate.weight.factor : 1.f;
  for (auto& w : parts) {
    if (w.factor != factor) fold_factor(w);
    if (zeros) add_zero_points(w);
  }
  index_t const rows = gate.weight.rows, padded = round_up(rows, index_t{8});
  to = start_of(gate, zeros, factor, 2 * padded);
  for (index_t first = 0; first < padded; first += 8)
    for (auto const& w : parts)
      for (index_t row = first; row < first + 8; ++row) append(to, w, row < rows ? row : -1);
  return true;
}

input_form inputs_of_product(weight_format const& f, input_form const& asked) {
  bool const int8 = asked.kind == input_kind::int8 && f.code == weight_code::int8 && f.group == 0 && asked.group == 0;
  bool const fp8 =
      asked.kind == input_kind::fp8 && f.code == weight_code::fp8 && asked.group % packed::atom_columns == 0;
  return int8 || fp8 ? asked : input_form{};
}

packed_bytes pack(quantized_linear const& l, std::string const& name) {
  packed_bytes p;
  p.inputs               = inputs_of_product(l.weight.format, l.inputs);
  pack_order const order = p.inputs.kind == input_kind::plain ? pack_order::pairs : pack_order::quads;
  packed_matrix    m;
  if (status const s = pack_weight(m, l.weight, order); !s.ok()) throw error("module " + name + ": " + describe(s));
  p.layout = m.layout;
  p.bytes  = std::move(m.bytes);
  return p;
}

}  // namespace tenon::engine
