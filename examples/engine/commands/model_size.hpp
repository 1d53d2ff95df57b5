#pragma once
//  What a model takes, by its shape.
#include <cstdint>
#include <optional>
#include <string>

#include "engine/files/hf_config.hpp"
#include "engine/model/decoder.hpp"
#include "engine/program/command_line.hpp"

namespace tenon::engine {

/// "1.50 MiB"
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);

/// Elements of the tensors that the shape calls for; what a dummy model has.
[[nodiscard]] std::uint64_t parameters_of(model_config const& c);

/// What the linear layers take in memory, packed as the files or --quantize say; none where they are plain numbers. Modules
/// are counted one by one: joining them pads less.
[[nodiscard]] std::optional<std::uint64_t> packed_bytes_of(options const& from, model_config const& c);

/// Keys and values of every layer, scales among them: what one token of context costs.
[[nodiscard]] std::uint64_t kv_bytes_of(model_config const& c, kv_cache_format format);

/// Weights in memory, packed where packed_bytes_of says so.
[[nodiscard]] std::uint64_t model_bytes_of(options const& from, model_config const& c, number_format dtype);

/// Of them, those that a step reads: all but the embedding where the head is another matrix.
[[nodiscard]] std::uint64_t step_bytes_of(options const& from, model_config const& c, number_format dtype);

}  // namespace tenon::engine
