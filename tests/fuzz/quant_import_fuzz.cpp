//  Any tensors as a quantised checkpoint: a status, or a well-formed matrix that survives its own round trip.
#include <tenon/quant/import_awq.hpp>
#include <tenon/quant/import_block_fp8.hpp>
#include <tenon/quant/import_compressed_tensors.hpp>
#include <tenon/quant/import_gptq.hpp>
#include <tenon/quant/import_microscaling.hpp>
#include <tenon/quant/import_modelopt.hpp>
#include <tenon/quant/plausibility.hpp>

#include <concepts>
#include <cstdlib>
#include <cstring>
#include <list>
#include <memory>
#include <utility>

namespace {

using namespace tenon;

/// Options, extents and elements out of the fuzzer's bytes; every tensor has memory of its own, of exactly its size.
class source {
 public:
  source(std::uint8_t const* data, std::size_t size) : data_(data), size_(size) {}

  std::uint8_t byte() { return at_ < size_ ? data_[at_++] : 0; }
  int          one_of(std::initializer_list<int> choices) { return choices.begin()[byte() % choices.size()]; }

  /// A tensor of these extents, or, sometimes, of others: small, negative or far too large.
  template <class T, std::convertible_to<index_t>... Extent>
  tensor_view<T const, static_cast<int>(sizeof...(Extent))> tensor(Extent... expected) {
    auto v    = dense(static_cast<T const*>(nullptr), expected...);
    bool huge = false;
    for (index_t& e : v.extent) {
      std::uint8_t const change = byte();
      if (change > 240) e = byte() % 48;
      if (change == 240) e = index_t{1} << (31 + byte() % 32), huge = true;
      if (change == 239) e = -1, huge = true;
    }
    auto const elements = huge ? 1 : static_cast<std::size_t>(v.size());
    if (byte() == 255) return {};
    memory_.push_back(std::make_unique<std::uint8_t[]>(elements * sizeof(T)));
    std::uint8_t* const to = memory_.back().get();
    for (std::size_t i = 0; i < elements * sizeof(T); ++i) to[i] = size_ == 0 ? 0 : data_[(at_ + i) % size_];
    v.data       = reinterpret_cast<T const*>(to);
    index_t step = huge ? 0 : 1;  // one element stands for all of them
    for (int d = static_cast<int>(sizeof...(Extent)); d-- > 0;) v.stride[d] = step, step *= huge ? 0 : v.extent[d];
    return v;
  }

  /// The groups of inputs in any order.
  tensor_view<std::int32_t const, 1> groups(index_t inputs, index_t group) {
    auto const v = tensor<std::int32_t>(inputs);
    if (v.data == nullptr || v.stride[0] == 0 || byte() % 4 == 0) return v;
    auto* const to = reinterpret_cast<std::int32_t*>(memory_.back().get());
    for (index_t k = 0; k < v.extent[0]; ++k) to[k] = static_cast<std::int32_t>(k / group);
    for (index_t k = 0; k < v.extent[0]; ++k) std::swap(to[k], to[byte() % v.extent[0]]);
    return v;
  }

  scale_view scales(index_t rows, index_t columns) {
    switch (byte() % 8) {
      case 0: return tensor<float>(rows, columns);
      case 1: return tensor<f16>(rows, columns);
      case 2: return tensor<e4m3>(rows, columns);
      case 3: return tensor<ue8m0>(rows, columns);
      default: return tensor<bf16>(rows, columns);
    }
  }
  template <class T>
  scale_view scales_of(index_t rows, index_t columns) {
    return byte() == 255 ? scales(rows, columns) : scale_view(tensor<T>(rows, columns));
  }

