#pragma once
//  The metadata of a GGUF file (ggml-org/ggml, docs/gguf.md; versions 2 and 3, little-endian), read where it lies.
//
//  Everything is checked before anything is kept: counts against the bytes that are left, lengths without wrapping around, and
//  that every tensor lies inside the file. Memory is a small multiple of the file's own size, whatever its numbers say. Tensors
//  themselves are not read.
//  Test: tests/engine/text/gguf_test.cpp, with the published attacks on other readers of the format.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tenon::engine {

struct gguf_limits {
  std::size_t keys    = 1 << 16;
  std::size_t key     = 65535;                  // bytes of a key
  std::size_t string  = std::size_t{64} << 20;  // bytes of a string
  std::size_t array   = std::size_t{1} << 24;   // elements of an array
  std::size_t depth   = 4;                      // arrays in arrays
  std::size_t tensors = 1 << 20;
};

struct gguf_tensor {
  std::string_view           name;
  std::vector<std::uint64_t> shape;         // fastest first
  std::uint32_t              type;          // ggml's number
  std::uint64_t              begin, bytes;  // in the file
};

/// Views into bytes that outlive it. Errors read `FILE: KEY: what is wrong: found X, expected Y`.
class gguf_file {
 public:
  gguf_file(std::string_view bytes, std::string name, gguf_limits const& limits = {});

  [[nodiscard]] std::string const&              name() const { return name_; }
  [[nodiscard]] bool                            has(std::string_view key) const { return values_.contains(key); }
  [[nodiscard]] std::vector<gguf_tensor> const& tensors() const { return tensors_; }

  /// Of a key that must be there; of any integer type.
  [[nodiscard]] std::int64_t     integer(std::string_view key, std::int64_t low, std::int64_t high) const;
  [[nodiscard]] std::string_view text(std::string_view key) const;
  [[nodiscard]] bool             flag(std::string_view key) const;

  /// Arrays of exactly these element types (floats: f32; integers: 32 bits with or without sign).
  [[nodiscard]] std::vector<std::string_view> texts(std::string_view key) const;
  [[nodiscard]] std::vector<float>            floats(std::string_view key) const;
  [[nodiscard]] std::vector<std::int64_t>     integers(std::string_view key) const;

 private:
  struct value {
    std::uint32_t type = 0, element = 0;  // element: of an array
    std::uint64_t count = 0;              // of an array
    std::size_t   at    = 0;              // of its bytes
  };
  class reader;

  [[nodiscard]] value const& at(std::string_view key) const;
  [[nodiscard]] value const& array_at(std::string_view key, std::uint32_t element, char const* expected) const;

  std::string_view                            bytes_;
  std::string                                 name_;
  std::unordered_map<std::string_view, value> values_;
  std::vector<gguf_tensor>                    tensors_;
};

/// Whether the bytes begin as such a file does.
[[nodiscard]] bool looks_like_gguf(std::string_view bytes);

}  // namespace tenon::engine
