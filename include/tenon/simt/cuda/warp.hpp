#pragma once
//  Votes, matches, reductions and shuffles of a warp (CUDA C++ programming guide, "Warp vote functions" and what follows).
//  They order no memory.
#include <tenon/simt/cuda/half.hpp>
#include <tenon/simt/machine.hpp>
#include <tenon/simt/vocabulary.hpp>

#include <cstdint>
#include <type_traits>

namespace tenon::simt::detail {

inline unsigned own_lane() { return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32; }

template <class T>
constexpr bool is_shuffled = std::is_arithmetic_v<T> || is_half<T>;

/// The lane that lane `own` reads within its group of `width` lanes, a power of two, as shfl.sync defines it.
constexpr int source_lane(shuffle_mode mode, int own, int by, int width) {
  int const first = own & ~(width - 1);
  switch (mode) {
    case shuffle_mode::index: return first + (by & (width - 1));
    case shuffle_mode::exclusive_or: return (own ^ by) < first + width ? own ^ by : own;
    case shuffle_mode::up: return own - by >= first ? own - by : own;
    case shuffle_mode::down: return own + by < first + width ? own + by : own;
  }
  return own;
}

/// Integers below four bytes widen as CUDA's overload for int widens them.
template <class T>
auto shuffle_in_groups(shuffle_mode mode, unsigned mask, T v, int by, int width, site at) {
  static_assert(is_shuffled<T>, "tenon::simt: a shuffle moves integers, floats, double, half, half2 or their bfloat16");
  int const source = source_lane(mode, static_cast<int>(own_lane()), by & 31, width);
  if constexpr (sizeof(T) >= 4) {
    return machine::shuffle_from(mode, v, source, mask, at);
  } else if constexpr (std::is_integral_v<T>) {
    return machine::shuffle_from(mode, static_cast<int>(v), source, mask, at);
  } else {
    struct word {
      T             v;
      std::uint16_t zero;
    };
    return machine::shuffle_from(mode, word{v, 0}, source, mask, at).v;
  }
}

/// What a lane brings to an exchange of registers and takes away.
template <class T, class R = T>
struct offer {
  T    value;
  R    result;
  bool all = false;
};

inline constexpr collective match_any{warp_operation::match, 0, false, "match_any"};
inline constexpr collective match_all{warp_operation::match, 1, false, "match_all"};

template <class T>
std::uint64_t bits_of(T v) {
  static_assert(std::is_arithmetic_v<T> && sizeof(T) >= 4, "tenon::simt: a match compares 4 or 8 bytes");
  std::uint64_t bits = 0;
  __builtin_memcpy(&bits, &v, sizeof v);
  return bits;
}

using matched = offer<std::uint64_t, unsigned>;

inline void match_lanes(void* const* lane, unsigned here) {
  for (unsigned l = 0; l < 32; ++l) {
    if (!(here >> l & 1)) continue;
    auto& mine  = *static_cast<matched*>(lane[l]);
    mine.result = 0;
    for (unsigned k = 0; k < 32; ++k)
      if ((here >> k & 1) && static_cast<matched const*>(lane[k])->value == mine.value) mine.result |= 1u << k;
    mine.all = mine.result == here;
  }
}

/// Every lane of the mask gets op over the values of all, taken in the order of lanes.
template <class T, class Op>
T reduce_lanes(int qualifier, char const* name, unsigned mask, T v, Op, site at) {
  offer<T> mine{v, v};
  machine::meet(
      {warp_operation::reduce, qualifier, false, name}, mask, &mine,
      [](void* const* lane, unsigned here) {
        T    sum{};
        bool first = true;
        for (unsigned l = 0; l < 32; ++l) {
          if (!(here >> l & 1)) continue;
          auto const value = static_cast<offer<T> const*>(lane[l])->value;
          sum              = first ? value : Op{}(sum, value);
          first            = false;
        }
        for (unsigned l = 0; l < 32; ++l)
          if (here >> l & 1) static_cast<offer<T>*>(lane[l])->result = sum;
      },
      at);
  return mine.result;
}

// clang-format off
struct plus     { template <class T> T operator()(T a, T b) const { return static_cast<T>(a + b); } };
struct lesser   { template <class T> T operator()(T a, T b) const { return b < a ? b : a; } };
struct greater  { template <class T> T operator()(T a, T b) const { return a < b ? b : a; } };
struct both     { template <class T> T operator()(T a, T b) const { return static_cast<T>(a & b); } };
struct either   { template <class T> T operator()(T a, T b) const { return static_cast<T>(a | b); } };
struct one_of   { template <class T> T operator()(T a, T b) const { return static_cast<T>(a ^ b); } };
// clang-format on

}  // namespace tenon::simt::detail

