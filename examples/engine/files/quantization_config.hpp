#pragma once
//  How a checkpoint's matrices are quantised: `quantization_config` of config.json, or quantize_config.json beside it.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::engine {

class json_fields;
class pattern;

/// The tensors that a matrix is stored as.
enum class stored_weight : std::uint8_t {
  awq,              // qweight, qzeros, scales
  gptq,             // the same names in another order, and g_idx
  pack_quantized,   // weight_packed, weight_scale, weight_zero_point, weight_g_idx, weight_shape
  int_quantized,    // weight in int8, weight_scale, weight_zero_point, input_scale
  float_quantized,  // weight in e4m3, weight_scale, input_scale
  block_fp8,        // weight in e4m3, weight_scale_inv
  nvfp4,            // weight_packed, two codes to a byte, weight_scale in e4m3, weight_global_scale
  mxfp4,            // weight_packed, weight_scale in ue8m0
};

/// What a product's inputs become before it.
enum class input_kind : std::uint8_t { plain, int8, fp8 };

/// How a file stores one matrix, and what its inputs should be.
struct stored_format {
  stored_weight as           = stored_weight::awq;
  int           bits         = 4;
  int           group        = 0;      // columns per scale; 0: whole rows
  int           block_rows   = 1;      // rows per scale
  bool          symmetric    = true;   // pack_quantized, gptq: no zero points beside the middle one
  bool          one_less     = true;   // gptq: stored zero points are one less than the real ones
  bool          along_input  = false;  // awq: version gemv
  input_kind    inputs       = input_kind::plain;
  int           input_group  = 0;      // columns of an input that share a scale; 0: a whole row
  bool          static_input = false;  // the scale of the inputs is in the file
};

/// A name as files write it: itself, or a regular expression after "re:" that matches from the name's start.
class module_name {
 public:
  module_name(std::string text, std::string const& subject, bool is_expression);
  [[nodiscard]] bool               matches(std::string const& module) const;
  [[nodiscard]] std::string const& text() const { return text_; }

 private:
  std::string                    text_;
  std::shared_ptr<pattern const> expression_;  // null: text_ itself
};

class quantization_config {
 public:
  /// Throws `error` for a method, a width or a layout that no importer reads.
  explicit quantization_config(json_fields const& f);

  [[nodiscard]] std::string const& method() const { return method_; }
  /// As the file spells it: `quantization_config` of which file, for messages.
  [[nodiscard]] std::string const& file() const { return file_; }
  /// None where the module is not quantised. "model.layers.0.mlp.down_proj"
  [[nodiscard]] std::optional<stored_format> format_of(std::string const& module) const;
  /// "awq, 4 bits, groups of 128"
  [[nodiscard]] std::string description() const;

 private:
  struct rule {
    std::vector<module_name>     modules;        // empty: every linear layer
    std::optional<stored_format> format;         // none: not quantised
    bool                         parts = false;  // modules are parts of names
  };
  void read_awq(json_fields const& f);
  void read_gptq(json_fields const& f);
  void read_compressed_tensors(json_fields const& f);
  void read_fp8(json_fields const& f);
  void add_parts(json_fields const& f, char const* key);

  std::string       method_, file_;
  std::vector<rule> rules_;  // the first that matches decides
};

}  // namespace tenon::engine
