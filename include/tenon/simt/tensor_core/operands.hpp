#pragma once
//  The fragments of 32 lanes as matrices, and back.
//
//  All mma.sync shapes share one layout, in words of 32 bits (PTX ISA, "Matrix fragments for mma..."). With g = lane / 4
//  and t = lane % 4, register r of a lane is
//    A  word t + 4 * (r / (m / 8)) along k of row g + 8 * (r % (m / 8))
//    B  word t + 4 * r along k of column g
//    D  row g + 8 * (r / 2), column 2 * t + r % 2 (f32, s32); row g + 8 * r, columns 2 * t and 2 * t + 1 (f16)
//  where element p of word w is k = w * (elements per word) + p.
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
typedef std::uint32_t words2 __attribute__((vector_size(8)));

inline mma_lane const& lane_of(void* const* lanes, int l) { return *static_cast<mma_lane const*>(lanes[l]); }

/// Four lanes' registers in, register by register out: word j of r[i] is register i of lane j.
inline void transpose(words4 (&r)[4]) {
  words4 const ab = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5),
               cd = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
  words4 const AB = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7),
               CD = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  r[0] = __builtin_shufflevector(ab, cd, 0, 1, 4, 5), r[1] = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  r[2] = __builtin_shufflevector(AB, CD, 0, 1, 4, 5), r[3] = __builtin_shufflevector(AB, CD, 2, 3, 6, 7);
}

template <int Registers>
inline void load_a(words4 (&r)[4], void* const* lanes, int g) {
  for (int t = 0; t < 4; ++t) {
    r[t] = words4{};
    std::memcpy(&r[t], lane_of(lanes, 4 * g + t).a, 4 * Registers);
  }
}

inline void gather(mma_operation const& what, void* const* lanes, operands& to) {
  int const  bands = what.m / 8;
  bool const wide  = what.k * operand_bits(what.a) == 256;  // eight words along k, not four
  for (int g = 0; g < 8; ++g) {
    words4 r[4];
    if (bands == 1) load_a<1>(r, lanes, g);
    else if (wide) load_a<4>(r, lanes, g);
    else load_a<2>(r, lanes, g);
    transpose(r);
    words4 const none = {};
    std::memcpy(&to.a[g][0], &r[0], 16);
    std::memcpy(&to.a[g][4], wide ? &r[2] : &none, 16);
    if (bands == 2) {
      std::memcpy(&to.a[g + 8][0], &r[1], 16);
      std::memcpy(&to.a[g + 8][4], wide ? &r[3] : &none, 16);
    }
  }
  for (int t = 0; t < 4; ++t)
    for (int g = 0; g < 8; g += 4) {
      words2 x[4] = {};
      for (int i = 0; i < 4; ++i) std::memcpy(&x[i], lane_of(lanes, 4 * (g + i) + t).b, wide ? 8 : 4);
      words4 const low    = __builtin_shufflevector(x[0], x[1], 0, 2, 1, 3),
                   high   = __builtin_shufflevector(x[2], x[3], 0, 2, 1, 3);
      words4 const first  = __builtin_shufflevector(low, high, 0, 1, 4, 5),
                   second = __builtin_shufflevector(low, high, 2, 3, 6, 7);
      std::memcpy(&to.b[t][g], &first, 16);
      std::memcpy(&to.b[t + 4][g], &second, 16);
    }
  for (int l = 0; l < 32; l += 2) {
    int const   g = l / 4, t = l % 4;
    void *const left = lane_of(lanes, l).d, *const right = lane_of(lanes, l + 1).d;
    if (what.d == accumulator::f16) {
      words2 x, y;
      std::memcpy(&x, left, 8), std::memcpy(&y, right, 8);
      words4 const top    = {x[0] & 0xffffu, x[0] >> 16, y[0] & 0xffffu, y[0] >> 16},
                   bottom = {x[1] & 0xffffu, x[1] >> 16, y[1] & 0xffffu, y[1] >> 16};
      std::memcpy(&to.d[g][2 * t], &top, 16), std::memcpy(&to.d[g + 8][2 * t], &bottom, 16);
    } else if (bands == 2) {
      words4 x, y;
      std::memcpy(&x, left, 16), std::memcpy(&y, right, 16);
      words4 const top = __builtin_shufflevector(x, y, 0, 1, 4, 5), bottom = __builtin_shufflevector(x, y, 2, 3, 6, 7);
      std::memcpy(&to.d[g][2 * t], &top, 16), std::memcpy(&to.d[g + 8][2 * t], &bottom, 16);
    } else {
      std::memcpy(&to.d[g][2 * t], left, 8), std::memcpy(&to.d[g][2 * t + 2], right, 8);
    }
  }
}

inline void scatter(mma_operation const& what, operands const& from, void* const* lanes) {
  for (int l = 0; l < 32; ++l) {
    int const   g = l / 4, t = l % 4;
    auto* const to = static_cast<std::uint32_t*>(lane_of(lanes, l).d);
    if (what.d == accumulator::f16) {
      to[0] = from.d[g][2 * t] | from.d[g][2 * t + 1] << 16,
      to[1] = from.d[g + 8][2 * t] | from.d[g + 8][2 * t + 1] << 16;
    } else {
      std::memcpy(to, &from.d[g][2 * t], 8);
      if (what.m == 16) std::memcpy(to + 2, &from.d[g + 8][2 * t], 8);
    }
  }
}

}  // namespace tenon::simt::tensor_core
