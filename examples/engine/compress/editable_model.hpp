#pragma once
//  A model in memory, in f32, that can be cut: layers, attention halves and MLP halves go, names and shapes follow.
#include <tenon/quant/quantized_weight.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/files/hf_config.hpp"
#include "engine/files/safetensors.hpp"
#include "engine/model/decoder.hpp"

namespace tenon::engine {

/// The parts of a layer that can go by themselves.
enum class layer_half : std::uint8_t { attention, mlp };

class editable_model {
 public:
  struct tensor {
    dtype                     stored = dtype::f32;  // in the file that it came from
    std::vector<std::int64_t> shape;
    std::vector<float>        values;  // row-major
  };

  /// All tensors of a model directory. Throws `error` where weights are quantised or not of 16 or 32 bits.
  editable_model(std::string const& directory, model_config config, checkpoint const& files);

  [[nodiscard]] model_config const& config() const { return config_; }
  [[nodiscard]] std::size_t         layers() const { return config_.shapes.size(); }
  /// The layer of the uncut model that layer `i` was.
  [[nodiscard]] std::size_t origin(std::size_t i) const { return origin_[i]; }
  [[nodiscard]] bool        has(std::size_t i, layer_half half) const;

  void drop_layer(std::size_t i);
  void drop_half(std::size_t i, layer_half half);

  /// Of layer i's MLP only the neurons `kept`, ascending; `down` (hidden, kept) becomes its down_proj.
  void keep_neurons(std::size_t i, std::vector<std::int64_t> const& kept, std::vector<float> down);

  /// The matrix of a module of layer i: "mlp.up_proj".
  [[nodiscard]] tensor const& matrix(std::size_t i, std::string const& module) const;
  /// What the module adds to its product; empty: nothing.
  [[nodiscard]] std::vector<float> bias(std::size_t i, std::string const& module) const;
  /// Other numbers of the same shape.
  void set_matrix(std::size_t i, std::string const& module, std::vector<float> values);
  /// The module becomes `codes`, and what they stand for; with an input_scale its inputs are quantised by that one. All
  /// codes of a model are of one choice, with scales of inputs or without; cuts come before.
  void set_codes(std::size_t i, std::string const& module, quantized_weight codes, quantize_choice choice);

  [[nodiscard]] std::uint64_t parameters() const;

  /// For a decoder, in f32; refers to this model.
  [[nodiscard]] checkpoint as_checkpoint() const;

  /// config.json, model.safetensors in the types of the original's tensors, codes as compressed-tensors has them, and the original's
  /// tokenizer files. Returns the bytes of all tensors. Throws `error` where there is a config.json already, or something cannot be
  /// written.
  std::uint64_t save(std::filesystem::path const& directory) const;

 private:
  std::string                   source_;
  model_config                  config_;
  std::map<std::string, tensor> tensors_;
  std::vector<std::size_t>      origin_;

  std::map<std::string, quantized_weight> codes_;  // by module
  quantize_choice                         choice_ = quantize_choice::none;
};

}  // namespace tenon::engine
