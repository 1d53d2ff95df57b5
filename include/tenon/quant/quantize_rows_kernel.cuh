#pragma once
//  scales[i, g] = max |v[i, j]| / largest code;  codes[i, j] = round_half_even(v[i, j] / scales[i, g])
//
//  One kernel for every way to come by a row: a *row source* is plain data that names the values v of row i. It is x itself
//  here; a normalised row (norm/rms_norm_quantize_kernel.cuh) and a gated unit (swiglu_quantize.hpp) are others.
//
//    struct source {
//      static constexpr bool normed;                        whether values are v * rsqrt(mean(v^2) + eps) * weights
//      template <int N> vec<float, N> load(row, h) const;   N values from h on, where called first; may store them elsewhere
//      template <int N> vec<float, N> again(row, h) const;  the same values, by any thread of the block, after a barrier
//      float eps;                                           normed only
//      template <int N> vec<float, N> weights(h) const;     normed only
//    };
//
//  One block per row. With one scale per row, up to `held` vectors per thread stay in registers until the scale is known;
//  what does not fit is asked of the source again. With groups, a warp takes one group after another.
//  Traffic: the source's operands once in (a second time from cache), codes and scales once out.
#include <tenon/arch/arch.cuh>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/context.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/nearest_code.hpp>
#include <tenon/core/status.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/quant/quantize_rows_policy.hpp>
#include <tenon/quant/quantized_rows.hpp>
#include <tenon/tile/reduce.cuh>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

/// The rows of a matrix, as they are.
template <class X>
struct plain_rows {
  static constexpr bool   normed = false;
  tensor_view<X const, 2> x;  // (m, k)

  template <int N>
  __device__ vec<float, N> load(index_t row, int h) const {
    auto const    v = arch::load<N>(&x(row, 0) + h);
    vec<float, N> r;
    TENON_UNROLL
    for (int i = 0; i < N; ++i) r[i] = static_cast<float>(v[i]);
    return r;
  }
  template <int N>
  __device__ vec<float, N> again(index_t row, int h) const {
    return load<N>(row, h);
  }
};

template <class Source, row_code Code>
struct quantize_rows_params {
  tensor_view<Code, 2>  codes;   // (m, k)
  tensor_view<float, 2> scales;  // (m, row_scales(k, group))
  Source                source;
  int                   group;  // 0: a whole row
  float                 scale;  // of all, 0: from the largest magnitude
};

template <class Policy>
struct quantize_rows_storage {
  typename tile::block_reduce<Policy::value.threads_per_block>::storage               sum;
  typename tile::block_reduce<Policy::value.threads_per_block, std::int32_t>::storage largest;
};

/// Of the bits of magnitudes: in the order of their values, a NaN above all.
struct later {
  __device__ constexpr std::int32_t operator()(std::int32_t a, std::int32_t b) const { return a < b ? b : a; }
};

template <int N>
__device__ inline void note_magnitudes(std::int32_t (&largest)[N], vec<float, N> const& v) {
  TENON_UNROLL
  for (int i = 0; i < N; ++i) largest[i] = later{}(largest[i], bit_cast<std::int32_t>(v[i]) & 0x7fffffff);
}

/// v / largest code, correctly rounded; 0 below the normal numbers, which have no reciprocal: such values count as zeros.
/// On a GPU a division is a call, whose registers a kernel pays for everywhere. Two steps with the exact remainder do the
/// same (Markstein, "IA-64 and elementary functions", 2000): the tests compare the bits with those of a division.
template <row_code Code, class Policy>
__device__ inline float scale_of(std::int32_t largest) {
  float const v     = bit_cast<float>(largest);
  float       scale = 0;
  if constexpr (Policy::value.threads_per_block == 1) {
    scale = v / largest_code<Code>;
  } else {
    constexpr float inverse = 1.f / largest_code<Code>;
    float const     close   = v * inverse;
    float const     exact   = arch::fma(arch::fma(-largest_code<Code>, close, v), inverse, close);
    scale                   = exact == exact ? exact : close;  // an infinity has no remainder
  }
  return scale < 1.17549435e-38f ? 0.f : scale;
}

