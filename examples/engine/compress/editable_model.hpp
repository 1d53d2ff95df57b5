#pragma once
//  A model that can be changed: layers, attention halves and MLP halves go, names and shapes follow, matrices become others.
//
//  Tensors stay in their files, mapped, until they are changed; what is changed is held in f32. So a model costs memory for what
//  was done to it, and may be larger than the memory that there is.
#include <tenon/quant/quantized_weight.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/files/hf_config.hpp"
#include "engine/files/safetensors.hpp"
#include "engine/model/decoder.hpp"

namespace tenon::engine {

/// The parts of a layer that can go by themselves.
enum class layer_half : std::uint8_t { attention, mlp };

/// What one code of an 8-bit cache of a layer stands for.
struct cache_scales {
  std::size_t layer = 0;
  float       k = 1, v = 1;
};

class editable_model {
 public:
  struct tensor {
    dtype                     stored = dtype::f32;  // in the file that it came from
    std::vector<std::int64_t> shape;
    std::vector<float>        values;  // row-major
  };

  /// What is written of a model: a tensor's name, type, shape, and its bytes, which are of the files or of the model, or else given.
  using tensor_sink = std::function<void(tensor_info const&, std::vector<std::byte> given)>;

  /// All tensors of a model directory; `files` and what they map outlive this model and its copies. Throws `error` where weights
  /// are quantised or not of 16 or 32 bits.
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
  /// Of layer i's attention only these query heads and kv heads, ascending, every kv head with equally many; `output` (hidden, heads
  /// * head_dim) becomes its o_proj.
  void keep_heads(std::size_t i, std::vector<std::int64_t> const& heads, std::vector<std::int64_t> const& kv_heads,
                  std::vector<float> output);
  /// The head gets a copy of the embedding, where it is the embedding.
  void untie();

  /// Names of all tensors, sorted.
  [[nodiscard]] std::vector<std::string> names() const;
  /// A copy of a tensor by its whole name, "model.norm.weight", and its shape alone. Nothing, and no extents, where there is none.
  [[nodiscard]] std::optional<tensor>     find(std::string const& name) const;
  [[nodiscard]] std::vector<std::int64_t> shape_of(std::string const& name) const;
  /// Other numbers of the same shape; throws `error` where no tensor has the name, or its shape holds another count.
  void set_values(std::string const& name, std::vector<float> values);

  /// The same for the matrix of a module of layer i, "mlp.up_proj", which is there or an `error`;
  [[nodiscard]] tensor matrix(std::size_t i, std::string const& module) const;
  void                 set_matrix(std::size_t i, std::string const& module, std::vector<float> values);
  /// and for what the module adds to its product. Empty: nothing.
  [[nodiscard]] std::vector<float> bias(std::size_t i, std::string const& module) const;
  void                             set_bias(std::size_t i, std::string const& module, std::vector<float> values);

  /// The module becomes `codes`, and what they stand for; with an input_scale its inputs are quantised by that one. All codes of a
  /// model are of one choice; cuts come before.
  void set_codes(std::size_t i, std::string const& module, quantized_weight codes, quantize_choice choice);
  /// Written with the layer, in place of those that the files have.
  void set_kv_scales(cache_scales const& scales);

  [[nodiscard]] std::uint64_t parameters() const;

  /// For a decoder: what was changed in f32, the rest as the files have it; refers to this model and its files.
  [[nodiscard]] checkpoint as_checkpoint() const;
  /// What the decoder's stream begins with: (ids, hidden). Throws `error` for ids that are not in the vocabulary.
  [[nodiscard]] std::vector<float> embedded(std::span<std::int32_t const> ids) const;
  /// Layer i by itself, as a model of one layer over a vocabulary of one token, whose embedding is zero.
  [[nodiscard]] editable_model alone(std::size_t i) const;

  /// The tensors of layer i in the types of the original's, codes as compressed-tensors has them; and those outside of layers.
  void write_layer(std::size_t i, tensor_sink const& to) const;
  void write_rest(tensor_sink const& to) const;
  /// Lets go of what was changed in layer i, once it is written: shapes stay, numbers are the original's again.
  void forget(std::size_t i);
  /// The original's tokenizer files and, at last, config.json.
  void write_description(std::filesystem::path const& directory) const;

 private:
  /// In the file, or what it has become.
  struct mapped_tensor {
    dtype                             stored = dtype::f32;  // in the file
    std::vector<std::int64_t>         shape;
    std::span<std::byte const>        bytes;   // of the file
    std::optional<std::vector<float>> values;  // instead of them

    [[nodiscard]] std::vector<float> numbers() const;
  };
  /// How a module is quantised; stays when its codes are forgotten.
  struct code_form {
    weight_format format;
    bool          fixed_inputs = false;
  };

  editable_model() = default;
  void keep_rows(std::string const& module, std::vector<std::int64_t> const& kept, std::int64_t unit);
  void set_columns(std::string const& module, std::int64_t columns, std::vector<float> fitted);
  void write(std::string const& name, mapped_tensor const& t, tensor_sink const& to) const;
  [[nodiscard]] nlohmann::json quantization() const;

  std::string                          source_;
  model_config                         config_;
  std::map<std::string, mapped_tensor> mapped_;
  std::vector<std::size_t>             origin_;

  // By module: "model.layers.0.mlp.up_proj"; by layer.
  std::map<std::string, quantized_weight> codes_;
  std::map<std::string, code_form>        forms_;
  std::map<std::size_t, cache_scales>     kv_scales_;
  quantize_choice                         choice_ = quantize_choice::none;
};

}  // namespace tenon::engine
