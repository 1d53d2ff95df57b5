//  Any bytes as a safetensors file: an `error` or tensors inside the file, never anything else.
#include <engine/files/safetensors.hpp>

#include <cstdlib>

#include "attempt.hpp"
#include "input_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace tenon::engine;
  fuzz::attempt([&] {
    safetensors_file const read(fuzz::input_file(data, size));
    unsigned               sum = 0;
    for (auto const& t : read.tensors()) {
      if (read.find(t.name) != &t) std::abort();
      if (t.bytes.size() != static_cast<std::size_t>(t.elements()) * bytes_of(t.type)) std::abort();
      for (auto const b : t.bytes) sum += static_cast<unsigned>(b);
    }
    if (sum == 0xFFFFFFFF) std::abort();  // the sum is used
  });
  return 0;
}
