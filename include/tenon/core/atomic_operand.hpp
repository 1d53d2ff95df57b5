#pragma once
//  What atomics work on, the same on both targets.
#include <tenon/core/numeric.hpp>
#include <tenon/core/vec.hpp>

#include <concepts>
#include <type_traits>

namespace tenon {

/// 4 or 8 bytes.
template <class T>
concept atomic_word = std::is_trivially_copyable_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);
template <class T>
concept atomic_integer = atomic_word<T> && std::integral<T>;

template <class T>
inline constexpr bool is_half_pair = std::is_same_v<T, vec<f16, 2>> || std::is_same_v<T, vec<bf16, 2>>;

/// What can be added: integers of 4 or 8 bytes, float, double, pairs of f16 or bf16.
template <class T>
concept atomic_summand = atomic_integer<T> || std::is_same_v<T, float> || std::is_same_v<T, double> || is_half_pair<T>;

}  // namespace tenon
