#pragma once
//  From a checkpoint (or a seed) to the matrices of a decoder, on the host, in the form in which the device takes them: q, k
//  and v joined by rows, gate and up interleaved by eights, linear layers dense or packed.
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/packed_weight.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/files/hf_config.hpp"
#include "engine/files/safetensors.hpp"
#include "engine/model/decoder.hpp"
#include "engine/model/quantized_linear.hpp"

namespace tenon::engine {

/// The products of a layer.
enum class product : std::uint8_t { qkv, attention_out, gate_up, down };

/// The norms of a layer.
enum class layer_norm : std::uint8_t { before_attention, after_attention, before_mlp, after_mlp, q, k };

/// y = x W^T + bias, before it is on the device.
struct host_linear {
  index_t                   outputs = 0, inputs = 0;
  std::vector<std::byte>    weight;  // (outputs, inputs) in the decoder's number format; empty where it is packed
  packed_bytes              packed;  // bytes empty where it is dense
  std::vector<std::int32_t> order;   // (inputs): column j of a packed weight multiplies input order[j]; empty: its own
  std::vector<std::byte>    bias;    // (outputs) in the decoder's number format, or empty
};

/// Layers of the same input side by side: one matrix where theirs could be joined, else one of each.
struct host_linear_set {
  std::vector<host_linear> parts;
  index_t                  outputs     = 0;  // of all modules
  index_t                  inputs      = 0;
  bool                     interleaved = false;  // one part, gate and up rows in turns of eight
};

class weight_loader {
 public:
  /// `files` null: random weights that the seed fixes. All are kept by reference.
  weight_loader(model_config const& config, checkpoint const* files, std::uint64_t seed, number_format format,
                load_options const& options)
      : config_(config), files_(files), seed_(seed), format_(format), options_(options) {}

  [[nodiscard]] layer_shape            shape(std::size_t layer) const;
  [[nodiscard]] std::vector<std::byte> embedding() const;  // (vocabulary, hidden)
  [[nodiscard]] std::vector<std::byte> head() const;       // (vocabulary, hidden); empty where it is the embedding
  [[nodiscard]] std::vector<float>     final_norm() const;
  [[nodiscard]] std::vector<float>     norm(std::size_t layer, layer_norm which) const;
  /// Of keys and of values in an fp8 cache: two, or none.
  [[nodiscard]] std::vector<float> kv_scales(std::size_t layer) const;

  /// Hands over every product of every layer, several threads at a time where weights are quantised.
  void each_product(std::function<void(std::size_t layer, product, host_linear_set&&)> const& sink) const;

 private:
  struct loaded_module;
  using names = std::vector<std::pair<std::string, index_t>>;  // modules and their outputs

  bool               has(std::string const& name) const { return files_ && files_->find(name) != nullptr; }
  std::vector<float> read_norm(std::string const& name, index_t width) const;
  /// Row-major (rows, columns) in `format`. A vector has one column.
  std::vector<std::byte> read(std::string const& name, index_t rows, index_t columns, number_format format,
                              bool norm = false) const;

  std::vector<loaded_module> load(names const& modules, index_t inputs, bool bias) const;
  host_linear_set            load_stack(names const& modules, index_t inputs, bool bias) const;
  host_linear_set            load_pair(std::string const& gate, std::string const& up, index_t outputs, index_t inputs,
                                       bool bias) const;

  model_config const& config_;
  checkpoint const*   files_;
  std::uint64_t       seed_;
  number_format       format_;
  load_options const& options_;
};

}  // namespace tenon::engine
