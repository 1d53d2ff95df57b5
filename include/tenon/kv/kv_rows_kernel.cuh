#pragma once
//  One head of one token into its place of a cache, as numbers or as codes and scales.
//
//  A *row source* is plain data that names the values of a row: plain_row here; rope_kv_append_kernel.cuh has others.
//
//    struct source {
//      template <int N> vec<float, N> values(int d) const;  columns d..d+N-1; d a multiple of N; asked for more than once
//    };
//
//  `lanes` neighbouring threads work on a row; on the host one. With codes, those that share a scale find its range by shuffles; up to `held`
//  vectors per lane stay in registers until it is known, what does not fit is asked of the source again.
#include <tenon/arch/arch.cuh>
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/core/vec.hpp>
#include <tenon/kv/kv_format.hpp>
#include <tenon/kv/kv_rows_policy.hpp>
#include <tenon/quant/quantize_rows_kernel.cuh>

#include <cstdint>
#include <type_traits>

namespace tenon::inline TENON_TARGET::kernel {

/// The lanes of the warp that work on this thread's row.
template <int Lanes>
__device__ inline unsigned row_mask() {
  if constexpr (Lanes == 32) return ~0u;
  else return ((1u << Lanes) - 1) << (arch::lane() / Lanes * Lanes);
}

/// The place of a token's head in a cache.
struct kv_place {
  index_t page, place, head;
};

/// A row as it is.
template <class T>
struct plain_row {
  T const* x;

