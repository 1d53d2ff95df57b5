#pragma once
//  The launch of kernels that write rows, one head of one token each, into a cache (kv_rows_kernel.cuh).
#include <tenon/arch/arch.cuh>
#include <tenon/core/architecture.hpp>
#include <tenon/core/context.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_rows_policy.hpp>

#include <type_traits>

namespace tenon::inline TENON_TARGET {

/// Rows of a launch.
struct kv_rows_shape {
  index_t tokens, rows, width;  // rows: of a token; width: of the widest
  double  work;                 // scalar operations of a token
};

/// Launches kernel(policy) with `params` for blocks (token, share of its rows). may_move(integral_constant N): whether N
/// columns of every row may move at once.
template <class MayMove, class Kernel, class Params>
status launch_kv_rows(char const* primitive, context const& where, kv_rows_shape const& shape, MayMove const& may_move,
                      Kernel const& kernel, Params const& params) {
  architecture const as{where.arch};
  bool const         vectorised = as.is_host() ? may_move(std::integral_constant<int, kv_rows_vector({0})>{})
                                               : may_move(std::integral_constant<int, kv_rows_vector({90})>{});
  auto const         policy     = choose_kv_rows_policy(as, shape.width, vectorised);
  return dispatch_policy<kv_rows_menu>(primitive, policy, [&]<class Policy>(Policy) {
    constexpr auto value  = Policy::value;
    index_t const  shares = value.on_host() ? 1 : ceil_div(shape.rows, value.threads_per_block / value.lanes);
    return arch::launch(
        primitive, where,
        {.grid           = {static_cast<unsigned>(shape.tokens), static_cast<unsigned>(min<index_t>(shares, 65535))},
         .block          = static_cast<unsigned>(value.threads_per_block),
         .shared_bytes   = 0,
         .work_per_block = shape.work},
        kernel(Policy{}), params);
  });
}

}  // namespace tenon::inline TENON_TARGET
