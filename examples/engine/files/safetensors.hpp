#pragma once
//  safetensors: a 64-bit little-endian header length, a JSON header, then the tensors' bytes without holes.
//  Everything is validated before anything is allocated by a size that the file states.
//  Format: huggingface/safetensors, README "Format".
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/files/mapped_file.hpp"

namespace tenon::engine {

enum class dtype : std::uint8_t {
  boolean,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  i64,
  u64,
  f64
};
[[nodiscard]] std::size_t      bytes_of(dtype type);  ///< of one element
[[nodiscard]] std::string_view name_of(dtype type);   ///< as the format spells it: "BF16"

struct tensor_info {
  std::string                name;
  dtype                      type = dtype::f32;
  std::vector<std::int64_t>  shape;
  std::span<std::byte const> bytes;  // row-major; as aligned as the file made it: copy, do not reinterpret

  [[nodiscard]] std::int64_t elements() const;
};

/// One file, mapped. Throws `error` for everything that breaks the format: truncation, a header length past the file or
/// 100 MB, broken JSON, repeated names, unknown dtypes, a shape whose bytes differ from its offsets, overlap, holes.
class safetensors_file {
 public:
  explicit safetensors_file(std::filesystem::path const& path);

  [[nodiscard]] tensor_info const*                        find(std::string_view name) const;    ///< nullptr when absent
  [[nodiscard]] std::span<tensor_info const>              tensors() const { return tensors_; }  ///< sorted by name
  [[nodiscard]] std::map<std::string, std::string> const& metadata() const { return metadata_; }
  [[nodiscard]] std::string const&                        name() const { return file_.name(); }

 private:
  mapped_file                        file_;
  std::vector<tensor_info>           tensors_;
  std::map<std::string, std::string> metadata_;
};

/// The weights of a model directory: model.safetensors, or the shards of model.safetensors.index.json, or else every
/// *.safetensors file there. Shards stay mapped. Throws `error` for missing shards, an index entry whose tensor its shard
/// lacks, shard names that are more than a file name, and a tensor that two files hold.
class checkpoint {
 public:
  explicit checkpoint(std::filesystem::path const& directory);
  /// Tensors in memory, whose bytes the caller keeps; `name` is for messages.
  checkpoint(std::string name, std::vector<tensor_info> tensors);

  [[nodiscard]] tensor_info const*             find(std::string_view name) const;  ///< nullptr when absent
  [[nodiscard]] tensor_info const&             at(std::string_view name) const;    ///< throws, naming the tensor
  [[nodiscard]] std::vector<std::string>       names() const;                      ///< sorted
  [[nodiscard]] std::map<dtype, std::uint64_t> bytes_by_dtype() const;
  [[nodiscard]] std::uint64_t                  parameters() const;  ///< elements of all tensors
  [[nodiscard]] std::string const&             name() const { return name_; }

 private:
  void add(tensor_info const* tensor);

  std::string                                    name_;
  std::vector<std::unique_ptr<safetensors_file>> files_;
  std::vector<tensor_info>                       own_;  // in memory
  std::map<std::string_view, tensor_info const*> tensors_;
};

/// Writes a file that safetensors_file accepts; `tensors` point at the caller's bytes. The header is padded so that data
/// begin at a multiple of 8, wider elements first, so every tensor is aligned. Throws `error` when it cannot be written.
void write_safetensors(std::filesystem::path const& path, std::span<tensor_info const> tensors,
                       std::map<std::string, std::string> const& metadata = {});

}  // namespace tenon::engine
