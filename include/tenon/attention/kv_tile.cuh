#pragma once
//  A tile of keys or of values in shared memory, as the cache stores them, and the products that attention makes with it.
//  Codes become numbers in registers, exactly (quant/decode.cuh); scales go to scores and weights, in fp32:
//
//    S[i,k] = scale[k] (q[i] . code[k]) + offset[k] sum_d q[i,d]
//    O[i,:] = sum_k (p[k] scale[k]) code[k,:] + sum_k p[k] offset[k]      the second sum is a product, too
//
//  (kv_int4: for each group of 32 columns.)
//
//  A lane's 32 bits of an 8 x 16-byte matrix hold two numbers, four codes or eight. Instead of moving codes between lanes the
//  columns change places: those of Q before it is stored (column_of_slot), those of O when it is (run).
//
//    bits   Q: a 16-byte chunk, slots of its products         O: a lane's columns
//    16     as they are                                       2 side by side, of one block of eight
//    8      16 columns, one step: lane t takes 4t..4t+3       4 side by side, of two
//    4      32 columns, two steps: lane t takes 8t..8t+7      8 side by side, of four
//
//  Weights times the scales of int8 and int4 values are rounded to f16 whatever T is: codes are exact in it, and its fraction
//  keeps the weights of few keys. They are multiplied by 64 before, so that those of small scales do not become subnormal; a
//  scale is at most 514, so none overflows. (fp8: T; in f16 scales of values may be up to 1000, paged_attention says so.)
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/kv/paged_kv.hpp>
#include <tenon/quant/decode.cuh>
#include <tenon/tile/mma.cuh>
#include <tenon/tile/swizzle.cuh>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

/// Bits of an element of a cache.
template <class E>
inline constexpr int kv_bits = 8 * static_cast<int>(sizeof(E));
template <kv_codes E>
inline constexpr int kv_bits<E> = E::bits;

/// Runs of Dim columns that have a scale of their own.
template <class E, int Dim>
inline constexpr int kv_tile_groups = 1;
template <kv_codes E, int Dim>
inline constexpr int kv_tile_groups<E, Dim> = kv_groups<E>(Dim);

/// Which column of Q (of its 32) stands at slot 0..31 of a product with rows of `Bits` bits an element.
template <int Bits>
__device__ constexpr int column_of_slot(int slot) {
  int const t = slot % 8 / 2, second = slot % 2, upper = slot / 8 % 2, step = slot / 16;
  if constexpr (Bits == 16) return slot;
  else if constexpr (Bits == 8) return 16 * step + 4 * t + 2 * second + upper;
  else return 8 * t + 4 * second + 2 * step + upper;
}

/// Keys x Dim elements of E, for products of T (f16 or bf16) on tensor cores.
template <class T, class E, int Keys, int Dim>
struct kv_tile {
  static constexpr int  bits    = kv_bits<E>;
  static constexpr bool numbers = std::is_same_v<T, E>;
  static_assert(numbers || is_kv_codes<E>, "tenon::kernel::kv_tile: numbers of the products' type, or codes");
  using byte = std::conditional_t<numbers, T, std::uint8_t>;

  static constexpr int columns = numbers ? Dim : Dim * bits / 8;  // of `element`
  static constexpr int chunks  = Dim * bits / 128;                // of a key, 16 bytes each
  static constexpr int steps   = Dim / 16;                        // of a product along Dim
  static constexpr int run     = 32 / bits;                       // columns of O that a lane has side by side
  using weight                 = std::conditional_t<numbers || std::is_same_v<E, kv_fp8>, T, f16>;  // of P
  static constexpr float lift  = !numbers && std::is_same_v<weight, f16> ? 64 : 1;                  // of O

  tile::shared_tile<byte, Keys, columns> element;
};

/// The scales of a tile of codes: [group][key], rows eight words apart so that the groups' pairs meet different banks.
template <class E, int Keys, int Dim>
struct kv_tile_scales {};
template <kv_codes E, int Keys, int Dim>
struct kv_tile_scales<E, Keys, Dim> {
  static constexpr int groups = kv_tile_groups<E, Dim>;
  alignas(16) typename E::scale_type scale[groups][Keys + 8];

