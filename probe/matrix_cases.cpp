// Fragments and products of the tensor cores.
#include "probe.hpp"
#include "shapes.hpp"

namespace {

using probe::bench, probe::words, probe::shape;
using std::uint32_t;
namespace arch = tenon::arch;
using namespace tenon;  // f16, bf16, tf32, e4m3, e5m2, s4, u4

// ---- fragments ------------------------------------------------------------------------------------------------------------

/// Rows of 16 bytes in shared memory; lane l names row (l * odd + first) modulo 32.
inline __device__ uint32_t* row_of(bench const& b, int row) { return reinterpret_cast<uint32_t*>(b.shared) + 4 * row; }
inline __device__ uint32_t* named_row(bench const& b, uint32_t order) {
  return row_of(b, (arch::lane() * static_cast<int>((order & 31) | 1) + static_cast<int>(order >> 5 & 31)) % 32);
}

struct loads {
  static constexpr char name[] = "ldmatrix", primitives[] = "ldmatrix ldmatrix_transposed";
  static constexpr int  inputs = 5, outputs = 14, items = probe::products;
  static TENON_HD void  draw(words& w, uint32_t* in) {
     for (int i = 0; i < 4; ++i) in[i] = w.next();
    in[4] = w.common();
  }
  static __device__ void apply(bench const& b, uint32_t const* in, uint32_t* out) {
    for (int i = 0; i < 4; ++i) row_of(b, arch::lane())[i] = in[i];
    arch::sync_warp();
    uint32_t* const row = named_row(b, in[4]);
    uint32_t        one[2][1], two[2][2], four[2][4];
    arch::ldmatrix(one[0], row), arch::ldmatrix_transposed(one[1], row);
    arch::ldmatrix(two[0], row), arch::ldmatrix_transposed(two[1], row);
    arch::ldmatrix(four[0], row), arch::ldmatrix_transposed(four[1], row);
    for (int t = 0; t < 2; ++t) {
      *out++ = one[t][0];
      for (int i = 0; i < 2; ++i) *out++ = two[t][i];
      for (int i = 0; i < 4; ++i) *out++ = four[t][i];
    }
    arch::sync_warp();
  }
};

struct stores {
  static constexpr char name[] = "stmatrix", primitives[] = "stmatrix stmatrix_transposed";
  static constexpr int  needs = 90, inputs = 5, outputs = 24, items = probe::products;
  static TENON_HD void  draw(words& w, uint32_t* in) { loads::draw(w, in); }
  template <class Store>
  static __device__ void stored(bench const& b, uint32_t const* in, uint32_t*& out, Store store) {
    for (int i = 0; i < 4; ++i) row_of(b, arch::lane())[i] = 0xeeeeeeeeu;
    arch::sync_warp();
    store(named_row(b, in[4]));
    arch::sync_warp();
    for (int i = 0; i < 4; ++i) *out++ = row_of(b, arch::lane())[i];
    arch::sync_warp();
  }
  static __device__ void apply(bench const& b, uint32_t const* in, uint32_t* out) {
    uint32_t const one[1] = {in[0]}, two[2] = {in[0], in[1]}, four[4] = {in[0], in[1], in[2], in[3]};
    stored(b, in, out, [&](uint32_t* row) { arch::stmatrix(row, one); });
    stored(b, in, out, [&](uint32_t* row) { arch::stmatrix(row, two); });
    stored(b, in, out, [&](uint32_t* row) { arch::stmatrix(row, four); });
    stored(b, in, out, [&](uint32_t* row) { arch::stmatrix_transposed(row, one); });
    stored(b, in, out, [&](uint32_t* row) { arch::stmatrix_transposed(row, two); });
    stored(b, in, out, [&](uint32_t* row) { arch::stmatrix_transposed(row, four); });
  }
};

struct transposition {
  static constexpr char  name[] = "movmatrix", primitives[] = "movmatrix";
  static constexpr int   inputs = 1, outputs = 1, items = probe::products;
  static TENON_HD void   draw(words& w, uint32_t* in) { in[0] = w.next(); }
  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) { out[0] = arch::movmatrix(in[0]); }
};

// ---- products -------------------------------------------------------------------------------------------------------------

