//  Any bytes as a safetensors file: an `error` or tensors inside the file, never anything else.
#include <engine/error.hpp>
#include <engine/files/safetensors.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static int const         file = memfd_create("input", 0);
  static std::string const path = "/proc/self/fd/" + std::to_string(file);
  if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  using namespace tenon::engine;
  try {
    safetensors_file const read(path);
    unsigned               sum = 0;
    for (auto const& t : read.tensors()) {
      if (read.find(t.name) != &t) std::abort();
      if (t.bytes.size() != static_cast<std::size_t>(t.elements()) * bytes_of(t.type)) std::abort();
      for (auto const b : t.bytes) sum += static_cast<unsigned>(b);
    }
    if (sum == 0xFFFFFFFF) std::abort();  // the sum is used
  } catch (error const& e) {
    if (std::string(e.what()).find("expected") == std::string::npos) std::abort();
  }
  return 0;
}
