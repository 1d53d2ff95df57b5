//  The arithmetic of mma.sync in vectors of TENON_SIMT_LANES floats; tensor_core/mma.hpp includes this once per
//  instruction set, into the namespace TENON_SIMT_ISA.
//
//  The exact sums use that a floating-point unit can align: with the scale 2^(fraction - exponent), a product times the
//  scale, converted to an integer by truncation, is the aligned term. Products of operands are exact in fp32, and so are
//  powers of two times them; eight terms, each below 2^27, fit an int32. Where that is not so (infinities, NaN, exponents
//  at the ends of the range) the elements go through model.hpp one by one.
//
//  Multiplications and additions are never fused, so that every machine gives the same `fast` result.
#if !defined(TENON_SIMT_LANES)
// clang-format off
#pragma once
// clang-format on
#else

namespace tenon::simt::tensor_core::TENON_SIMT_ISA {

inline constexpr int  lanes = TENON_SIMT_LANES;
typedef float         floats __attribute__((vector_size(4 * lanes)));
typedef std::int32_t  ints __attribute__((vector_size(4 * lanes)));
typedef std::uint32_t words __attribute__((vector_size(4 * lanes)));
typedef double        doubles __attribute__((vector_size(8 * lanes)));
typedef std::int64_t  longs __attribute__((vector_size(8 * lanes)));

inline floats splat(float v) { return v - floats{}; }
inline floats load(float const* from) {
  floats v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline void   store(float* to, floats const& v) { std::memcpy(to, &v, sizeof v); }
inline floats larger(floats const& a, floats const& b) { return a > b ? a : b; }
inline floats smaller(floats const& a, floats const& b) { return a < b ? a : b; }

/// The magnitude of a small float whose bits lie where an fp32 has them: its exponent is `bias` too low, and 0 means
/// subnormal. (A multiplication would do, but processors are slow at fp32 subnormals.)
inline words rebias(words const& low, unsigned bias) {
  unsigned const one       = (bias + 1) << 23;
  words const    normal    = low + (bias << 23);
  words const    subnormal = (words)((floats)(low + one) - (floats)(words{} + one));
  words const    is_normal = (words)(low >= 0x800000u);
  return (normal & is_normal) | (subnormal & ~is_normal);
}
/// f16 in the lower halves of words; infinities and NaN too.
inline floats widen_f16(words const& h) {
  words const special = (words)((h & 0x7c00u) == 0x7c00u) & 0x7f800000u;
  return (floats)(rebias((h & 0x7fffu) << 13, 112) | special | (h & 0x8000u) << 16);
}
/// The inverse, rounded to nearest even; NaN becomes the canonical one.
inline words narrow_f16(floats const& v) {
  words const u = (words)v, magnitude = u & 0x7fffffffu, sign = u >> 16 & 0x8000u;
  words const normal    = ((magnitude + 0xfffu + (magnitude >> 13 & 1u)) >> 13) - (112u << 10);
  words const subnormal = (words)((floats)magnitude + 0.5f) - 0x3f000000u;  // the last bit of 0.5 is f16's smallest
  words const low_end = (words)(magnitude < 0x38800000u), over = (words)(magnitude >= 0x477ff000u);
  words const nan    = (words)(magnitude > 0x7f800000u);
  words const finite = (subnormal & low_end) | (normal & ~low_end);
  return (((finite & ~over) | (over & 0x7c00u) | sign) & ~nan) | (nan & canonical_nan_f16);
}
inline floats round_f16(floats const& v) { return widen_f16(narrow_f16(v)); }
inline floats canonical(floats const& v) {
  words const nan = (words)(v != v);
  return (floats)(((words)v & ~nan) | (nan & canonical_nan));
}
/// 2^exponent of each value, at least `least`; 0 of zero, infinite of infinities and NaN.
inline floats power(floats const& v, float least) {
  return larger((floats)((words)v & 0x7f800000u), (floats)((words)splat(least) & (words)(v != 0)));
}

/// An operand's values by plane (element of a word), within a plane as the words lie.
template <int Words>
struct decoded {
  alignas(32) float value[8 * Words];
  float largest, least;  // of the powers, the latter of those that are not 0

  /// Their powers of two. Only where exact sums need them: operands of at least eight bits.
  float* powers() { return value + 4 * Words; }
};

/// Element `plane` of each word.
template <operand Type>
inline floats value_of(words const& w, int plane) {
  auto const p = static_cast<unsigned>(plane);
  if constexpr (Type == operand::f16) return widen_f16(w >> 16 * p);
  if constexpr (Type == operand::bf16) return (floats)(w >> 16 * p << 16);
  if constexpr (Type == operand::tf32) return (floats)(w & 0xffffe000u);
  if constexpr (Type == operand::e5m2) return widen_f16((w >> 8 * p & 255u) << 8);
  if constexpr (Type == operand::e4m3) {
    words const h = w >> 8 * p, nan = (words)((h & 0x7fu) == 0x7fu) & 0x7fc00000u;
    return (floats)(rebias((h & 0x7fu) << 20, 120) | nan | (h & 0x80u) << 24);
  }
  if constexpr (Type == operand::s8) return __builtin_convertvector((ints)(w << (24 - 8 * p)) >> 24, floats);
  if constexpr (Type == operand::u8) return __builtin_convertvector((ints)(w >> 8 * p & 255u), floats);
  if constexpr (Type == operand::s4) return __builtin_convertvector((ints)(w << (28 - 4 * p)) >> 28, floats);
  if constexpr (Type == operand::u4) return __builtin_convertvector((ints)(w >> 4 * p & 15u), floats);
}

template <operand Type, int Words>
inline void decode_as(decoded<Words>& to, std::uint32_t const* from, int used, bool powers) {
  constexpr int   planes = 32 / operand_bits(Type);
  constexpr float bottom = least_exponent(Type) == -14 ? 0x1p-14f : least_exponent(Type) == -6 ? 0x1p-6f : 0x1p-126f;
  floats          largest{}, least = splat(__builtin_inff());
  for (int i = 0; i < used; i += lanes) {
    words w;
    std::memcpy(&w, from + i, sizeof w);
    for (int p = 0; p < planes; ++p) {
      floats const v = value_of<Type>(w, p);
      store(to.value + p * Words + i, v);
      if (operand_bits(Type) < 8 || !powers) continue;
      floats const e = power(v, bottom);
      store(to.powers() + p * Words + i, e);
      largest = larger(largest, e);
      least   = smaller(least, (floats)((words)e | ((words)(e == 0) & 0x7f800000u)));
    }
  }
  to.largest = 0, to.least = __builtin_inff();
  for (int l = 0; powers && l < lanes; ++l) {
    if (largest[l] > to.largest) to.largest = largest[l];
    if (least[l] < to.least) to.least = least[l];
  }
}

template <int Words>
inline void decode(operand type, decoded<Words>& to, std::uint32_t const* from, int used, bool powers) {
  switch (type) {
    case operand::f16: return decode_as<operand::f16>(to, from, used, powers);
    case operand::bf16: return decode_as<operand::bf16>(to, from, used, powers);
    case operand::tf32: return decode_as<operand::tf32>(to, from, used, powers);
    case operand::e4m3: return decode_as<operand::e4m3>(to, from, used, powers);
    case operand::e5m2: return decode_as<operand::e5m2>(to, from, used, powers);
    case operand::s8: return decode_as<operand::s8>(to, from, used, powers);
    case operand::u8: return decode_as<operand::u8>(to, from, used, powers);
    case operand::s4: return decode_as<operand::s4>(to, from, used, powers);
    case operand::u4: return decode_as<operand::u4>(to, from, used, powers);
  }
}

/// Where the elements of one step lie in `decoded`, in the order of k.
struct places {
  int count = 0;
  int a[64], b[64];  // of row 0, column 0

  explicit places(step const& over) {
    for (int w = over.word; w < over.word_end; ++w)
      for (int p = over.plane; p < over.plane_end; ++p, ++count) a[count] = 128 * p + w, b[count] = 64 * p + 8 * w;
  }
};

/// d += a b in fp32, in the order of k.
inline void multiply_in_order(float (*d)[8], float const* a, float const* b, places const& at, int rows) {
  constexpr int block = 8;
  for (int i = 0; i < rows; i += block)
    for (int j = 0; j < 8; j += lanes) {
      floats sum[block];
      TENON_UNROLL
      for (int r = 0; r < block; ++r) sum[r] = load(&d[i + r][j]);
      for (int k = 0; k < at.count; ++k) {
        floats const       column = load(b + at.b[k] + j);
        float const* const row    = a + at.a[k] + 8 * i;
        TENON_UNROLL
        for (int r = 0; r < block; ++r) {
          floats product = row[8 * r] * column;
          TENON_SIMT_UNFUSED(product);
          sum[r] += product;
        }
      }
      TENON_UNROLL
      for (int r = 0; r < block; ++r) store(&d[i + r][j], sum[r]);
    }
}

/// One step of the exact sum, or false where an element leaves the range in which fp32 is exact.
inline bool sum_step(float (*d)[8], decoded<128>& a, decoded<64>& b, places const& at, summation const& s) {
  constexpr int       block = 4;
  bool const          tiny  = !(a.least * b.least >= 0x1p-126f);  // a product may vanish
  floats const        floor = splat(s.half ? std::ldexp(1.f, s.floor) : 0.f);
  std::uint32_t const shift = static_cast<std::uint32_t>(s.fraction) << 23;
  std::int64_t const  bit = std::int64_t{1} << (52 - s.kept), below = bit - 1;
  words               fits = ~words{};
  for (int i = 0; i < 16; i += block)
    for (int j = 0; j < 8; j += lanes) {
      floats c[block], largest[block];  // the latter powers of two
      TENON_UNROLL
      for (int r = 0; r < block; ++r) {
        c[r]       = load(&d[i + r][j]);
        largest[r] = larger(power(c[r], 0x1p-126f), floor);
      }
      for (int k = 0; k < at.count; ++k) {
        floats const       column = load(b.powers() + at.b[k] + j);
        float const* const row    = a.powers() + at.a[k] + 8 * i;
        TENON_UNROLL
        for (int r = 0; r < block; ++r) largest[r] = larger(largest[r], row[8 * r] * column);
      }
      floats scale[block];
      words  even[block], odd[block] = {};  // elements that do not fit may wrap: they are not used
      TENON_UNROLL
      for (int r = 0; r < block; ++r) {
        words const nothing = tiny ? words{} : (words)(largest[r] == 0);
        fits &= ((words)(largest[r] >= 0x1p-100f) | nothing) & (words)(largest[r] <= 0x1p127f);
        scale[r] = (floats)((254u << 23) + shift - (words)largest[r]);
        even[r]  = (words) __builtin_convertvector(c[r] * scale[r], ints);
      }
      for (int k = 0; k < at.count; k += 2) {
        floats const       first = load(b.value + at.b[k] + j), second = load(b.value + at.b[k + 1] + j);
        float const *const row = a.value + at.a[k] + 8 * i, *const next = a.value + at.a[k + 1] + 8 * i;
        TENON_UNROLL
        for (int r = 0; r < block; ++r) {
          even[r] += (words) __builtin_convertvector(row[8 * r] * first * scale[r], ints);
          odd[r] += (words) __builtin_convertvector(next[8 * r] * second * scale[r], ints);
        }
      }
      TENON_UNROLL
      for (int r = 0; r < block; ++r) {
        floats const  unit = (floats)((words)largest[r] - shift);
        doubles const sum =
            __builtin_convertvector((ints)even[r], doubles) + __builtin_convertvector((ints)odd[r], doubles);
        longs const v    = (longs)(sum * __builtin_convertvector(unit, doubles) + 0.0);  // -0 + 0 is +0
        longs       kept = v & ~below;
        if (s.half) kept |= (longs)((v & below) != 0) & bit;  // to odd, so that the next rounding is the only one
        floats const result = __builtin_convertvector((doubles)kept, floats);
        store(&d[i + r][j], s.half ? round_f16(result) : result);
      }
    }
  bool all = true;
  for (int l = 0; l < lanes; ++l) all = all && fits[l];
  return all;
}

inline void sum_exactly(mma_operation const& what, summation const& s, float (*d)[8], decoded<128>& a, decoded<64>& b) {
  alignas(32) float c[16][8];
  std::memcpy(c, d, sizeof c);
  if (s.starts_at_0) std::memset(d, 0, sizeof c);
  bool done = a.largest * b.largest <= 0x1p125f;
  for (int i = 0; done && i < s.steps; ++i) done = sum_step(d, a, b, places(s.over[i]), s);
  if (!done) {
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 8; ++j) {
        d[i][j] = s.starts_at_0 ? 0.f : c[i][j];
        for (int n = 0; n < s.steps; ++n) {
          places const at(s.over[n]);
          float        x[32], y[32];
          for (int k = 0; k < at.count; ++k) x[k] = a.value[at.a[k] + 8 * i], y[k] = b.value[at.b[k] + j];
          d[i][j] = fused_sum(x, y, at.count, least_exponent(what.a), least_exponent(what.b), d[i][j], s);
        }
      }
  }
  if (!s.starts_at_0) return;
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; j += lanes) {
      floats const v = load(&c[i][j]) + load(&d[i][j]);
      store(&d[i][j], s.half ? round_f16(v) : canonical(v));
    }
}

