#pragma once
//  A model directory, written layer by layer, so that no more than a part of the model has to be in memory.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/compress/editable_model.hpp"
#include "engine/files/safetensors.hpp"

namespace tenon::engine {

/// Tensors into model.safetensors, or into shards with an index where there are more bytes than one takes.
class shard_writer {
 public:
  /// A shard is written once it has so many bytes.
  explicit shard_writer(std::filesystem::path directory, std::uint64_t shard_bytes = std::uint64_t{1} << 30)
      : directory_(std::move(directory)), shard_bytes_(shard_bytes) {}

  /// `given`: the tensor's bytes; empty where `tensor` points at some that stay until `finish`.
  void add(tensor_info tensor, std::vector<std::byte> given);
  /// Writes what is left and gives the files their names. Returns the bytes of all tensors.
  std::uint64_t finish();

 private:
  void write_shard();

  std::filesystem::path                 directory_;
  std::uint64_t                         shard_bytes_;
  std::vector<tensor_info>              waiting_;
  std::deque<std::vector<std::byte>>    owned_;  // of them
  std::uint64_t                         waiting_bytes_ = 0, all_bytes_ = 0;
  std::vector<std::vector<std::string>> shards_;  // names of their tensors
};

class model_saver {
 public:
  /// Throws `error` where there is a config.json already.
  explicit model_saver(std::filesystem::path directory);

  /// The next layer of the model, as it is now.
  void layer(editable_model const& model);
  /// The layers that are left, the rest, the original's tokenizer files, and config.json as the last. Returns the bytes of all
  /// tensors.
  std::uint64_t finish(editable_model const& model);

 private:
  editable_model::tensor_sink sink();

  std::filesystem::path directory_;
  shard_writer          tensors_;
  std::size_t           layers_ = 0;  // that are written
};

}  // namespace tenon::engine
