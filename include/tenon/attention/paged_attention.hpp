#pragma once
//  Attention of new tokens over the paged keys and values of their requests: prefill and decode in one ragged call.
#include <tenon/arch/arch.cuh>
#include <tenon/attention/attention_variant.hpp>
#include <tenon/attention/paged_attention_mma_kernel.cuh>
#include <tenon/attention/paged_attention_params.hpp>
#include <tenon/attention/paged_attention_plan.hpp>
#include <tenon/attention/paged_attention_policy.hpp>
#include <tenon/attention/paged_attention_thread_kernel.cuh>
#include <tenon/attention/paged_attention_vector_kernel.cuh>
#include <tenon/attention/query_tile.hpp>
#include <tenon/core/context.hpp>
#include <tenon/core/contract.hpp>
#include <tenon/core/dispatch.hpp>
#include <tenon/core/numeric.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/kv/kv_contract.hpp>
#include <tenon/kv/paged_kv.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tenon {

struct paged_attention_options {
  tensor_view<float const, 1> sinks = {};  // (heads): one more logit of each head, without a key; no address: none
  float                       scale = 0;   // of the logits; 0: 1 / sqrt(head_dim)
  /// Keys that are summed up on their own, a multiple of 64; 0: as suits the machine. With it a row's bits depend on the
  /// chunk alone, never on how many blocks there are, on the batch or on the call that the row is part of.
  int     chunk            = 0;
  index_t max_query_length = 0;  // of a request: a hint for the choice of a kernel; 0: unknown
  index_t max_kv_length    = 0;  // of a request: a hint; 0: what the block table holds
};

}  // namespace tenon

