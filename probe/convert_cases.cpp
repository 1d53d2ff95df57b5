// Conversions between number formats.
#include "probe.hpp"

namespace {

using probe::bench, probe::words;
using std::uint32_t;
namespace arch = tenon::arch;

using namespace tenon;  // the formats

/// Floats of every sign and exponent in turn; half of them with few fraction bits, so that ties come up.
TENON_HD inline uint32_t any_float(words& w) {
  uint32_t const r = w.next(), v = w.index() << 10 | (w.next() & 1023);
  return r & 1 ? v & ~0u << (r >> 1) % 23 : v;
}
constexpr int floats = probe::chunks * 2048;  // 2^22

template <class T>
struct format_name;
// clang-format off
template <> struct format_name<f16>          { static constexpr char text[] = "f16";   static constexpr int needs = 80; };
template <> struct format_name<bf16>         { static constexpr char text[] = "bf16";  static constexpr int needs = 80; };
template <> struct format_name<std::int8_t>  { static constexpr char text[] = "s8"; };
template <> struct format_name<std::uint8_t> { static constexpr char text[] = "u8"; };
template <> struct format_name<e4m3>         { static constexpr char text[] = "e4m3";  static constexpr int needs = 89; };
template <> struct format_name<e5m2>         { static constexpr char text[] = "e5m2";  static constexpr int needs = 89; };
template <> struct format_name<e3m2>         { static constexpr char text[] = "e3m2";  static constexpr int needs = 100; };
template <> struct format_name<e2m3>         { static constexpr char text[] = "e2m3";  static constexpr int needs = 100; };
template <> struct format_name<e2m1>         { static constexpr char text[] = "e2m1";  static constexpr int needs = 100; };
template <> struct format_name<ue8m0>        { static constexpr char text[] = "ue8m0"; static constexpr int needs = 100; };
// clang-format on

constexpr char const* rounding_name(rounding how) {
  return how == rounding::toward_zero ? "_toward_zero" : how == rounding::up ? "_up" : "";
}

template <class T, rounding How = tenon::detail::default_rounding<T>>
struct pairs {
  static constexpr probe::text spelled{"convert_pair_", format_name<T>::text, rounding_name(How)};
  static constexpr char const* name         = spelled.letter;
  static constexpr char        primitives[] = "convert_pair convert";
  static constexpr int         needs = format_name<T>::needs, inputs = 2, outputs = 2, items = floats;
  static TENON_HD void         draw(words& w, uint32_t* in) { in[0] = any_float(w), in[1] = w.next(); }
  static __device__ void       apply(bench const&, uint32_t const* in, uint32_t* out) {
          float const low = bit_cast<float>(in[0]), high = bit_cast<float>(in[1]);
          out[0] = arch::convert_pair<T, How>(low, high);
          out[1] = arch::convert<T, How>(low).bits;
  }
};

template <class T>
struct positive_pairs {
  static constexpr probe::text spelled{"convert_pair_relu_", format_name<T>::text};
  static constexpr char const* name         = spelled.letter;
  static constexpr char        primitives[] = "convert_pair_relu";
  static constexpr int         inputs = 2, outputs = 1, items = floats;
  static TENON_HD void         draw(words& w, uint32_t* in) { in[0] = any_float(w), in[1] = w.next(); }
  static __device__ void       apply(bench const&, uint32_t const* in, uint32_t* out) {
          out[0] = arch::convert_pair_relu<T>(bit_cast<float>(in[0]), bit_cast<float>(in[1]));
  }
};

template <class T>
struct pairs_of_f16 {
  static constexpr probe::text spelled{"convert_pair_", format_name<T>::text, "_from_f16"};
  static constexpr char const* name         = spelled.letter;
  static constexpr char        primitives[] = "convert_pair";
  static constexpr int         needs = format_name<T>::needs, inputs = 1, outputs = 1, items = probe::every16;
  static TENON_HD void         draw(words& w, uint32_t* in) { in[0] = (w.index() & 0xffff) | w.next() << 16; }
  static __device__ void       apply(bench const&, uint32_t const* in, uint32_t* out) {
          out[0] = arch::convert_pair<T>(in[0]);
  }
};

template <class T>
struct widened {
  static constexpr probe::text spelled{"widen_pair_", format_name<T>::text};
  static constexpr char const* name         = spelled.letter;
  static constexpr char        primitives[] = "widen_pair";
  static constexpr int         needs = format_name<T>::needs, inputs = 1, outputs = 1, items = probe::every16;
  static TENON_HD void         draw(words& w, uint32_t* in) {
            constexpr bool six = std::is_same_v<T, e3m2> || std::is_same_v<T, e2m3>;
            in[0]              = w.index() & (six ? 0x3f3fu : std::is_same_v<T, e2m1> ? 0xffu : 0xffffu);
  }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    out[0] = arch::widen_pair<T>(static_cast<packed_pair<T>>(in[0]));
  }
};

template <class T>
struct integers {
  static constexpr probe::text spelled{"convert_", format_name<T>::text};
  static constexpr char const* name         = spelled.letter;
  static constexpr char        primitives[] = "convert convert_four";
  static constexpr int         inputs = 4, outputs = 2, items = floats;
  static TENON_HD void         draw(words& w, uint32_t* in) {
            in[0] = any_float(w);
            for (int i = 1; i < 4; ++i) in[i] = w.next() % 512 * 0x3f0000u + 0x80000000u * (w.next() & 1);
  }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    float v[4];
    for (int i = 0; i < 4; ++i) v[i] = bit_cast<float>(in[i]);
    out[0] = static_cast<std::uint8_t>(arch::convert<T>(v[0]));
    out[1] = arch::convert_four<T>(v[0], v[1], v[2], v[3]);
  }
};

struct tensor_floats {
  static constexpr char  name[] = "convert_tf32", primitives[] = "convert";
  static constexpr int   inputs = 1, outputs = 1, items = floats;
  static TENON_HD void   draw(words& w, uint32_t* in) { in[0] = any_float(w); }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    out[0] = arch::convert<tf32>(bit_cast<float>(in[0])).bits & ~0x1fffu;  // the others do not count
  }
};

template <class T>
struct from_float {
  static constexpr char const* name       = std::is_same_v<T, f16> ? "f16_from_float" : "bf16_from_float";
  static constexpr char const* primitives = std::is_same_v<T, f16> ? "f16(float)" : "bf16(float)";
  static constexpr int         inputs = 1, outputs = 1, items = floats;
  static TENON_HD void         draw(words& w, uint32_t* in) { in[0] = any_float(w); }
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

std::vector<probe::entry> probe::convert_cases() {
  constexpr auto zero = rounding::toward_zero;
  return make_all<pairs<f16>, pairs<f16, zero>, pairs<bf16>, pairs<bf16, zero>, pairs<e4m3>, pairs<e5m2>, pairs<e3m2>,
                  pairs<e2m3>, pairs<e2m1>, pairs<ue8m0, rounding::up>, pairs<ue8m0, zero>, positive_pairs<f16>,
                  positive_pairs<bf16>, pairs_of_f16<e4m3>, pairs_of_f16<e5m2>, widened<e4m3>, widened<e5m2>,
                  widened<e3m2>, widened<e2m3>, widened<e2m1>, widened<ue8m0>, integers<std::int8_t>,
                  integers<std::uint8_t>, tensor_floats, from_float<f16>, from_float<bf16>, f16_to_float>();
}