  template <int N>
  __device__ vec<float, N> values(int d) const {
    auto const    v = arch::load<N>(x + d);
    vec<float, N> r;
    TENON_UNROLL
    for (int i = 0; i < N; ++i) r[i] = static_cast<float>(v[i]);
    return r;
  }
};

/// N columns, by as many accesses as the policy's vectors make of them.
template <int N, class Policy, class Source>
__device__ inline vec<float, N> row_values(Source const& source, int d) {
  constexpr int vector = Policy::value.vector;
  if constexpr (N == vector) {
    return source.template values<N>(d);
  } else {
    vec<float, N> r;
    TENON_UNROLL
    for (int j = 0; j < N; j += vector) {
      auto const part = source.template values<vector>(d + j);
      TENON_UNROLL
      for (int i = 0; i < vector; ++i) r[j + i] = part[i];
    }
    return r;
  }
}

/// Numbers: one rounding; a cache of a plain row's own type gets the same bits.
template <class Policy, class To, class Source>
__device__ inline void store_row(tensor_view<To, 4> const& pages, kv_place const& at, int width, Source const& source,
                                 bool) {
  constexpr int vector = Policy::value.vector, lanes = Policy::value.lanes;
  To* const     to = &pages(at.page, at.place, at.head, 0);
  for (int d = static_cast<int>(threadIdx.x) % lanes * vector; d < width; d += lanes * vector) {
    if constexpr (std::is_same_v<Source, plain_row<To>>) {
      arch::store<vector>(to + d, arch::load<vector>(source.x + d));
    } else {
      auto const      v = source.template values<vector>(d);
      vec<To, vector> y;
      TENON_UNROLL
      for (int i = 0; i < vector; ++i) y[i] = static_cast<To>(v[i]);
      arch::store<vector>(to + d, y);
    }
  }
}

/// N columns as codes. A GPU has an instruction for a pair of e4m3.
template <kv_codes Format, int N>
__device__ inline void store_codes(std::uint8_t* to, vec<float, N> const& v, kv_encoder<Format> const& encoder) {
  vec<std::uint8_t, N * Format::bits / 8> codes;
  if constexpr (Format::bits == 4) {
    TENON_UNROLL
    for (int i = 0; i < N; i += 2)
      codes[i / 2] = static_cast<std::uint8_t>(encoder.code(v[i]) | encoder.code(v[i + 1]) << 4);
  } else if constexpr (std::is_same_v<Format, kv_fp8> && N % 2 == 0) {
    TENON_UNROLL
    for (int i = 0; i < N; i += 2) {
      auto const pair = arch::convert_pair<e4m3>(encoder.number(v[i]), encoder.number(v[i + 1]));
      codes[i]        = static_cast<std::uint8_t>(pair & 0xff);
      codes[i + 1]    = static_cast<std::uint8_t>(pair >> 8);
    }
  } else {
    TENON_UNROLL
    for (int i = 0; i < N; ++i) codes[i] = encoder.code(v[i]);
  }
  arch::store<N * Format::bits / 8>(to, codes);
}

/// Codes and, unless they are given, scales: by one thread, in flat loops, which the compiler vectorises.
template <class Policy, kv_codes Format, class Source>
requires(Policy::value.on_host())
    __device__ inline void store_row(kv_code_pages<Format> const& pages, kv_place const& at, int width,
                                     Source const& source, [[maybe_unused]] bool given) {
  constexpr int step = max(Policy::value.vector, 8 / Format::bits);  // columns that fill whole bytes
  constexpr int held = Policy::value.vector * Policy::value.held;    // columns
  int const     span = Format::group > 0 ? Format::group : width;    // columns that share a scale
  float         x[held];
  std::uint8_t  code[held];
  auto const    fetch = [&](int from, int count) {
    for (int d = 0; d < count; d += step) {
      auto const v = row_values<step, Policy>(source, from + d);
      TENON_UNROLL
      for (int i = 0; i < step; ++i) x[d + i] = v[i];
    }
  };
  for (int begin = 0; begin < width; begin += span) {
    int const end   = min(begin + span, width);
    auto&     scale = pages.scale(at.page, at.place, at.head, begin / span);
    // The first columns stay until the scale is known; those behind them are fetched once more.
    if (!(std::is_same_v<Format, kv_fp8> && given)) {
      kv_reach<Format> reach;
      for (int from = begin + (end - 1 - begin) / held * held; from >= begin; from -= held) {
        int const count = min(end - from, held);
        fetch(from, count);
        for (int i = 0; i < count; ++i) reach.note(x[i]);
      }
      scale = reach.scale();
    } else {
      fetch(begin, min(end - begin, held));
    }
    kv_encoder<Format> const encoder(scale);
    for (int from = begin; from < end; from += held) {
      int const count = min(end - from, held);
      if (from > begin) fetch(from, count);
      for (int i = 0; i < count; ++i) code[i] = encoder.code(x[i]);
      std::uint8_t* const to = &pages.code(at.page, at.place, at.head, from * Format::bits / 8);
      for (int i = 0; i < count * Format::bits / 8; ++i)
        to[i] = Format::bits == 8 ? code[i] : static_cast<std::uint8_t>(code[2 * i] | code[2 * i + 1] << 4);
    }
  }
}

/// The same by the lanes of a warp.
template <class Policy, kv_codes Format, class Source>
requires(!Policy::value.on_host())
    __device__ inline void store_row(kv_code_pages<Format> const& pages, kv_place const& at, int width,
                                     Source const& source, [[maybe_unused]] bool given) {
  constexpr int  vector = Policy::value.vector, lanes = Policy::value.lanes, group = Format::group;
  constexpr int  step    = max(vector, 8 / Format::bits);  // columns that fill whole bytes
  constexpr bool grouped = group > 0;
  constexpr int  sharing = grouped ? min(lanes, group / step) : lanes;  // lanes that share a scale
  constexpr int  held    = grouped ? group / (sharing * step) : Policy::value.held;
  constexpr int  stride  = sharing * step;

  int const   lane = static_cast<int>(threadIdx.x) % lanes;
  int const   span = grouped ? group : width;  // columns that share a scale
  auto* const to   = &pages.code(at.page, at.place, at.head, 0);

  // Index map: each run of `sharing` lanes has a span; all the row's lanes make equally many trips, for their shuffles.
  for (int base = 0; base < width; base += lanes / sharing * span) {
    int const begin = base + lane / sharing * span, end = min(begin + span, width);
    int const first = begin + lane % sharing * step, rest = first + held * stride;

    // Load, find the range.
    vec<float, step> kept[max(held, 1)] = {};
    kv_reach<Format> reach;
    auto const       note = [&](vec<float, step> const& v) {
      TENON_UNROLL
      for (int i = 0; i < step; ++i) reach.note(v[i]);
    };
    TENON_UNROLL_DEVICE
    for (int n = 0; n < held; ++n)
      if (int const d = first + n * stride; d < end) {
        kept[n] = row_values<step, Policy>(source, d);
        note(kept[n]);
      }
    typename Format::scale_type scale;
    auto& scale_of_span = pages.scale(at.page, at.place, at.head, grouped ? begin / max(group, 1) : 0);
    if (std::is_same_v<Format, kv_fp8> && given) {
      scale = scale_of_span;
    } else {
      for (int d = rest; d < end; d += stride) note(row_values<step, Policy>(source, d));
      unsigned const mask = row_mask<lanes>();
      TENON_UNROLL
      for (int apart = sharing / 2; apart > 0; apart /= 2) {
        kv_reach<Format> other;
        other.most = arch::shuffle_xor(reach.most, apart, mask);
        if constexpr (kv_reach<Format>::is_signed) other.least = arch::shuffle_xor(reach.least, apart, mask);
        reach.join(other);
      }
      scale = reach.scale();
      if (lane % sharing == 0 && begin < end) scale_of_span = scale;
    }

    // Store.
    kv_encoder<Format> const encoder(scale, inverse_of<Policy>(kv_scale(scale)));
    TENON_UNROLL_DEVICE
    for (int n = 0; n < held; ++n)
      if (int const d = first + n * stride; d < end) store_codes<Format>(to + d * Format::bits / 8, kept[n], encoder);
    for (int d = rest; d < end; d += stride)
      store_codes<Format>(to + d * Format::bits / 8, row_values<step, Policy>(source, d), encoder);
  }
}

}  // namespace tenon::inline TENON_TARGET::kernel
