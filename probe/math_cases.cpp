// Elementary functions: how far from the exact result, over all floats by a stride.
#include <cmath>

#include "probe.hpp"
#include "shapes.hpp"

namespace {

using probe::bench, probe::words;
using std::uint32_t;
namespace arch = tenon::arch;

/// Every 256th float or so, in the order of their bits: a chunk is a sign and eight exponents.
template <class Function>
struct approximated : Function {
  static constexpr int   inputs = 1, outputs = 1, items = probe::every32;
  static TENON_HD void   draw(words& w, uint32_t* in) { in[0] = w.index() << 8 | (w.next() & 255); }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    out[0] = tenon::bit_cast<uint32_t>(Function::of(tenon::bit_cast<float>(in[0])));
  }
};

struct power_of_two {
  static constexpr char   name[] = "exp2", primitives[] = "exp2";
  static __device__ float of(float v) { return arch::exp2(v); }
  static TENON_HD double  exact(float v) { return ::exp2(static_cast<double>(v)); }
};
struct logarithm {
  static constexpr char   name[] = "log2", primitives[] = "log2";
  static __device__ float of(float v) { return arch::log2(v); }
  static TENON_HD double  exact(float v) { return ::log2(static_cast<double>(v)); }
};
struct reciprocal_root {
  static constexpr char   name[] = "rsqrt", primitives[] = "rsqrt";
  static __device__ float of(float v) { return arch::rsqrt(v); }
  static TENON_HD double  exact(float v) { return 1 / ::sqrt(static_cast<double>(v)); }
};

struct reciprocal {
  static constexpr char  name[] = "reciprocal", primitives[] = "reciprocal";
  static constexpr int   inputs = 1, outputs = 1, items = probe::every32;
  static TENON_HD void   draw(words& w, uint32_t* in) { in[0] = w.index() << 8 | (w.next() & 255); }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    float const r = arch::reciprocal(tenon::bit_cast<float>(in[0]));
    out[0]        = r == r ? tenon::bit_cast<uint32_t>(r) : 0x7fffffffu;
  }
};

struct fused {
  static constexpr char name[] = "fma", primitives[] = "fma";
  static constexpr int  inputs = 3, outputs = 1, items = probe::million;
  static TENON_HD void  draw(words& w, uint32_t* in) {
     auto const how = static_cast<probe::shape>(w.common() % static_cast<unsigned>(probe::shape::count));
     for (int i = 0; i < 3; ++i) in[i] = probe::f32_bits::shaped(how, w.next());
  }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    using tenon::bit_cast;
    float const r = arch::fma(bit_cast<float>(in[0]), bit_cast<float>(in[1]), bit_cast<float>(in[2]));
    out[0]        = r == r ? bit_cast<uint32_t>(r) : 0x7fffffffu;  // which NaN is no part of the promise
  }
};

template <class T, class Bits>
struct pairs {
  static constexpr char primitives[] = "fma_pair";
  static constexpr int  inputs = 3, outputs = 1, items = probe::million;
  static TENON_HD void  draw(words& w, uint32_t* in) {
     auto const how = static_cast<probe::shape>(w.common() % static_cast<unsigned>(probe::shape::count));
     for (int i = 0; i < 3; ++i) in[i] = Bits::packed(how, w.next());
  }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    out[0] = arch::fma_pair<T>(in[0], in[1], in[2]);
  }
};
struct pairs_f16 : pairs<tenon::f16, probe::f16_bits> {
  static constexpr char name[] = "fma_pair_f16";
};
struct pairs_bf16 : pairs<tenon::bf16, probe::bf16_bits> {
  static constexpr char name[] = "fma_pair_bf16";
};

}  // namespace

std::vector<probe::entry> probe::math_cases() {
  return make_all<approximated<power_of_two>, approximated<logarithm>, approximated<reciprocal_root>, reciprocal, fused,
                  pairs_f16, pairs_bf16>();
}
