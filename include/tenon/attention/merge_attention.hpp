#pragma once
//  One attention from several over parts of the keys.
#include <tenon/arch/arch.cuh>
#include <tenon/attention/merge_attention_kernel.cuh>
#include <tenon/attention/merge_attention_policy.hpp>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/integer.hpp>
#include <tenon/core/numeric.hpp>

#include <type_traits>

namespace tenon::inline TENON_TARGET {

/// o[t,h,:] = sum_p exp(part_lse[p,t,h] - lse[t,h]) part[p,t,h,:],   lse[t,h] = log sum_p exp(part_lse[p,t,h])
///
/// What attention over all keys gives, from attention over disjoint parts of them: parts of a split, a prefix and a suffix,
/// the shards of several devices. Merging is associative and commutative up to rounding: a result may be a part again.
///
/// o         (tokens, heads, value_dim)          f16 bf16 f32   value_dim contiguous, any other strides
/// part      (parts, tokens, heads, value_dim)   f16 bf16 f32   value_dim contiguous, any other strides; not o
/// part_lse  (parts, tokens, heads)              f32            any strides; natural logs, -inf: has seen no key
/// lse       (tokens, heads)                     f32            any strides, not part_lse; no view: not wanted
///
/// A part whose log is -inf, or so far below the others' that its weight is 0 in fp32, is not read, whatever it holds. Rows
/// for which all are -inf (or without parts) get o = 0, lse = -inf.
///
/// Arithmetic  fp32 sums in ascending order of the parts, one rounding to O. One part alone gives its own bits. Same bits for
///             every run and batch.
/// Cost        reads part and part_lse once from memory, writes o once; no workspace.
/// Errors      shape_mismatch(tokens, heads, value_dim, parts), bad_stride(o, part), misaligned, out_of_range(tokens, parts,
///             heads).
/// Range       tokens < 2^31, parts < 2^31, heads * value_dim <= 2^22.
/// Source      Milakov and Gimelshein 2018; Ye et al. 2024, "Cascade inference"; Dao et al. 2023, "Flash-Decoding".
/// Test tests/attention/merge_attention_test.cpp.   Page docs/operators/merge_attention.md.
template <floating O, class P>
status merge_attention(context const& where, tensor_view<O, 3> o, tensor_view<P, 4> part,
                       tensor_view<float const, 3> part_lse, tensor_view<float, 2> lse = {}) {
  extent tokens{"tokens"}, heads{"heads"}, value_dim{"value_dim"}, parts{"parts"};
  auto   check = contract{"merge_attention"};
  check.shape(o, tokens, heads, value_dim)
      .shape(part, parts, tokens, heads, value_dim)
      .shape(part_lse, parts, tokens, heads)
      .contiguous(o, "o")
      .contiguous(part, "part")
      .addressable(o, "o")
      .addressable(part, "part")
      .addressable(part_lse, "part_lse");
  if (lse.data) check.shape(lse, tokens, heads).addressable(lse, "lse");
  constexpr index_t most = (index_t{1} << 31) - 1, widest = index_t{1} << 22;
  TENON_TRY(check.require(tokens.value <= most, errc::out_of_range, "tokens", tokens.value, most)
                .require(parts.value <= most, errc::out_of_range, "parts", parts.value, most)
                .require(heads.value * value_dim.value <= widest, errc::out_of_range, "heads",
                         heads.value * value_dim.value, widest)
                .result);
  if (o.size() == 0) return {};

  auto const policy    = choose_merge_attention_policy({where.arch}, is_vectorised<8>(o) && is_vectorised<8>(part));
  using PE             = std::remove_const_t<P>;
  index_t const runs   = heads.value * ceil_div(value_dim.value, policy.vector);
  index_t const blocks = policy.on_host() ? 1 : ceil_div(runs, policy.threads_per_block);
  return dispatch_policy<merge_attention_menu>("merge_attention", policy, [&]<class Policy>(Policy) {
    return arch::launch("merge_attention", where,
                        {.grid           = {static_cast<unsigned>(tokens.value), static_cast<unsigned>(blocks)},
                         .block          = static_cast<unsigned>(Policy::value.threads_per_block),
                         .work_per_block = static_cast<double>(parts.value * heads.value * value_dim.value) /
                                           static_cast<double>(blocks)},
                        kernel::merge_attention<Policy, O, PE>,
                        kernel::merge_attention_params<O, PE>{o, lse, as_const(part), part_lse});
  });
}

}  // namespace tenon::inline TENON_TARGET