  /// Of the keys of a lane's accumulators in a block of eight: columns 0 and 1 of accumulator_column.
  __device__ vec<typename E::scale_type, 2> pair(int group, int block) const {
    return arch::load<2>(&scale[group][8 * block + 2 * (arch::lane() % 4)]);
  }
};

/// A tile of numbers or of codes with their scales.
template <class T, class E, int Keys, int Dim>
struct kv_stage : kv_tile<T, E, Keys, Dim>, kv_tile_scales<E, Keys, Dim> {};

/// Where one head of `Keys` tokens lies: its rows of elements, and of scales.
template <class E, int Keys>
struct kv_addresses {
  E const* row[Keys];

  __device__ void find(int key, tensor_view<E const, 4> const& pages, index_t page, int place, int head) {
    row[key] = &pages(page, place, head, 0);
  }
};
template <kv_codes E, int Keys>
struct kv_addresses<E, Keys> {
  std::uint8_t const*           row[Keys];
  typename E::scale_type const* scale[Keys];

  __device__ void find(int key, kv_code_pages<E const> const& pages, index_t page, int place, int head) {
    row[key] = &pages.code(page, place, head, 0), scale[key] = &pages.scale(page, place, head, 0);
  }
};

/// Starts a warp's copies of `Copied` keys, rows first_row.. of the tile: zeros behind a row's end, and for keys from `alive`
/// on, whose addresses are any in the cache.
template <int Copied, class T, class E, int Keys, int Dim>
__device__ inline void copy_rows(kv_stage<T, E, Keys, Dim>& to, kv_pages<E const> const& pages, int first_row,
                                 kv_addresses<E, Copied> const& from, int alive) {
  using stage          = kv_stage<T, E, Keys, Dim>;
  constexpr int chunks = stage::chunks, per_chunk = 16 / static_cast<int>(sizeof(typename stage::byte));
  static_assert(Copied * chunks % 32 == 0);
  int const bytes = static_cast<int>(kv_places(pages).extent[3]) * static_cast<int>(sizeof(typename stage::byte));
  TENON_UNROLL_DEVICE
  for (int first = 0; first < Copied * chunks; first += 32) {
    int const i = first + arch::lane(), row = i / chunks, c = i % chunks;
    int const left = row < alive ? min(max(bytes - 16 * c, 0), 16) : 0;
    arch::cp_async<16>(to.element.chunk(first_row + row, c), from.row[row] + (left > 0 ? per_chunk * c : 0), left);
  }
  if constexpr (is_kv_codes<E>) {
    index_t const step = pages.scale.stride[3];
    TENON_UNROLL_DEVICE
    for (int first = 0; first < Copied * stage::groups; first += 32) {
      int const i = first + arch::lane(), row = i % Copied, g = i / Copied;
      if (Copied * stage::groups % 32 != 0 && i >= Copied * stage::groups) break;
      int const left = row < alive && g < static_cast<int>(pages.scale.extent[3]) ? 4 : 0;
      arch::cp_async<4>(&to.scale[g][first_row + row], from.scale[row] + (left > 0 ? g * step : 0), left);
    }
  }
}

// ---- S = Q K^T

/// sum_d q[i,d] of a warp's 16 rows, for each group of the columns: what offsets are multiplied with. In shared memory.
template <class E, int Dim>
struct query_sums {
  static constexpr bool wanted = is_kv_codes<E> && !std::is_same_v<E, kv_fp8>;
  static constexpr int  groups = kv_tile_groups<E, Dim>;
  float                 of[groups][wanted ? 16 : 1];

