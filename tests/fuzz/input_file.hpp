#pragma once
//  The fuzzer's bytes as a file, for readers that take a path.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace fuzz {

/// Its path; the file is in memory and the same for every call.
inline std::string const& input_file(std::uint8_t const* data, std::size_t size) {
  static int const         file = memfd_create("input", 0);
  static std::string const path = "/proc/self/fd/" + std::to_string(file);
  if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  return path;
}

}  // namespace fuzz
