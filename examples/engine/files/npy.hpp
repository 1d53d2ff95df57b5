#pragma once
//  NumPy's .npy, version 1.0: rows of float32 written as they come, the row count filled in at the end.
//  Format: NumPy Enhancement Proposal 1.
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

namespace tenon::engine {

class npy_writer {
 public:
  npy_writer(std::string path, std::int64_t columns);
  npy_writer(npy_writer const&)            = delete;
  npy_writer& operator=(npy_writer const&) = delete;
  ~npy_writer();

  void append(std::span<float const> row);
  void close();  ///< throws where anything could not be written

 private:
  void write(void const* data, std::size_t bytes);
  void write_header();

  std::string  path_;
  std::int64_t columns_, rows_ = 0;
  std::FILE*   file_;
};

}  // namespace tenon::engine
