#pragma once
//  Protocol buffers on the wire, field by field, from files that nobody vouches for.
//
//  A field is a varint of its number and kind, then a varint, 4 or 8 bytes, or a length and as many bytes. Every length
//  is checked against what is left before anything is read; what is unknown is stepped over. Nothing recurses: a
//  message is bytes to a reader of its own. (protobuf.dev/programming-guides/encoding)
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/error.hpp"

namespace tenon::engine {

class protobuf_reader {
 public:
  enum class kind : unsigned char { varint = 0, eight_bytes = 1, bytes = 2, four_bytes = 5 };
  struct field {
    std::uint32_t    number = 0;
    kind             what   = kind::varint;
    std::uint64_t    value  = 0;  // of all kinds but `bytes`
    std::string_view bytes;

    [[nodiscard]] float as_float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(value)); }
  };

  /// `subject` names the message in errors.
  protobuf_reader(std::string_view message, std::string subject)
      : rest_(message), size_(message.size()), subject_(std::move(subject)) {}

  /// The next field; false at the end. Throws `error` for what is no message.
  bool next(field& f) {
    if (rest_.empty()) return false;
    std::uint64_t const key = varint();
    if (key >> 3 == 0 || key >> 3 >= std::uint64_t{1} << 29)
      throw broken("a field with number " + std::to_string(key >> 3), "1 to 536870911");
    f = {static_cast<std::uint32_t>(key >> 3), kind::varint, 0, {}};
    switch (key & 7) {
      case 0: f.value = varint(); break;
      case 1: f.what = kind::eight_bytes, f.value = fixed(8); break;
      case 2: f.what = kind::bytes, f.bytes = take(varint()); break;
      case 5: f.what = kind::four_bytes, f.value = fixed(4); break;
      default: throw broken("a field of kind " + std::to_string(key & 7), "0, 1, 2 or 5");
    }
    return true;
  }
  /// The error for a field of the wrong kind.
  [[nodiscard]] error wrong_kind(field const& f, char const* expected) const {
    return broken("field " + std::to_string(f.number) + " of kind " + std::to_string(static_cast<int>(f.what)),
                  expected);
  }

 private:
  [[nodiscard]] error broken(std::string const& found, std::string_view expected) const {
    return wrong(subject_, "is no protocol buffer", found + " before byte " + std::to_string(size_ - rest_.size()),
                 expected);
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) throw broken("the end inside of a number", "its last byte");
      auto const byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      if (shift == 63 && byte > 1) break;
      value |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    throw broken("a number of more than 64 bits", "at most 10 bytes");
  }
  std::uint64_t fixed(std::size_t size) {
    std::string_view const bytes = take(size);
    std::uint64_t          value = 0;
    for (std::size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
  }
  std::string_view take(std::uint64_t size) {
    if (size > rest_.size())
      throw broken(std::to_string(size) + " bytes", "at most the " + std::to_string(rest_.size()) + " that are left");
    std::string_view const bytes = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(static_cast<std::size_t>(size));
    return bytes;
  }

  std::string_view rest_;
  std::size_t      size_;
  std::string      subject_;
};

}  // namespace tenon::engine
