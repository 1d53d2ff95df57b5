#pragma once
//  Rotary position embedding of queries and keys, in place.
#include <tenon/arch/arch.cuh>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/position/rope_kernel.cuh>
#include <tenon/position/rope_options.hpp>
#include <tenon/position/rope_policy.hpp>

#include <concepts>
#include <cstdint>

namespace tenon::inline TENON_TARGET {

/// (a, b) -> (a cos - b sin, b cos + a sin),  cos = cos_sin[positions[t], i],  sin = cos_sin[positions[t], rotary_dim/2 + i]
///
/// for the pairs (a, b) = (x[i], x[rotary_dim/2 + i]) (half_split) or (x[2i], x[2i+1]) (interleaved) of the first
/// rotary_dim elements x of every head of q and k; the others stay.
///
/// q          (tokens, heads, head_dim)     f16 bf16 f32   head_dim contiguous, any other strides; in and out
/// k          (tokens, kv_heads, head_dim)  f16 bf16 f32   as q, which it must not overlap; kv_heads may be 0
/// positions  (tokens)                      int32          any stride
/// cos_sin    (positions, rotary_dim)       f32            rotary_dim contiguous, even, at most head_dim: fill_rope_table
/// options    style
///
/// Arithmetic  fp32, one rounding to T. Same bits for every run and batch.
/// Cost        reads and writes the rotary part of q and k once; one launch, no workspace.
/// Errors      shape_mismatch(tokens, head_dim), bad_stride(q, k, cos_sin), misaligned, out_of_range(rotary_dim, tokens,
///             heads).
/// Range       tokens < 2^31; (heads + kv_heads) rotary_dim < 2^31. Positions are read on the device: a token whose
///             position is outside the table stays unrotated, and nothing outside the table is read.
/// Source      Su et al. 2021, eq. 34.
/// Test tests/position/rope_test.cpp.   Page docs/operators/rope.md.
template <floating T, element_of<std::int32_t> Position, element_of<float> Table>
status rope(context const& where, tensor_view<T, 3> q, tensor_view<T, 3> k, tensor_view<Position, 1> positions,
            tensor_view<Table, 2> cos_sin, rope_options options = {}) {
  extent         tokens{"tokens"}, heads{"heads"}, kv_heads{"kv_heads"}, head_dim{"head_dim"};
  extent         table{"positions"}, rotary_dim{"rotary_dim"};
  constexpr auto limit  = index_t{1} << 31;
  index_t const  rotary = cos_sin.extent[1];
  TENON_TRY(contract{"rope"}
                .shape(q, tokens, heads, head_dim)
                .shape(k, tokens, kv_heads, head_dim)
                .shape(positions, tokens)
                .shape(cos_sin, table, rotary_dim)
                .contiguous(q, "q")
                .contiguous(k, "k")
                .contiguous(cos_sin, "cos_sin")
                .addressable(q, "q")
                .addressable(k, "k")
                .addressable(positions, "positions")
                .addressable(cos_sin, "cos_sin")
                .require(rotary % 2 == 0, errc::out_of_range, "rotary_dim", rotary, rotary + 1)
                .require(rotary <= head_dim.value, errc::out_of_range, "rotary_dim", rotary, head_dim.value)
                .require(tokens.value < limit, errc::out_of_range, "tokens", tokens.value, limit - 1)
                .require((heads.value + kv_heads.value) * rotary < limit, errc::out_of_range, "heads",
                         heads.value + kv_heads.value, (limit - 1) / max<index_t>(rotary, 1))
                .result);
  index_t const all_heads = heads.value + kv_heads.value;
  if (tokens.value == 0 || all_heads == 0 || rotary == 0 || cos_sin.extent[0] == 0) return {};

  bool const vectorised = rotary % 16 == 0 && is_vectorised<8>(q) && is_vectorised<8>(k) && is_vectorised<8>(cos_sin);
  auto const policy     = choose_rope_policy({where.arch}, vectorised);
  return dispatch_policy<rope_menu>("rope", policy, [&]<class Policy>(Policy) {
    constexpr auto value  = Policy::value;
    index_t const  groups = value.threads_per_block == 1 ? 1 : all_heads * (rotary / 2 / value.pairs);
    unsigned const shares = static_cast<unsigned>(min<index_t>(ceil_div(groups, value.threads_per_block), 65535));
    auto const     run    = [&](auto kernel) {
      return arch::launch("rope", where,
                                 {.grid           = {static_cast<unsigned>(tokens.value), shares},
                                  .block          = static_cast<unsigned>(value.threads_per_block),
                                  .shared_bytes   = 0,
                                  .work_per_block = 2.0 * static_cast<double>(all_heads * rotary)},
                                 kernel, kernel::rope_params<T>{q, k, as_const(positions), as_const(cos_sin)});
    };
    return options.style == rope_style::half_split ? run(kernel::rope<Policy, rope_style::half_split, T>)
                                                   : run(kernel::rope<Policy, rope_style::interleaved, T>);
  });
}

}  // namespace tenon::inline TENON_TARGET
