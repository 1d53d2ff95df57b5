#pragma once
//  The fragments of 32 lanes as matrices, and back.
//
//  All mma.sync shapes share one layout, in words of 32 bits (PTX ISA, "Matrix fragments for mma..."). With g = lane / 4
//  and t = lane % 4, register r of a lane is
//    A  word t + 4 * (r / (m / 8)) along k of row g + 8 * (r % (m / 8))
//    B  word t + 4 * r along k of column g
//    D  row g + 8 * (r / 2), column 2 * t + r % 2 (f32, s32); row g + 8 * r, columns 2 * t and 2 * t + 1 (f16)
//  where element p of word w is k = w * (elements per word) + p.
#include <tenon/config.hpp>
#include <tenon/simt/tensor_core/operation.hpp>

#include <cstdint>
#include <cstring>

namespace tenon::simt::tensor_core {

/// One mma in matrix order. Unused words are zero.
struct operands {
  alignas(32) std::uint32_t a[16][8];  // row, word along k
  alignas(32) std::uint32_t b[8][8];   // word along k, column
  alignas(32) std::uint32_t d[16][8];  // row, column; f16 in the lower half of its word
};

typedef std::uint32_t words4 __attribute__((vector_size(16)));

inline mma_lane const& lane_of(void* const* lanes, int l) { return *static_cast<mma_lane const*>(lanes[l]); }

template <int Words>
inline words4 load_words(void const* from) {
  words4 v = {};
  std::memcpy(&v, from, 4 * Words);
  return v;
}
template <int Words = 4>
inline void store_words(void* to, words4 const& v) {
  std::memcpy(to, &v, 4 * Words);
}

/// The first two words of four lanes, word by word.
inline void transpose2(words4 const& a, words4 const& b, words4 const& c, words4 const& d, words4& first,
                       words4& second) {
  words4 const ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  first  = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
  second = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

/// A of Bands * 8 rows and Words words along k.
template <int Bands, int Words>
inline void gather_a(void* const* lanes, operands& to) {
  constexpr int registers = Bands * Words / 4;
  for (int g = 0; g < 8; ++g) {
    words4 r[4], low[2], high[2] = {};
    TENON_UNROLL
    for (int t = 0; t < 4; ++t) r[t] = load_words<registers>(lane_of(lanes, 4 * g + t).a);
    transpose2(r[0], r[1], r[2], r[3], low[0], low[1]);
    if constexpr (Words == 8) {
      TENON_UNROLL
      for (int t = 0; t < 4; ++t) r[t] = __builtin_shufflevector(r[t], r[t], 2, 3, 2, 3);
      transpose2(r[0], r[1], r[2], r[3], high[0], high[1]);
    }
    TENON_UNROLL
    for (int band = 0; band < Bands; ++band) {
      store_words(&to.a[g + 8 * band][0], low[band]);
      store_words(&to.a[g + 8 * band][4], high[band]);
    }
  }
}

template <int Words>
inline void gather_b(void* const* lanes, operands& to) {
  constexpr int registers = Words / 4;
  for (int t = 0; t < 4; ++t)
    for (int g = 0; g < 8; g += 4) {
      words4     first, second;
      auto const own = [&](int i) { return load_words<registers>(lane_of(lanes, 4 * (g + i) + t).b); };
      transpose2(own(0), own(1), own(2), own(3), first, second);
      store_words(&to.b[t][g], first);
      store_words(&to.b[t + 4][g], second);
    }
}

inline void gather(mma_operation const& what, void* const* lanes, operands& to) {
  bool const wide = what.k * operand_bits(what.a) == 256;  // eight words along k, not four
  if (what.m == 8) gather_a<1, 4>(lanes, to);
  else if (wide) gather_a<2, 8>(lanes, to);
  else gather_a<2, 4>(lanes, to);
  if (wide) gather_b<8>(lanes, to);
  else gather_b<4>(lanes, to);
  for (int l = 0; l < 32; l += 2) {
    int const         g = l / 4, t = l % 4;
    void const *const left = lane_of(lanes, l).d, *const right = lane_of(lanes, l + 1).d;
    if (what.d == accumulator::f16) {
      words4 const x = load_words<2>(left), y = load_words<2>(right);
      store_words(&to.d[g][2 * t], words4{x[0] & 0xffffu, x[0] >> 16, y[0] & 0xffffu, y[0] >> 16});
      store_words(&to.d[g + 8][2 * t], words4{x[1] & 0xffffu, x[1] >> 16, y[1] & 0xffffu, y[1] >> 16});
    } else if (what.m == 16) {
      words4 const x = load_words<4>(left), y = load_words<4>(right);
      store_words(&to.d[g][2 * t], __builtin_shufflevector(x, y, 0, 1, 4, 5));
      store_words(&to.d[g + 8][2 * t], __builtin_shufflevector(x, y, 2, 3, 6, 7));
    } else {
      store_words<2>(&to.d[g][2 * t], load_words<2>(left)), store_words<2>(&to.d[g][2 * t + 2], load_words<2>(right));
    }
  }
}

inline void scatter(mma_operation const& what, operands const& from, void* const* lanes) {
  for (int l = 0; l < 32; l += 2) {
    int const   g = l / 4, t = l % 4;
    void *const left = lane_of(lanes, l).d, *const right = lane_of(lanes, l + 1).d;
    auto const row = load_words<4>(&from.d[g][2 * t]);
    if (what.d == accumulator::f16) {
      auto const below = load_words<4>(&from.d[g + 8][2 * t]);
      store_words<2>(left, words4{row[0] | row[1] << 16, below[0] | below[1] << 16, 0, 0});
      store_words<2>(right, words4{row[2] | row[3] << 16, below[2] | below[3] << 16, 0, 0});
    } else if (what.m == 16) {
      auto const below = load_words<4>(&from.d[g + 8][2 * t]);
      store_words(left, __builtin_shufflevector(row, below, 0, 1, 4, 5));
      store_words(right, __builtin_shufflevector(row, below, 2, 3, 6, 7));
    } else {
      store_words<2>(left, row), store_words<2>(right, __builtin_shufflevector(row, row, 2, 3, 2, 3));
    }
  }
}

}  // namespace tenon::simt::tensor_core
