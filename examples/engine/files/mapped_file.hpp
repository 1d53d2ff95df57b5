#pragma once
//  A regular file mapped read-only for as long as the object lives.
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace tenon::engine {

/// Throws `error` when the path cannot be opened, is not a regular file, or cannot be mapped. An empty file is an empty
/// span. The mapping shares its pages with the file: whoever shortens the file while it is mapped ends the program.
class mapped_file {
 public:
  mapped_file() = default;
  explicit mapped_file(std::filesystem::path const& path);
  mapped_file(mapped_file&& other) noexcept;
  mapped_file& operator=(mapped_file&& other) noexcept;
  ~mapped_file();

  [[nodiscard]] std::span<std::byte const> bytes() const { return {static_cast<std::byte const*>(data_), size_}; }
  [[nodiscard]] std::string_view           text() const { return {static_cast<char const*>(data_), size_}; }
  [[nodiscard]] std::size_t                size() const { return size_; }
  [[nodiscard]] std::string const&         name() const { return name_; }  ///< as the user gave it, for messages

 private:
  void*       data_ = nullptr;
  std::size_t size_ = 0;
  std::string name_;
};

/// The bytes of a file or pipe, or of standard input for "-"; refuses more than `limit` bytes.
[[nodiscard]] std::string read_bytes(std::string const& path, std::size_t limit = std::size_t{1} << 30);

}  // namespace tenon::engine