/// 1 / scale, correctly rounded, for scales in [2^-126, 2^126]; 0 for 0 and infinity.
template <class Policy>
__device__ inline float inverse_of(float scale) {
  if (scale == 0) return 0;
  if constexpr (Policy::value.threads_per_block == 1) {
    return 1.f / scale;
  } else {
    float const root = arch::rsqrt(scale);
    float       y    = root * root;
    y                = arch::fma(y, arch::fma(-scale, y, 1.f), y);
    y                = arch::fma(y, arch::fma(-scale, y, 1.f), y);
    auto const bits  = bit_cast<std::uint32_t>(scale);
    // The one fraction that Markstein's theorem leaves out, all ones: the next float above a power of two.
    if ((bits & 0x7fffff) == 0x7fffff) y = bit_cast<float>(((253u - (bits >> 23)) << 23) | 1u);
    return bits == 0x7f800000u ? 0.f : y;
  }
}

/// round_half_even(v * inverse), saturated. A GPU has an instruction for a pair of e4m3.
template <row_code Code, class Policy, int N>
__device__ inline void store_codes(Code* to, vec<float, N> const& v, float inverse) {
  vec<Code, N> codes;
  if constexpr (std::is_same_v<Code, e4m3> && Policy::value.threads_per_block > 1 && N % 2 == 0) {
    TENON_UNROLL
    for (int i = 0; i < N; i += 2) {
      auto const pair = arch::convert_pair<e4m3>(v[i] * inverse, v[i + 1] * inverse);
      codes[i]        = e4m3::from_bits(static_cast<std::uint8_t>(pair & 0xff));
      codes[i + 1]    = e4m3::from_bits(static_cast<std::uint8_t>(pair >> 8));
    }
  } else {
    TENON_UNROLL
    for (int i = 0; i < N; ++i) codes[i] = nearest_code<Code>(v[i] * inverse);
  }
  arch::store<N>(to, codes);
}

/// What v becomes in a normalised row; v itself in others.
template <class Source, int N>
__device__ inline vec<float, N> normalised(Source const& source, int h, vec<float, N> v, float norm) {
  if constexpr (Source::normed) {
    auto const w = source.template weights<N>(h);
    TENON_UNROLL
    for (int i = 0; i < N; ++i) v[i] = v[i] * norm * w[i];
  }
  return v;
}

/// N values of the row once more.
template <int N, class Source>
__device__ inline vec<float, N> row_values(Source const& source, index_t row, int h, float norm) {
  return normalised(source, h, source.template again<N>(row, h), norm);
}

