#pragma once
//  A quantised linear layer between a file (or a matrix of floats) and the packed form that kernels read.
#include <tenon/core/tensor_view.hpp>
#include <tenon/quant/packed_weight.hpp>
#include <tenon/quant/quantized_weight.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/files/quantization_config.hpp"
#include "engine/files/safetensors.hpp"
#include "engine/model/decoder.hpp"

namespace tenon::engine {

/// What the inputs of a product are before it: as they are, or codes with a scale per token (and group of columns).
struct input_form {
  input_kind kind  = input_kind::plain;
  int        group = 0;  // columns that share a scale; 0: a whole row
  float      scale = 0;  // of all inputs, from the file; 0: found token by token

  friend constexpr bool operator==(input_form const&, input_form const&) = default;
};

/// Codes and scales, and what they are multiplied with.
struct quantized_linear {
  quantized_weight weight;
  input_form       inputs;
};

/// The format of each choice: int8 and fp8 per row, or fp8 in blocks of 128 x 128; int4 in groups of 128, of 32 below 1024 hidden columns.
[[nodiscard]] weight_format format_of(quantize_choice choice, std::int64_t hidden);

/// The matrix (outputs, inputs) that the tensors NAME.* of a checkpoint hold; none where the configuration, or a NAME.weight
/// of plain numbers, says that it is not quantised. Throws `error` for missing tensors, shapes and values that do not fit.
[[nodiscard]] std::optional<quantized_linear> read_quantized(checkpoint const& files, quantization_config const& config,
                                                             std::string const& name, index_t outputs, index_t inputs);

/// w (outputs, inputs) quantised; integers under signed, searched scales. `name` is the module's, for messages.
[[nodiscard]] quantized_linear quantize(quantize_choice choice, std::int64_t hidden, tensor_view<float const, 2> w,
                                        std::string const& name);

/// Whether the packed layout holds the weight; groups of other sizes are split into the largest that it takes.
[[nodiscard]] bool fit_to_layout(quantized_linear& l);

/// Rows of all parts under each other; false where they have different formats, orders or inputs: they stay apart.
[[nodiscard]] bool stack(quantized_linear& to, std::span<quantized_linear const> parts);

/// Rows of gate and up in turns of eight (gemm/interleave.hpp); false where they cannot share a matrix.
[[nodiscard]] bool interleave_rows(quantized_linear& to, quantized_linear const& gate, quantized_linear const& up);

/// What is packed, on the host.
struct packed_bytes {
  packed_layout          layout;
  std::vector<std::byte> bytes;
  input_form             inputs;
};
/// In the order that the inputs ask for. Inputs of 8 bits that no kernel multiplies with this weight stay plain.
[[nodiscard]] packed_bytes pack(quantized_linear const& l, std::string const& name);

/// Inputs as `pack` will have them.
[[nodiscard]] input_form inputs_of_product(weight_format const& format, input_form const& asked);

/// The layout of a module with this format in a file, for sizes; the file's own format where the packed one has no room.
[[nodiscard]] weight_format format_of(stored_format const& s);

}  // namespace tenon::engine