  /// Adds up fragments q(step); the warp synchronises before it reads.
  template <class T, class Fragment>
  __device__ void make(Fragment const& q) {
    if constexpr (wanted) {
      std::uint32_t const one = tile::pack<T>(1, 1);
      constexpr int       per = Dim / 16 / groups;
      TENON_UNROLL_DEVICE
      for (int g = 0; g < groups; ++g) {
        tile::accumulator d;
        TENON_UNROLL_DEVICE
        for (int i = 0; i < per; ++i) tile::mma<T>(d, q(g * per + i), {{one, one}});
        if (arch::lane() % 4 == 0) of[g][arch::lane() / 4] = d.v[0], of[g][arch::lane() / 4 + 8] = d.v[2];
      }
    }
  }
  __device__ float row(int group, int half) const { return of[group][arch::lane() / 4 + 8 * half]; }
};

/// The scores of a warp's 16 rows and all keys of a tile; q(step) is the fragment of that step.
template <class T, class E, int Keys, int Dim, class Fragment>
__device__ inline void multiply_keys(tile::accumulator (&s)[Keys / 8], kv_stage<T, E, Keys, Dim> const& k,
                                     query_sums<E, Dim> const& sums, Fragment const& q) {
  using stage = kv_stage<T, E, Keys, Dim>;
  static_assert(Keys % 16 == 0);
  int const lane = arch::lane();
  if constexpr (stage::numbers) {
    TENON_UNROLL_DEVICE
    for (int step = 0; step < stage::steps; ++step) {
      tile::fragment_a const a = q(step);
      TENON_UNROLL_DEVICE
      for (int j = 0; j < Keys / 16; ++j) {
        tile::fragment_b b[2];
        tile::load_b(b, k.element, 16 * j, step);
        tile::mma<T>(s[2 * j], s[2 * j + 1], a, b);
      }
    }
  } else {
    TENON_UNROLL_DEVICE
    for (int c = 0; c < stage::chunks; c += 2) {
      TENON_UNROLL_DEVICE
      for (int j = 0; j < Keys / 16; ++j) {
        std::uint32_t w[4];  // two blocks of eight keys of chunk c, then of chunk c + 1
        arch::ldmatrix(w, k.element.chunk(16 * j + lane % 16, c + lane / 16));
        TENON_UNROLL_DEVICE
        for (int i = 0; i < 2; ++i) {
          if constexpr (stage::bits == 8) {
            constexpr weight_code code = std::is_same_v<E, kv_fp8> ? weight_code::fp8 : weight_code::int8;
            tile::fragment_b      b[2];
            TENON_UNROLL_DEVICE
            for (int n = 0; n < 2; ++n)
              b[n] = {{decode::eights<code, T, 0>(w[2 * i + n]), decode::eights<code, T, 1>(w[2 * i + n])}};
            tile::mma<T>(s[2 * j], s[2 * j + 1], q(c + i), b);
          } else {
            constexpr std::uint32_t even = decode::even_offset<T>(8), odd = decode::odd_offset<T>(8);
            tile::accumulator       part[2];
            tile::fragment_b        b[2];
            TENON_UNROLL_DEVICE
            for (int n = 0; n < 2; ++n)
              b[n] = {{decode::nibbles<T, 0>(w[2 * i + n], even), decode::nibbles<T, 1>(w[2 * i + n], odd)}};
            tile::mma<T>(part[0], part[1], q(2 * (c + i)), b);
            TENON_UNROLL_DEVICE
            for (int n = 0; n < 2; ++n)
              b[n] = {{decode::nibbles<T, 2>(w[2 * i + n], even), decode::nibbles<T, 3>(w[2 * i + n], odd)}};
            tile::mma<T>(part[0], part[1], q(2 * (c + i) + 1), b);
            float const of_row[2] = {sums.row(c + i, 0), sums.row(c + i, 1)};
            TENON_UNROLL_DEVICE
            for (int n = 0; n < 2; ++n) {
              auto const scale = k.pair(c + i, 2 * j + n);
              TENON_UNROLL_DEVICE
              for (int e = 0; e < 4; ++e)
                s[2 * j + n].v[e] = arch::fma(kv_scale(scale[e % 2]), part[n].v[e],
                                              arch::fma(kv_offset(scale[e % 2]), of_row[e / 2], s[2 * j + n].v[e]));
            }
          }
        }
      }
    }
    if constexpr (stage::bits == 8) {
      float of_row[2] = {};
      if constexpr (query_sums<E, Dim>::wanted) of_row[0] = sums.row(0, 0), of_row[1] = sums.row(0, 1);
      TENON_UNROLL_DEVICE
      for (int n = 0; n < Keys / 8; ++n) {
        auto const scale = k.pair(0, n);
        TENON_UNROLL_DEVICE
        for (int e = 0; e < 4; ++e) {
          float const v = kv_scale(scale[e % 2]) * s[n].v[e];
          if constexpr (query_sums<E, Dim>::wanted) s[n].v[e] = arch::fma(kv_offset(scale[e % 2]), of_row[e / 2], v);
          else s[n].v[e] = v;
        }
      }
    }
  }
}