namespace tenon::inline TENON_TARGET {
/// Scratch that a call wants from context.workspace to split keys over blocks as it likes, and as many words of
/// context.counters as the plan says. Without options.chunk a call does with less, down to none.
constexpr std::size_t paged_attention_workspace_bytes(paged_attention_shape const& shape, architecture as,
                                                      int multiprocessors = 0) {
  return plan_paged_attention(shape, {as, multiprocessors, ~std::size_t{0}, 0x7fffffff}).workspace;
}

/// o[t,h,:] = sum_k p[k] v[k,h / group,:], p = softmax_k(logits(scale q[t,h,:] . k[k,h / group,:])) over the keys k of the
/// token's request that the mask keeps; group = heads / kv_heads. Query i of a request with n queries stands at position
/// kv_length - n + i: the new tokens' own keys are in the cache already (kv_append).
///
/// o           (tokens, heads, value_dim)                 f16 bf16 f32   value_dim contiguous, any other strides
/// q           (tokens, heads, head_dim)                  f16 bf16 f32   head_dim contiguous, any other strides
/// kv.k        (pages, page_size, kv_heads, head_dim)     numbers or codes (kv_format.hpp), head_dim contiguous
/// kv.v        (pages, page_size, kv_heads, value_dim)    the same, of a format of its own
/// block_table (requests, max_pages)                      int32          any strides; entries from
///                                                                       ceil(kv_length / page_size) on are not read
/// query_start (requests + 1)                             int32          the requests' first tokens, ascending
/// kv_length   (requests)                                 int32          keys of a request, its new tokens among them
/// options     scale > 0, or 0 for 1 / sqrt(head_dim); sinks; chunk; hints
/// variant     {mask, logits}: see attention_variant
/// lse         (tokens, heads)                            f32            natural log of sum_k exp(logit), sink included; no
///                                                                       view: not wanted
///
/// A row without keys gets o = 0, lse = -inf (or the sink). Tokens of no request are left as they are. Keys behind kv_length or
/// outside the mask's span are not read, whatever the pages hold there. On matrix units a key that one row masks and another
/// row of its tile sees must be finite: 0 * NaN is NaN.
///
/// With context.workspace and context.counters keys are shared out over blocks (paged_attention_plan.hpp), in one launch that
/// looks at lengths on the device only. The workspace is aligned to 16 bytes.
///
/// Arithmetic  fp32 sums, online softmax in base 2 over tiles of keys in ascending order; on matrix units p, times the scales
///             of codes, is rounded to 16 bits. One rounding to O. Same bits for every run, page size and order of pages;
///             with context.batch_invariant or options.chunk for every batch and split into calls, too.
/// Cost        reads q once, k and v once per tile of queries, writes o once.
/// Errors      shape_mismatch(tokens, heads, kv_heads, head_dim, value_dim, pages, page_size, requests, groups), bad_stride(o,
///             q, kv.k, kv.v), misaligned, unsupported(head_dim, value_dim), out_of_range(page_size, scale, chunk, tokens),
///             workspace_too_small(workspace, counters): with chunk only.
/// Range       head_dim and value_dim multiples of 8 in [8, 256]; heads a multiple of kv_heads; tokens * heads < 2^31,
///             kv_length < 2^31 and <= max_pages * page_size; scales of kv_fp8 values below 1000 where q is f16.
/// Source      Kwon et al. 2023 (pages), Dao 2023 "FlashAttention-2" (tiles), Milakov and Gimelshein 2018 (softmax), Dao et
///             al. 2023 "Flash-Decoding" (splits).
/// Example     examples/03_own_attention_mask.cpp.   Test tests/attention/paged_attention_test.cpp.
/// Page docs/operators/paged_attention.md.
template <floating O, class Q, kv_element K, kv_element V, attention_mask Mask = causal,
          attention_logits Logits = scaled_logits>
status paged_attention(context const& where, tensor_view<O, 3> o, tensor_view<Q, 3> q, paged_kv<K, V> kv,
                       tensor_view<std::int32_t const, 2> block_table, tensor_view<std::int32_t const, 1> query_start,
                       tensor_view<std::int32_t const, 1> kv_length, paged_attention_options options = {},
                       attention_variant<Mask, Logits> variant = {}, tensor_view<float, 2> lse = {}) {
  extent tokens{"tokens"}, heads{"heads"}, kv_heads{"kv_heads"}, head_dim{"head_dim"}, value_dim{"value_dim"},
      pages{"pages"}, page_size{"page_size"}, requests{"requests"}, max_pages{"max_pages"};
  auto check = contract{"paged_attention"};
  check.shape(q, tokens, heads, head_dim).shape(o, tokens, heads, value_dim);
  check_pages(check, kv.k, {pages, page_size, kv_heads}, head_dim, "kv.k");
  check_pages(check, kv.v, {pages, page_size, kv_heads}, value_dim, "kv.v");
  check.shape(kv_length, requests)
      .shape(block_table, requests, max_pages)
      .require(query_start.extent[0] == requests.value + 1, errc::shape_mismatch, "requests", query_start.extent[0] - 1,
               requests.value)
      .contiguous(o, "o")
      .contiguous(q, "q")
      .addressable(o, "o")
      .addressable(q, "q")
      .addressable(block_table, "block_table")
      .addressable(query_start, "query_start")
      .addressable(kv_length, "kv_length");
  if (options.sinks.data) check.shape(options.sinks, heads).addressable(options.sinks, "sinks");
  if (lse.data) check.shape(lse, tokens, heads).addressable(lse, "lse");
  TENON_TRY(check.result);
  if (tokens.value == 0 || heads.value == 0 || requests.value == 0) return {};
  auto const supported = [](index_t dim) { return dim >= 8 && dim <= 256 && dim % 8 == 0; };
  TENON_TRY(check.require(supported(head_dim.value), errc::unsupported, "head_dim", head_dim.value, 256)
                .require(supported(value_dim.value), errc::unsupported, "value_dim", value_dim.value, 256)
                .require(kv_heads.value > 0 && heads.value % kv_heads.value == 0, errc::shape_mismatch, "heads",
                         heads.value, kv_heads.value)
                .require(page_size.value >= 1, errc::out_of_range, "page_size", page_size.value, 1)
                .require(options.chunk >= 0 && options.chunk % 64 == 0, errc::out_of_range, "chunk", options.chunk, 64)
                .require(options.scale >= 0, errc::out_of_range, "scale", 0, 1)
                .require(tokens.value * heads.value < (index_t{1} << 31), errc::out_of_range, "tokens",
                         tokens.value * heads.value, (index_t{1} << 31) - 1)
                .result);

  using QE = std::remove_const_t<Q>;
  using KE = std::remove_const_t<K>;
  using VE = std::remove_const_t<V>;
  constexpr bool narrow =
      sizeof(QE) == 2 && (std::is_same_v<QE, KE> || is_kv_codes<KE>)&&(std::is_same_v<QE, VE> || is_kv_codes<VE>);
  constexpr int k_bits = kernel::kv_bits<KE>, v_bits = kernel::kv_bits<VE>;
  index_t const group = heads.value / kv_heads.value, capacity = max_pages.value * page_size.value;
  bool const    vectorised =
      is_vectorised<8>(o) && is_vectorised<8>(q) && kv_rows_vectorised(kv.k) && kv_rows_vectorised(kv.v);
  auto const plan         = plan_paged_attention({.tokens   = tokens.value,
                                                  .requests = requests.value,
                                                  .kv_heads = kv_heads.value,
                                                  .capacity = capacity,
                                                  .chunk    = options.chunk,
                                                  .problem  = {.head_dim         = head_dim.value,
                                                               .value_dim        = value_dim.value,
                                                               .group            = group,
                                                               .max_query_length = options.max_query_length,
                                                               .vectorised       = vectorised,
                                                               .narrow           = narrow,
                                                               .k_bits           = k_bits,
                                                               .v_bits           = v_bits,
                                                               .invariant        = where.batch_invariant}},
                                                 {.as              = {where.arch},
                                                  .multiprocessors = where.multiprocessors,
                                                  .workspace       = where.workspace.size,
                                                  .counters        = where.counters.size});
  auto const misalignment = static_cast<index_t>(reinterpret_cast<std::uintptr_t>(where.workspace.data) % 16);
  TENON_TRY(check
                .require(plan.workspace <= where.workspace.size, errc::workspace_too_small, "workspace",
                         static_cast<index_t>(where.workspace.size), static_cast<index_t>(plan.workspace))
                .require(plan.counters <= where.counters.size, errc::workspace_too_small, "counters",
                         where.counters.size, plan.counters)
                .require(plan.unit == 0 || misalignment == 0, errc::misaligned, "workspace", misalignment, 0)
                .result);
  using params_type = paged_attention_params<O, QE, KE, VE, Mask, Logits>;
  params_type const params{
      .o           = o,
      .lse         = lse,
      .q           = as_const(q),
      .kv          = as_const(kv),
      .block_table = block_table,
      .query_start = query_start,
      .kv_length   = kv_length,
      .scale       = options.scale > 0 ? options.scale : 1 / std::sqrt(static_cast<float>(head_dim.value)),
      .group       = static_cast<int>(group),
      .variant     = variant,
      .sinks       = options.sinks,
      .split       = {plan.unit, plan.least, options.chunk > 0, reinterpret_cast<float*>(where.workspace.data),
                      where.counters.data}};
  index_t const keys  = options.max_kv_length > 0 ? options.max_kv_length : capacity;
  index_t const tiles = query_tiles(tokens.value, requests.value, group, plan.policy.rows);
  double const  work  = static_cast<double>(tokens.value * group * keys) / static_cast<double>(tiles) *
                      static_cast<double>(head_dim.value + value_dim.value);

  return dispatch_policy<paged_attention_menu>("paged_attention", plan.policy, [&]<class Policy>(Policy) {
    auto launch = [&](auto kernel, index_t x, index_t y, std::size_t shared_bytes) {
      return arch::launch("paged_attention", where,
                          {.grid           = {static_cast<unsigned>(x), static_cast<unsigned>(y)},
                           .block          = static_cast<unsigned>(Policy::value.threads_per_block()),
                           .shared_bytes   = shared_bytes,
                           .work_per_block = work},
                          kernel, params);
    };
    constexpr paged_attention_policy chosen = Policy::value;
    if constexpr (chosen.unit == attention_unit::thread) {
      return launch(kernel::paged_attention_thread<Policy, O, QE, KE, VE, Mask, Logits>, tiles, kv_heads.value,
                    sizeof(kernel::paged_attention_thread_storage<Policy, KE, VE>));
    } else if constexpr (chosen.unit == attention_unit::matrix && narrow && chosen.suits(k_bits, v_bits)) {
      return launch(kernel::paged_attention_mma<Policy, O, QE, KE, VE, Mask, Logits>, plan.blocks, 1,
                    kernel::paged_attention_mma_bytes<Policy, QE, KE, VE, params_type>);
    } else if constexpr (chosen.unit == attention_unit::vector && (chosen.vector == 1 || !narrow)) {
      return launch(kernel::paged_attention_vector<Policy, O, QE, KE, VE, Mask, Logits>, tiles, kv_heads.value,
                    sizeof(kernel::paged_attention_vector_storage<Policy>));
    } else {
      return status{errc::unsupported, "paged_attention", "policy"};  // never chosen for these types
    }
  });
}

}  // namespace tenon::inline TENON_TARGET