template <class T>
struct element;  // its name, and how a word of random ones looks
template <class Format>
struct floating_element {
  static TENON_HD uint32_t  draw(shape how, uint32_t r) { return Format::packed(how, r); }
  static constexpr uint32_t signs = [] {
    uint32_t s = 0;
    for (int at = Format::bits - 1; at < 32; at += Format::bits) s |= 1u << at;
    return s;
  }();
};
struct integer_element {
  static constexpr uint32_t signs = 0;
  static TENON_HD uint32_t  draw(shape how, uint32_t r) {
     return how == shape::close     ? r & 0x11111111u
            : how == shape::special ? (r & 1 ? 0x7f7f7f7fu : 0x80808080u) ^ (r & 0x01010100u)
                                    : r;
  }
};
// clang-format off
template <> struct element<f16>          : floating_element<probe::f16_bits>  { static constexpr char name[] = "_f16"; };
template <> struct element<bf16>         : floating_element<probe::bf16_bits> { static constexpr char name[] = "_bf16"; };
template <> struct element<tf32>         : floating_element<probe::f32_bits>  { static constexpr char name[] = "_tf32"; };
template <> struct element<e4m3>         : floating_element<probe::e4m3_bits> { static constexpr char name[] = "_e4m3"; };
template <> struct element<e5m2>         : floating_element<probe::e5m2_bits> { static constexpr char name[] = "_e5m2"; };
template <> struct element<std::int8_t>  : integer_element { static constexpr char name[] = "_s8"; };
template <> struct element<std::uint8_t> : integer_element { static constexpr char name[] = "_u8"; };
template <> struct element<s4>           : integer_element { static constexpr char name[] = "_s4"; };
template <> struct element<u4>           : integer_element { static constexpr char name[] = "_u4"; };

// The accumulators: what d is made of.
struct to_f32 { using type = float;        static constexpr char name[] = "_f32"; static constexpr int words = 4; static constexpr bool saturates = false; };
struct to_f16 { using type = uint32_t;     static constexpr char name[] = "_f16"; static constexpr int words = 2; static constexpr bool saturates = false; };
struct to_s32 { using type = std::int32_t; static constexpr char name[] = "_s32"; static constexpr int words = 4; static constexpr bool saturates = false; };
struct clamped : to_s32 { static constexpr char name[] = "_s32_saturated"; static constexpr bool saturates = true; };

// The shapes.
struct m16n8k4  { static constexpr char name[] = "mma_m16n8k4";  static constexpr int m = 16, k = 4; };
struct m16n8k8  { static constexpr char name[] = "mma_m16n8k8";  static constexpr int m = 16, k = 8; };
struct m16n8k16 { static constexpr char name[] = "mma_m16n8k16"; static constexpr int m = 16, k = 16; };
struct m16n8k32 { static constexpr char name[] = "mma_m16n8k32"; static constexpr int m = 16, k = 32; };
struct m16n8k64 { static constexpr char name[] = "mma_m16n8k64"; static constexpr int m = 16, k = 64; };
struct m8n8k16  { static constexpr char name[] = "mma_m8n8k16";  static constexpr int m = 8,  k = 16; };
struct m8n8k32  { static constexpr char name[] = "mma_m8n8k32";  static constexpr int m = 8,  k = 32; };
// clang-format on

template <class Shape, class A, class B, class D>
struct product {
  static constexpr int a_words = arch::detail::registers_of<A, Shape::m, Shape::k>,
                       b_words = arch::detail::registers_of<B, 8, Shape::k>, d_words = D::words * Shape::m / 16;
  static constexpr probe::text spelled{Shape::name, element<A>::name, std::is_same_v<A, B> ? "" : element<B>::name,
                                       D::name};
  static constexpr char const* name       = spelled.letter;
  static constexpr char const* primitives = Shape::name;
  static constexpr int         needs      = std::is_same_v<A, e4m3> || std::is_same_v<A, e5m2> ? 89 : 80;
  static constexpr int         inputs = a_words + b_words + d_words, outputs = d_words, items = probe::products;