template <class Policy, class Source, row_code Code>
__global__
__launch_bounds__(Policy::value.threads_per_block, Policy::value.blocks_per_multiprocessor()) void quantize_rows(
    __grid_constant__ quantize_rows_params<Source, Code> const p) {
  constexpr int threads = Policy::value.threads_per_block;
  constexpr int vector  = Policy::value.vector;
  constexpr int held    = Policy::value.held;
  constexpr int step    = threads * vector;

  auto& shared = arch::shared<quantize_rows_storage<Policy>>();

  // Index map: one block per row; threads stride over the row's whole vectors, then over its tail.
  // Within a row offsets are 32-bit, which halves the registers that they take.
  index_t const row    = blockIdx.x;
  int const     k      = static_cast<int>(p.codes.extent[1]);
  int const     groups = static_cast<int>(p.scales.extent[1]);
  int const     thread = static_cast<int>(threadIdx.x);
  int const     whole  = k / vector * vector;
  int const     first  = thread * vector;
  int const     tail   = whole + thread;
  Code* const   codes  = &p.codes(row, 0);

  vec<float, vector> kept[held == 0 ? 1 : held] = {};

  // The sum of squares of a row to be normalised, in the order of rms_norm.
  float norm = 1;
  if constexpr (Source::normed) {
    float      squares[vector] = {};
    auto const square          = [&](vec<float, vector> const& v) {
      TENON_UNROLL
      for (int i = 0; i < vector; ++i) squares[i] += v[i] * v[i];
      return v;
    };
    TENON_UNROLL
    for (int n = 0; n < held; ++n)
      if (int const h = first + n * step; h < whole) kept[n] = square(p.source.template load<vector>(row, h));
    for (int h = first + held * step; h < whole; h += step) (void)square(p.source.template load<vector>(row, h));
    for (int h = tail; h < k; h += threads) {
      float const v = p.source.template load<1>(row, h)[0];
      squares[0] += v * v;
    }
    float mine = 0;
    TENON_UNROLL
    for (int i = 0; i < vector; ++i) mine += squares[i];
    auto const sum = tile::block_reduce<threads>{shared.sum};
    norm           = arch::rsqrt(sum(mine, tile::plus{}) / static_cast<float>(k) + p.source.eps);
  }
  if (p.group > 0 && p.scale == 0) {
    // Index map: warps take groups in turn, lanes stride over a group's short vectors, then over its tail.
    constexpr int lanes = threads == 1 ? 1 : 32;
    constexpr int width = threads > 1 && vector > 4 ? 4 : vector;
    int const     lane  = thread % lanes;
    for (int g = thread / lanes; g < groups; g += threads / lanes) {
      int const    begin = g * p.group, end = min(begin + p.group, k), even = begin + (end - begin) / width * width;
      std::int32_t largest[width] = {};
      for (int h = begin + lane * width; h < even; h += lanes * width)
        note_magnitudes(largest, row_values<width>(p.source, row, h, norm));
      for (int h = even + lane; h < end; h += lanes) {
        std::int32_t last[1] = {largest[0]};
        note_magnitudes(last, row_values<1>(p.source, row, h, norm));
        largest[0] = last[0];
      }
      TENON_UNROLL
      for (int i = 1; i < width; ++i) largest[0] = later{}(largest[0], largest[i]);
      if constexpr (lanes > 1) largest[0] = tile::warp_reduce(largest[0], later{});
      float const scale   = scale_of<Code, Policy>(largest[0]);
      float const inverse = inverse_of<Policy>(scale);
      if (lane == 0) p.scales(row, g) = scale;
      for (int h = begin + lane * width; h < even; h += lanes * width)
        store_codes<Code, Policy>(codes + h, row_values<width>(p.source, row, h, norm), inverse);
      for (int h = even + lane; h < end; h += lanes)
        store_codes<Code, Policy>(codes + h, row_values<1>(p.source, row, h, norm), inverse);
    }
    return;
  }

  // One scale: of the row's largest magnitude, or the caller's.
  TENON_UNROLL
  for (int n = 0; n < held; ++n)
    if (int const h = first + n * step; h < whole) {
      if constexpr (!Source::normed) kept[n] = p.source.template load<vector>(row, h);
      kept[n] = normalised(p.source, h, kept[n], norm);
    }
  float scale = p.scale;
  if (scale == 0) {
    std::int32_t largest[vector] = {};
    TENON_UNROLL
    for (int n = 0; n < held; ++n) note_magnitudes(largest, kept[n]);  // zeros where the row has ended
    for (int h = first + held * step; h < whole; h += step)
      note_magnitudes(largest, row_values<vector>(p.source, row, h, norm));
    for (int h = tail; h < k; h += threads) {
      std::int32_t last[1] = {largest[0]};
      note_magnitudes(last, row_values<1>(p.source, row, h, norm));
      largest[0] = last[0];
    }
    TENON_UNROLL
    for (int i = 1; i < vector; ++i) largest[0] = later{}(largest[0], largest[i]);
    auto const all = tile::block_reduce<threads, std::int32_t>{shared.largest};
    scale          = scale_of<Code, Policy>(all(largest[0], later{}));
  }
  for (int g = thread; g < groups; g += threads) p.scales(row, g) = scale;

  // Store.
  float const inverse = inverse_of<Policy>(scale);
  TENON_UNROLL
  for (int n = 0; n < held; ++n)
    if (int const h = first + n * step; h < whole) store_codes<Code, Policy>(codes + h, kept[n], inverse);
  for (int h = first + held * step; h < whole; h += step)
    store_codes<Code, Policy>(codes + h, row_values<vector>(p.source, row, h, norm), inverse);
  for (int h = tail; h < k; h += threads)
    store_codes<Code, Policy>(codes + h, row_values<1>(p.source, row, h, norm), inverse);
}

#if !defined(__CUDACC_RTC__)
/// The launch that all operators on row sources share.
template <auto const& Menu, class Source, row_code Code>
status launch_quantize_rows(char const* primitive, context const& where, quantize_rows_policy const& policy,
                            quantize_rows_params<Source, Code> const& params, double work_per_element) {
  return dispatch_policy<Menu>(primitive, policy, [&]<class Policy>(Policy) {
    return arch::launch(primitive, where,
                        {.grid           = static_cast<unsigned>(params.codes.extent[0]),
                         .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                         .shared_bytes   = sizeof(quantize_rows_storage<Policy>),
                         .work_per_block = work_per_element * static_cast<double>(params.codes.extent[1])},
                        quantize_rows<Policy, Source, Code>, params);
  });
}
#endif

}  // namespace tenon::inline TENON_TARGET::kernel
