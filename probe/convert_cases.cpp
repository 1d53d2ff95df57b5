// Conversions between number formats.
#include "probe.hpp"
#include "shapes.hpp"

namespace {

using probe::bench, probe::words;
using std::uint32_t;
namespace arch = tenon::arch;
using tenon::bf16, tenon::bit_cast, tenon::f16;

/// Which NaN a conversion makes of a NaN is part of the answer; of core/numeric.hpp.
template <class T>
struct from_float {
  static constexpr char const* name       = std::is_same_v<T, f16> ? "f16_from_float" : "bf16_from_float";
  static constexpr char const* primitives = std::is_same_v<T, f16> ? "f16(float)" : "bf16(float)";
  static constexpr int         inputs = 1, outputs = 1, items = probe::every32;
  static TENON_HD void         draw(words& w, uint32_t* in) { in[0] = w.index() << 8 | (w.next() & 255); }
  static __device__ void       apply(bench const&, uint32_t const* in, uint32_t* out) {
          out[0] = T(bit_cast<float>(in[0])).bits;
  }
};
struct f16_to_float {
  static constexpr char  name[] = "f16_to_float", primitives[] = "float(f16)";
  static constexpr int   inputs = 1, outputs = 1, items = probe::every16;
  static TENON_HD void   draw(words& w, uint32_t* in) { in[0] = w.index(); }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    out[0] = bit_cast<uint32_t>(static_cast<float>(f16::from_bits(static_cast<std::uint16_t>(in[0]))));
  }
};

}  // namespace

std::vector<probe::entry> probe::convert_cases() { return make_all<from_float<f16>, from_float<bf16>, f16_to_float>(); }