// ---- O += P V

/// What a warp's 16 rows have gathered of values: `o` times 1 / lift, plus the shift of a column's group.
template <class E, int Dim>
struct value_sums {
  static constexpr bool shifts = is_kv_codes<E> && !std::is_same_v<E, kv_fp8>;
  static constexpr int  groups = kv_tile_groups<E, Dim>;
  static_assert(groups <= 8, "tenon::kernel::value_sums: a fragment's columns stand for groups");

  tile::accumulator o[Dim / 8];
  tile::accumulator shift;  // sum_k p[k] offset[k]: columns are groups

  /// A row times a factor: a new maximum.
  __device__ void rescale(int half, float by) {
    TENON_UNROLL_DEVICE
    for (int d = 0; d < Dim / 8; ++d) o[d].v[2 * half] *= by, o[d].v[2 * half + 1] *= by;
    if constexpr (shifts) shift.v[2 * half] *= by, shift.v[2 * half + 1] *= by;
  }
  /// The shift of a row's group, from the lane that has it. Collective over the warp.
  __device__ float shift_of(int half, int group) const {
    return arch::shuffle(shift.v[2 * half + group % 2], arch::lane() / 4 * 4 + group / 2);
  }
};

/// Weights p[k] of a tile's keys, as accumulators of S, times its values.
template <class T, class E, int Keys, int Dim>
__device__ inline void multiply_values(value_sums<E, Dim>&              sums, tile::accumulator const (&p)[Keys / 8],
                                       kv_stage<T, E, Keys, Dim> const& v) {
  using stage    = kv_stage<T, E, Keys, Dim>;
  using weight   = typename stage::weight;
  int const lane = arch::lane();
  if constexpr (stage::numbers) {
    TENON_UNROLL_DEVICE
    for (int j = 0; j < Keys / 16; ++j) {
      tile::fragment_a const a = tile::as_fragment_a<T>(p[2 * j], p[2 * j + 1]);
      TENON_UNROLL_DEVICE
      for (int d = 0; d < Dim / 16; ++d) {
        tile::fragment_b b[2];
        tile::load_b_transposed(b, v.element, 16 * j, d);
        tile::mma<T>(sums.o[2 * d], sums.o[2 * d + 1], a, b);
      }
    }
  } else {
    TENON_UNROLL_DEVICE
    for (int j = 0; j < Keys / 16; ++j) {
      auto const scaled = [&](int group) {  // the fragment of p times scale
        tile::accumulator s[2];
        TENON_UNROLL_DEVICE
        for (int n = 0; n < 2; ++n) {
          auto const scale = v.pair(group, 2 * j + n);
          TENON_UNROLL_DEVICE
          for (int e = 0; e < 4; ++e) s[n].v[e] = p[2 * j + n].v[e] * (stage::lift * kv_scale(scale[e % 2]));
        }
        return tile::as_fragment_a<weight>(s[0], s[1]);
      };
      if constexpr (value_sums<E, Dim>::shifts) {
        int const        group = lane / 4;
        tile::fragment_b b{};
        TENON_UNROLL_DEVICE
        for (int n = 0; n < 2; ++n) {
          auto const of_keys = v.pair(min(group, stage::groups - 1), 2 * j + n);
          if (group < stage::groups)
            b.r[n] = static_cast<std::uint32_t>(of_keys[0].offset.bits) |
                     static_cast<std::uint32_t>(of_keys[1].offset.bits) << 16;
        }
        tile::mma<f16>(sums.shift, tile::as_fragment_a<f16>(p[2 * j], p[2 * j + 1]), b);
      }
      tile::fragment_a a;
      if constexpr (stage::bits == 8) a = scaled(0);
      TENON_UNROLL_DEVICE
      for (int c = 0; c < stage::chunks; c += 2) {
        if constexpr (Dim >= 128) arch::sync_warp();  // keeps later chunks' loads behind: registers
        std::uint32_t w[4];                           // keys 16j.. and 16j + 8.. of chunk c, then of chunk c + 1
        arch::ldmatrix_transposed(w, v.element.chunk(16 * j + lane % 16, c + lane / 16));
        TENON_UNROLL_DEVICE
        for (int i = 0; i < 2; ++i) {
          std::uint32_t const low = w[2 * i], high = w[2 * i + 1];
          tile::fragment_b    b[2];
          if constexpr (stage::bits == 8) {
            constexpr weight_code code = std::is_same_v<E, kv_fp8> ? weight_code::fp8 : weight_code::int8;
            b[0] = {{decode::eights<code, weight, 0>(low), decode::eights<code, weight, 0>(high)}};
            b[1] = {{decode::eights<code, weight, 1>(low), decode::eights<code, weight, 1>(high)}};
            tile::mma<weight>(sums.o[2 * (c + i)], sums.o[2 * (c + i) + 1], a, b);
          } else {
            constexpr std::uint32_t even = decode::even_offset<weight>(8), odd = decode::odd_offset<weight>(8);
            a    = scaled(c + i);
            b[0] = {{decode::nibbles<weight, 0>(low, even), decode::nibbles<weight, 0>(high, even)}};
            b[1] = {{decode::nibbles<weight, 1>(low, odd), decode::nibbles<weight, 1>(high, odd)}};
            tile::mma<weight>(sums.o[4 * (c + i)], sums.o[4 * (c + i) + 1], a, b);
            b[0] = {{decode::nibbles<weight, 2>(low, even), decode::nibbles<weight, 2>(high, even)}};
            b[1] = {{decode::nibbles<weight, 3>(low, odd), decode::nibbles<weight, 3>(high, odd)}};
            tile::mma<weight>(sums.o[4 * (c + i) + 2], sums.o[4 * (c + i) + 3], a, b);
          }
        }
      }
    }
  }
}