  static TENON_HD uint32_t draw_d(shape how, uint32_t r) {
    if constexpr (std::is_same_v<D, to_f32>) return probe::f32_bits::shaped(how, r);
    else if constexpr (std::is_same_v<D, to_f16>) return probe::f16_bits::packed(how, r);
    else return how == shape::close ? r % 1000 : how == shape::special ? 0x7ffffff0u + r % 32 : r;
  }
  static TENON_HD void draw(words& w, uint32_t* in) {
    uint32_t const  kind   = w.common() % (static_cast<unsigned>(shape::count) + 1);
    bool const      cancel = kind == static_cast<unsigned>(shape::count);
    auto const      how    = cancel ? shape::close : static_cast<shape>(kind);
    shape const     sums[] = {how, how, shape::wide, shape::close};
    shape const     of_d   = sums[w.common() % 4];
    uint32_t *const a = in, *const b = a + a_words, *const d = b + b_words;
    for (int i = 0; i < a_words; ++i) a[i] = element<A>::draw(how, w.next());
    for (int i = 0; i < b_words; ++i) b[i] = element<B>::draw(how, w.next());
    for (int i = 0; i < d_words; ++i) d[i] = draw_d(of_d, w.next());
    // The second half of k undoes the first, but for a few last bits.
    if (cancel && b_words >= 2) {
      for (int i = 0; i < a_words / 2; ++i) a[a_words / 2 + i] = a[i] ^ element<A>::signs;
      for (int i = 0; i < b_words / 2; ++i) b[b_words / 2 + i] = b[i] ^ (w.next() & w.next() & 0x01010101u);
    }
  }

  static __device__ void apply(bench const&, uint32_t const* in, uint32_t* out) {
    using type = typename D::type;
    uint32_t a[a_words], b[b_words];
    type     d[d_words];
    for (int i = 0; i < a_words; ++i) a[i] = in[i];
    for (int i = 0; i < b_words; ++i) b[i] = in[a_words + i];
    for (int i = 0; i < d_words; ++i) d[i] = tenon::bit_cast<type>(in[a_words + b_words + i]);
    constexpr auto limit = D::saturates ? tenon::overflow::saturate : tenon::overflow::wrap;
    if constexpr (std::is_same_v<Shape, m16n8k4>) arch::mma_m16n8k4<A, B>(d, a, b);
    if constexpr (std::is_same_v<Shape, m16n8k8>) arch::mma_m16n8k8<A, B>(d, a, b);
    if constexpr (std::is_same_v<Shape, m16n8k16>) arch::mma_m16n8k16<A, B, limit>(d, a, b);
    if constexpr (std::is_same_v<Shape, m16n8k32>) arch::mma_m16n8k32<A, B, limit>(d, a, b);
    if constexpr (std::is_same_v<Shape, m16n8k64>) arch::mma_m16n8k64<A, B, limit>(d, a, b);
    if constexpr (std::is_same_v<Shape, m8n8k16>) arch::mma_m8n8k16<A, B, limit>(d, a, b);
    if constexpr (std::is_same_v<Shape, m8n8k32>) arch::mma_m8n8k32<A, B, limit>(d, a, b);
    for (int i = 0; i < d_words; ++i) out[i] = tenon::bit_cast<uint32_t>(d[i]);
  }
};

using s8 = std::int8_t;
using u8 = std::uint8_t;

}  // namespace

std::vector<probe::entry> probe::matrix_cases() {
  return make_all<
      loads, stores, transposition,  //
      product<m16n8k8, f16, f16, to_f32>, product<m16n8k8, f16, f16, to_f16>, product<m16n8k16, f16, f16, to_f32>,
      product<m16n8k16, f16, f16, to_f16>, product<m16n8k8, bf16, bf16, to_f32>, product<m16n8k16, bf16, bf16, to_f32>,
      product<m16n8k4, tf32, tf32, to_f32>, product<m16n8k8, tf32, tf32, to_f32>, product<m16n8k16, e4m3, e4m3, to_f32>,
      product<m16n8k16, e5m2, e4m3, to_f16>, product<m16n8k32, e4m3, e4m3, to_f32>,
      product<m16n8k32, e4m3, e5m2, to_f32>, product<m16n8k32, e5m2, e4m3, to_f32>,
      product<m16n8k32, e5m2, e5m2, to_f32>, product<m16n8k32, e4m3, e4m3, to_f16>,
      product<m16n8k32, e5m2, e5m2, to_f16>,  //
      product<m8n8k16, s8, s8, to_s32>, product<m8n8k16, u8, s8, clamped>, product<m16n8k16, s8, s8, to_s32>,
      product<m16n8k16, s8, u8, clamped>, product<m16n8k32, s8, s8, to_s32>, product<m16n8k32, s8, u8, to_s32>,
      product<m16n8k32, u8, s8, to_s32>, product<m16n8k32, u8, u8, clamped>,  //
      product<m8n8k32, s4, s4, to_s32>, product<m8n8k32, u4, s4, clamped>, product<m16n8k32, s4, u4, to_s32>,
      product<m16n8k64, s4, s4, to_s32>, product<m16n8k64, u4, s4, to_s32>, product<m16n8k64, u4, u4, clamped>>();
}