// ---- votes ----------------------------------------------------------------------------------------------------------

inline unsigned __ballot_sync(unsigned mask, int predicate, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::machine::vote(tenon::simt::vote_mode::ballot, predicate != 0, mask, at);
}
inline int __any_sync(unsigned mask, int predicate, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::machine::vote(tenon::simt::vote_mode::any, predicate != 0, mask, at) != 0;
}
inline int __all_sync(unsigned mask, int predicate, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::machine::vote(tenon::simt::vote_mode::all, predicate != 0, mask, at) != 0;
}

/// The lanes that happen to run together. CUDA promises no lane but the caller's own, so that is the answer here: code that
/// is right for every legal answer stays right, code that counts on a converged warp shows its error.
inline unsigned __activemask() { return 1u << tenon::simt::detail::own_lane(); }

// ---- matches and reductions -----------------------------------------------------------------------------------------

/// The lanes of the mask that have the same bits as this one.
template <class T>
unsigned __match_any_sync(unsigned mask, T v, tenon::simt::site at = tenon::simt::site::here()) {
  tenon::simt::detail::matched mine{tenon::simt::detail::bits_of(+v), 0};
  tenon::simt::machine::meet(tenon::simt::detail::match_any, mask, &mine, tenon::simt::detail::match_lanes, at);
  return mine.result;
}
/// The mask where all its lanes have the same bits, else 0; *all says which.
template <class T>
unsigned __match_all_sync(unsigned mask, T v, int* all, tenon::simt::site at = tenon::simt::site::here()) {
  tenon::simt::detail::matched mine{tenon::simt::detail::bits_of(+v), 0};
  tenon::simt::machine::meet(tenon::simt::detail::match_all, mask, &mine, tenon::simt::detail::match_lanes, at);
  *all = mine.all;
  return mine.all ? mine.result : 0;
}

#define TENON_SIMT_REDUCE(T, NAME, QUALIFIER, OP)                                                                 \
  inline T __reduce_##NAME##_sync(unsigned mask, T v, tenon::simt::site at = tenon::simt::site::here()) {         \
    return tenon::simt::detail::reduce_lanes(QUALIFIER, "reduce_" #NAME, mask, v, tenon::simt::detail::OP{}, at); \
  }
TENON_SIMT_REDUCE(unsigned, add, 0, plus)
TENON_SIMT_REDUCE(unsigned, min, 2, lesser)
TENON_SIMT_REDUCE(unsigned, max, 4, greater)
TENON_SIMT_REDUCE(int, min, 3, lesser)
TENON_SIMT_REDUCE(int, max, 5, greater)
TENON_SIMT_REDUCE(unsigned, and, 6, both)
TENON_SIMT_REDUCE(unsigned, or, 7, either)
TENON_SIMT_REDUCE(unsigned, xor, 8, one_of)
#undef TENON_SIMT_REDUCE
/// Modulo 2^32, as the unsigned one.
inline int __reduce_add_sync(unsigned mask, int v, tenon::simt::site at = tenon::simt::site::here()) {
  return static_cast<int>(tenon::simt::detail::reduce_lanes(1, "reduce_add", mask, static_cast<unsigned>(v),
                                                            tenon::simt::detail::plus{}, at));
}

// ---- shuffles -------------------------------------------------------------------------------------------------------

template <class T>
auto __shfl_sync(unsigned mask, T v, int source, int width = 32, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::shuffle_in_groups(tenon::simt::shuffle_mode::index, mask, v, source, width, at);
}
template <class T>
auto __shfl_xor_sync(unsigned mask, T v, int lanes, int width = 32, tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::shuffle_in_groups(tenon::simt::shuffle_mode::exclusive_or, mask, v, lanes, width, at);
}
template <class T>
auto __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32,
                    tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::shuffle_in_groups(tenon::simt::shuffle_mode::up, mask, v, static_cast<int>(delta), width,
                                                at);
}
template <class T>
auto __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32,
                      tenon::simt::site at = tenon::simt::site::here()) {
  return tenon::simt::detail::shuffle_in_groups(tenon::simt::shuffle_mode::down, mask, v, static_cast<int>(delta),
                                                width, at);
}
