#include "engine/files/npy.hpp"

#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/error.hpp"

namespace tenon::engine {

static_assert(std::endian::native == std::endian::little, "tenon::engine::npy_writer: writes the machine's own floats");

npy_writer::npy_writer(std::string path, std::int64_t columns)
    : path_(std::move(path)), columns_(columns), file_(std::fopen(path_.c_str(), "wb")) {
  if (!file_) throw wrong(path_, "cannot be written", std::strerror(errno), "a writable file");
  write_header();
}

npy_writer::~npy_writer() {
  if (file_) std::fclose(file_);
}

void npy_writer::append(std::span<float const> row) {
  if (static_cast<std::int64_t>(row.size()) != columns_) throw error("internal: a row of another width");
  write(row.data(), row.size_bytes());
  ++rows_;
}

void npy_writer::close() {
  if (std::fseek(file_, 0, SEEK_SET) != 0)
    throw wrong(path_, "cannot be written", std::strerror(errno), "a seekable file");
  write_header();
  if (std::fclose(std::exchange(file_, nullptr)) != 0)
    throw wrong(path_, "cannot be written", std::strerror(errno), "a writable file");
}

void npy_writer::write(void const* data, std::size_t bytes) {
  if (std::fwrite(data, 1, bytes, file_) != bytes)
    throw wrong(path_, "cannot be written", std::strerror(errno), "a writable file");
}

void npy_writer::write_header() {
  constexpr std::size_t total = 128;  // magic, version, length and text, padded so that data are aligned
  std::string           text  = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows_) + ", " +
                     std::to_string(columns_) + "), }";
  text.resize(total - 10 - 1, ' ');
  text += '\n';
  char const prefix[10] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, static_cast<char>(text.size()), 0};
  write(prefix, sizeof prefix);
  write(text.data(), text.size());
}

}  // namespace tenon::engine