 private:
  std::uint8_t const*                        data_;
  std::size_t                                size_, at_ = 0;
  std::list<std::unique_ptr<std::uint8_t[]>> memory_;
};

void require(bool holds) {
  if (!holds) std::abort();
}

bool same(quantized_weight const& a, quantized_weight const& b) {
  return a.format == b.format && a.codes == b.codes && a.zeros == b.zeros && a.order == b.order && a.rows == b.rows &&
         a.columns == b.columns && a.scales == b.scales;
}

/// What every importer promises.
bool accepted(status const& s, quantized_weight const& w) {
  require(std::strncmp(s.primitive, s.ok() ? "" : "import_", s.ok() ? 0 : 7) == 0);
  if (!s.ok()) {
    require(w.rows == 77 && w.codes.empty() && to_string(s.code) != nullptr && std::strlen(s.subject) > 0);
    return false;
  }
  require(checkpoint::well_formed("fuzz", w).ok());
  for (float const v : w.scales) require(std::isfinite(v));
  require(!to_string(weight_plausibility(w)).empty());
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  source           from(data, size);
  quantized_weight w, again;
  w.rows              = 77;
  auto const    kind  = from.byte() % 9;
  auto const    trust = from.byte() % 2 == 0 ? on_contradiction::refuse : on_contradiction::trust_the_file;
  int const     group = from.one_of({-1, 0, 1, 8, 16, 32, 5, 0x7fffffff, -0x7fffffff});
  index_t const n = from.one_of({32, 8, 64, 13, 1, 0}), k = from.one_of({64, 32, 96, 8, 46, 1, 0});
  index_t const step = checkpoint::columns_per_scale(group, k), g = max(ceil_div(k, step), index_t{1});
  switch (kind) {
    case 0: {
      awq_options const     o{.group_size = group, .version = from.byte() % 2 ? awq_version::gemv : awq_version::gemm};
      index_t const         w8   = checkpoint::awq_gemv_zero_words(g, step);
      bool const            gemm = o.version == awq_version::gemm;
      awq_tensors const     in{from.tensor<std::int32_t>(gemm ? k : n, gemm ? n / 8 : k / 8),
                           from.tensor<std::int32_t>(gemm ? g : n, gemm ? n / 8 : w8),
                           from.scales(gemm ? g : n, gemm ? n : 8 * w8)};
      awq_checkpoint<float> file;
      if (!accepted(import_awq(w, in, o), w)) break;
      require(export_awq(file, w, o.version).ok() && import_awq(again, file.tensors(), file.options).ok());
      require(w.codes.empty() || same(w, again));
      break;
    }
    case 1: {
      gptq_options const     o{.bits       = from.one_of({4, 3, 2, 8, 5, 0, -1, 40}),
                               .group_size = group,
                               .zeros      = from.byte() % 2 ? gptq_zeros::as_is : gptq_zeros::one_less,
                               .sym        = from.byte() % 2 == 0,
                               .policy     = trust};
      gptq_tensors const     in{from.tensor<std::int32_t>(k * max(o.bits, 0) / 32, n),
                            from.tensor<std::int32_t>(g, n * max(o.bits, 0) / 32), from.scales(g, n),
                            from.groups(k, step)};
      gptq_checkpoint<float> file;
      if (!accepted(import_gptq(w, in, o), w)) break;
      if (!export_gptq(file, w, {.bits = o.bits}).ok()) break;  // outputs that are not whole words
      file.options.policy = on_contradiction::trust_the_file;
      require(import_gptq(again, file.tensors(), file.options).ok());
      require(w.codes.empty() || same(w, again));
      break;
    }
    case 2: {
      pack_quantized_options const o{.num_bits   = from.one_of({4, 3, 2, 8, 5, 6, 7, 0, 33}),
                                     .group_size = group,
                                     .symmetric  = from.byte() % 2 == 0,
                                     .policy     = trust};
      index_t const                per = max(32 / max(o.num_bits, 1), 1);
      pack_quantized_tensors       in{from.tensor<std::int32_t>(n, ceil_div(k, per)),
                                from.scales(n, g),
                                from.tensor<std::int32_t>(ceil_div(n, per), g),
                                from.groups(k, step),
                                {}};
      std::int64_t const           shape[2] = {in.weight_packed.extent[0], from.byte() % 4 == 0 ? from.byte() : k};
      if (from.byte() % 2) in.weight_shape = dense(shape, 2);
      pack_quantized_checkpoint<float> file;
      if (!accepted(import_pack_quantized(w, in, o), w)) break;
      require(export_pack_quantized(file, w, o.num_bits).ok());
      require(import_pack_quantized(again, file.tensors(), file.options).ok());
      require(w.codes.empty() || same(w, again));
      break;
    }
    case 3: {
      int_quantized_tensors const in{from.tensor<std::int8_t>(n, k), from.scales(n, g), from.tensor<std::int8_t>(n, g),
                                     from.scales(1, 1), from.tensor<std::int8_t>(1)};
      int_quantized_checkpoint<float> file;
      if (!accepted(import_int_quantized(w, in, {.group_size = group}), w)) break;
      require(export_int_quantized(file, w).ok());
      require(import_int_quantized(again, file.tensors(), file.options).ok() && same(w, again));
      break;
    }
    case 4: {
      float_quantized_options const     o{.block_rows = from.one_of({1, 4, 0, -1, 0x7fffffff}), .group_size = group};
      float_quantized_tensors const     in{from.tensor<e4m3>(n, k),
                                       from.scales(ceil_div(n, max(index_t{o.block_rows}, index_t{1})), g),
                                       from.scales(1, 1)};
      float_quantized_checkpoint<float> file;
      if (!accepted(import_float_quantized(w, in, o), w)) break;
      require(export_float_quantized(file, w).ok());
      require(import_float_quantized(again, file.tensors(), file.options).ok() && same(w, again));
      break;
    }
    case 5: {
      block_fp8_options const o{.block_rows    = from.one_of({1, 4, 0, 128, 0x7fffffff}),
                                .block_columns = group,
                                .sense         = static_cast<scale_sense>(from.byte() % 3)};
      accepted(
          import_block_fp8(
              w, {from.tensor<e4m3>(n, k), from.scales(ceil_div(n, max(index_t{o.block_rows}, index_t{1})), g)}, o),
          w);
      break;
    }
    case 6: {
      nvfp4_tensors const in{from.tensor<std::uint8_t>(n, k / 2),
                             from.scales_of<e4m3>(n, max(ceil_div(k / 2 * 2, index_t{16}), index_t{1})),
                             from.scales(1, 1)};
      accepted(import_nvfp4(w, in, {.policy = trust}), w);
      break;
    }
    case 7: {
      mxfp4_tensors const   in{from.tensor<std::uint8_t>(n, k / 2),
                             from.scales_of<ue8m0>(n, max(ceil_div(k / 2 * 2, index_t{32}), index_t{1}))};
      fp4_checkpoint<ue8m0> file;
      if (!accepted(import_mxfp4(w, in), w)) break;
      require(export_fp4(file, w).ok() && import_mxfp4(again, file.mxfp4()).ok() && same(w, again));
      break;
    }
    default: {
      modelopt_int4_tensors const     in{from.tensor<std::uint8_t>(n / 2, k), from.scales(n / 2 * 2, g),
                                     from.byte() % 2 ? from.scales(k, 1) : scale_view{}};
      modelopt_int4_checkpoint<float> file;
      if (!accepted(import_modelopt_int4(w, in, {.group_size = group}), w)) break;
      require(export_modelopt_int4(file, w).ok());
      require(import_modelopt_int4(again, file.tensors(), file.options).ok() && same(w, again));
    }
  }
  return 0;
}