/// Calls f(half, column, values) for every run of neighbouring columns that this lane has of its two rows. Collective over
/// the warp.
template <class T, class E, int Dim, class F>
__device__ inline void for_each_run(value_sums<E, Dim> const& sums, F const& f) {
  using tile_type   = kv_tile<T, E, 16, Dim>;
  constexpr int run = tile_type::run, wide = run / 2;
  int const     t = arch::lane() % 4;
  TENON_UNROLL_DEVICE
  for (int half = 0; half < 2; ++half) {
    float shift = 0;
    if constexpr (value_sums<E, Dim>::shifts) shift = sums.shift_of(half, 0);
    TENON_UNROLL_DEVICE
    for (int r = 0; r < Dim / (4 * run); ++r) {
      if constexpr (value_sums<E, Dim>::groups > 1)
        if (r > 0) shift = sums.shift_of(half, r);
      vec<float, run> v;
      TENON_UNROLL_DEVICE
      for (int i = 0; i < run; ++i) {
        v[i] = sums.o[r * wide + i % wide].v[2 * half + i / wide];
        if constexpr (tile_type::lift != 1) v[i] *= 1 / tile_type::lift;
        if constexpr (value_sums<E, Dim>::shifts) v[i] += shift;
      }
      f(half, (4 * r + t) * run, v);
    }
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
