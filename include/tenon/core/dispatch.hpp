#pragma once
//  From a run-time value to a compile-time one, over a list that stands at the call site.
#include <tenon/core/status.hpp>

#include <type_traits>
#include <utility>

namespace tenon {

template <auto... Values>
struct one_of {};

/// Calls f(std::integral_constant<V>) for the V equal to `value`; `unsupported` when there is none.
template <auto... Values, class Value, class F>
constexpr status dispatch(char const* primitive, one_of<Values...>, Value value, char const* subject, F&& f) {
  status s{errc::unsupported, primitive, subject, static_cast<std::int64_t>(value)};
  (void)((value == static_cast<Value>(Values) &&
          (s = f(std::integral_constant<std::remove_const_t<decltype(Values)>, Values>{}), true)) ||
         ...);
  return s;
}

/// A policy as a type: a kernel's template argument. (nvcc 13.0 cannot make a launch stub for a class-type value.)
template <auto const& Menu, int Index>
struct menu_entry {
  static constexpr auto value = Menu[Index];
};

/// Whether this translation unit compiles a kernel for `policy`: the GPU's on CUDA, the host's on the host target, and the
/// GPU's there too where it may act as one. One menu serves both targets.
template <class Policy>
constexpr bool is_compiled(Policy const& policy) {
#if TENON_CUDA
  return !policy.on_host();
#else
  return TENON_ACT_AS || policy.on_host();
#endif
}

/// Calls f(menu_entry<Menu, i>{}) for the i with Menu[i] == policy. A menu is a constexpr array of policies, all that a
/// kernel is compiled for; policies are values: print them, compare them, put them in a table.
template <auto const& Menu, class Policy, class F>
constexpr status dispatch_policy(char const* primitive, Policy const& policy, F&& f) {
  constexpr int count = static_cast<int>(sizeof(Menu) / sizeof(Menu[0]));
  status        s{errc::unsupported, primitive, "policy"};
  auto const    one = [&]<int Index>(std::integral_constant<int, Index>) {
    if constexpr (is_compiled(Menu[Index]))
      if (policy == Menu[Index]) s = f(menu_entry<Menu, Index>{});
  };
  [&]<int... Index>(std::integer_sequence<int, Index...>) { (one(std::integral_constant<int, Index>{}), ...); }
  (std::make_integer_sequence<int, count>{});
  return s;
}

}  // namespace tenon
