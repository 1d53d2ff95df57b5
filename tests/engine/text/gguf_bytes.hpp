#pragma once
//  GGUF files made number by number, also those that no writer makes.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace test::gguf {

enum : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

/// A file as a string, number by number.
class bytes {
 public:
  template <class T>
  bytes& number(T v) {
    char raw[sizeof v];
    std::memcpy(raw, &v, sizeof v);
    text_.append(raw, sizeof v);
    return *this;
  }
  bytes& u32(std::uint32_t v) { return number(v); }
  bytes& u64(std::uint64_t v) { return number(v); }
  bytes& text(std::string_view t) {
    u64(t.size());
    text_ += t;
    return *this;
  }
  bytes& raw(std::string_view t) {
    text_ += t;
    return *this;
  }
  bytes& header(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
    return raw("GGUF").u32(version).u64(tensors).u64(keys);
  }
  bytes& key(std::string_view name, std::uint32_t type) { return text(name).u32(type); }
  /// A tensor of f32.
  bytes& tensor(std::string_view name, std::vector<std::uint64_t> const& shape, std::uint64_t offset,
                std::uint32_t type = 0) {
    text(name).u32(static_cast<std::uint32_t>(shape.size()));
    for (auto const n : shape) u64(n);
    return u32(type).u64(offset);
  }
  bytes& pad(std::size_t to = 32) {
    text_.resize((text_.size() + to - 1) / to * to);
    return *this;
  }
  [[nodiscard]] std::string const& str() const { return text_; }

 private:
  std::string text_;
};

}  // namespace test::gguf
