#pragma once
//  What a template may cost. Whoever writes one is not trusted: it comes with the model.
#include <cstddef>
#include <cstdint>

namespace tenon::engine {

struct template_limits {
  std::size_t   template_bytes = std::size_t{1} << 18;
  int           nesting        = 100;         // of the template's expressions and blocks
  std::uint64_t steps          = 20'000'000;  // evaluations, and 64 bytes of text or 4 values handled
  std::size_t   output_bytes   = std::size_t{32} << 20;
  std::size_t   memory_bytes   = std::size_t{256} << 20;  // all that is ever made, not what is alive
  int           depth          = 1000;                    // evaluations within each other, through macros
  int           value_depth    = 64;                      // lists and mappings within each other
};

}  // namespace tenon::engine