inline void multiply(mma_operation const& what, numerics how, operands& o) {
  int const         planes = 32 / operand_bits(what.a), along_k = what.k / planes;
  bool const        integers = what.d == accumulator::s32, half = what.d == accumulator::f16;
  bool const        exact = !integers && how != numerics::f32;
  decoded<128>      a;
  decoded<64>       b;
  alignas(32) float d[16][8];
  decode(what.a, a, o.a[0], 8 * what.m, exact);
  decode(what.b, b, o.b[0], 8 * along_k, exact);
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; j += lanes) {
      words c;
      std::memcpy(&c, &o.d[i][j], sizeof c);
      store(&d[i][j], integers ? floats{} : half ? widen_f16(c) : (floats)c);
    }
  if (exact) sum_exactly(what, summation_of(what, how), d, a, b);
  else multiply_in_order(d, a.value, b.value, places({0, along_k, 0, planes}), what.m);
  if (integers) {  // the products sum to less than 2^22, exact in fp32
    for (int i = 0; i < what.m; ++i)
      for (int j = 0; j < 8; ++j) {
        std::int64_t sum = static_cast<std::int32_t>(o.d[i][j]) + static_cast<std::int64_t>(d[i][j]);
        if (what.saturate) sum = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
        o.d[i][j] = static_cast<std::uint32_t>(sum);
      }
    return;
  }
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; j += lanes) {
      words const result = half ? narrow_f16(load(&d[i][j])) : (words)canonical(load(&d[i][j]));
      std::memcpy(&o.d[i][j], &result, sizeof result);
    }
}

}  // namespace tenon::simt::tensor_core::TENON_SIMT_ISA

#endif
