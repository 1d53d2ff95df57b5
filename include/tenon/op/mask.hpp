#pragma once
//  Which keys a query sees: what an attention variant's `mask` may be. Masks that read tables: mask_table.hpp.
//
//  Positions count tokens from the start of the request; a query's own key has its position. Where a request has more
//  queries than keys, the first queries have positions below 0.
#include <tenon/config.hpp>

#include <concepts>
#include <cstdint>

namespace tenon {

/// What a mask leaves of a tile of queries x keys.
enum class coverage {
  empty,    // no pair is kept: the tile is not read
  full,     // every pair is kept: `keep` is not asked
  partial,  // `keep` is asked for every pair
};

/// classify(request, head, q_first, q_last, k_first, k_last): the tile of queries q_first..q_last and keys k_first..k_last,
/// ends included; `partial` is always a right answer. keep(request, head, q, k): whether query q sees key k, asked for queries
/// and keys of the request alone. A mask that answers alike for every head may say so:
/// `static constexpr bool same_for_all_heads = true`.
template <class M>
concept attention_mask = std::copyable<M> && requires(M const m, int request, int head, int q, int k) {
  { m.classify(request, head, q, q, k, k) } -> std::same_as<coverage>;
  { m.keep(request, head, q, k) } -> std::same_as<bool>;
};

/// Keys first..last-1; none where last <= first. Either end may lie outside the request's keys.
struct key_span {
  int first = 0, last = 0x7fffffff;
};

/// A mask that may say so bounds the keys of the queries q_first..q_last, ends included, for every head:
/// `key_span span(int request, int q_first, int q_last) const`. No query of theirs keeps a key outside; kernels loop over
/// the span and share out their work by it, so a window that has one costs what it sees. Without one: every key.
template <attention_mask M>
TENON_HD constexpr key_span key_span_of(M const& mask, [[maybe_unused]] int request, [[maybe_unused]] int q_first,
                                        [[maybe_unused]] int q_last) {
  if constexpr (requires { static_cast<key_span>(mask.span(request, q_first, q_last)); })
    return mask.span(request, q_first, q_last);
  else return {};
}

/// Whether one head's answer is every head's.
template <attention_mask M>
inline constexpr bool same_for_all_heads = requires {
  requires M::same_for_all_heads;
};

namespace detail {
/// a + b, at most the largest int; b >= 0
TENON_HD constexpr int saturating_add(int a, int b) { return a > 0x7fffffff - b ? 0x7fffffff : a + b; }
}  // namespace detail

/// Every key.
struct no_mask {
  static constexpr bool       same_for_all_heads = true;
  TENON_HD constexpr coverage classify(int, int, int, int, int, int) const { return coverage::full; }
  TENON_HD constexpr bool     keep(int, int, int, int) const { return true; }
  TENON_HD constexpr key_span span(int, int, int) const { return {}; }
};

/// Keys that are not later than the query: k <= q.
struct causal {
  static constexpr bool       same_for_all_heads = true;
  TENON_HD constexpr coverage classify(int, int, int q_first, int q_last, int k_first, int k_last) const {
    if (k_first > q_last) return coverage::empty;
    return k_last <= q_first ? coverage::full : coverage::partial;
  }
  TENON_HD constexpr bool     keep(int, int, int q, int k) const { return k <= q; }
  TENON_HD constexpr key_span span(int, int, int q_last) const { return {0, q_last + 1}; }
};

/// Keys fewer than `window` positions before the query: q - k < window, window >= 1. Says nothing of later keys:
/// causal{} & it.
struct sliding_window {
  int                         window;
  static constexpr bool       same_for_all_heads = true;
  TENON_HD constexpr coverage classify(int, int, int q_first, int q_last, int k_first, int k_last) const {
    if (q_first - k_last >= window) return coverage::empty;
    return q_last - k_first < window ? coverage::full : coverage::partial;
  }
  TENON_HD constexpr bool     keep(int, int, int q, int k) const { return q - k < window; }
  TENON_HD constexpr key_span span(int, int q_first, int) const {
    return {q_first >= window ? q_first - window + 1 : 0, key_span{}.last};
  }
};

/// Keys at most `left` positions before the query and at most `right` after it: q - left <= k <= q + right, both >= 0.
/// sliding_window{w} & causal{} is two_sided_window{w - 1, 0}.
struct two_sided_window {
  int                         left, right;
  static constexpr bool       same_for_all_heads = true;
  TENON_HD constexpr coverage classify(int, int, int q_first, int q_last, int k_first, int k_last) const {
    if (q_first - k_last > left || k_first - q_last > right) return coverage::empty;
    return q_last - k_first <= left && k_last - q_first <= right ? coverage::full : coverage::partial;
  }
  TENON_HD constexpr bool     keep(int, int, int q, int k) const { return q - k <= left && k - q <= right; }
  TENON_HD constexpr key_span span(int, int q_first, int q_last) const {
    return {q_first > left ? q_first - left : 0, detail::saturating_add(detail::saturating_add(q_last, right), 1)};
  }
};

/// Keys of the query's own chunk of `chunk` positions: k / chunk == q / chunk, chunk >= 1. Says nothing of later keys of the
/// chunk: causal{} & it is the chunked attention of Llama 4's local layers.
struct attention_chunks {
  int                         chunk;
  static constexpr bool       same_for_all_heads = true;
  TENON_HD constexpr coverage classify(int, int, int q_first, int q_last, int k_first, int k_last) const {
    if (q_last < 0) return coverage::empty;
    int const first = start(q_first < 0 ? 0 : q_first), last = start(q_last);
    if (k_last < first || k_first - last >= chunk) return coverage::empty;
    bool const one = q_first >= 0 && first == last;
    return one && k_first >= first && k_last - first < chunk ? coverage::full : coverage::partial;
  }
  TENON_HD constexpr bool keep(int, int, int q, int k) const { return q >= 0 && k >= start(q) && k - start(q) < chunk; }
  TENON_HD constexpr key_span span(int, int q_first, int q_last) const {
    if (q_last < 0) return {0, 0};
    return {start(q_first < 0 ? 0 : q_first), detail::saturating_add(start(q_last), chunk)};
  }

 private:
  TENON_HD constexpr int start(int q) const { return q - q % chunk; }  // of the chunk of q >= 0
};

/// The first `count` keys. causal{} & (sliding_window{w} | first_keys{4}) is a window with attention sinks: Xiao et al.
/// 2024, "Efficient streaming language models with attention sinks".
struct first_keys {
  int                         count;
  static constexpr bool       same_for_all_heads = true;
  TENON_HD constexpr coverage classify(int, int, int, int, int k_first, int k_last) const {
    if (k_first >= count) return coverage::empty;
    return k_last < count ? coverage::full : coverage::partial;
  }
  TENON_HD constexpr bool     keep(int, int, int, int k) const { return k < count; }
  TENON_HD constexpr key_span span(int, int, int) const { return {0, count}; }
};

/// Keys that both keep: a & b.
template <attention_mask A, attention_mask B>
struct both {
  A a;
  B b;

  static constexpr bool       same_for_all_heads = tenon::same_for_all_heads<A> && tenon::same_for_all_heads<B>;
  TENON_HD constexpr coverage classify(int request, int head, int q_first, int q_last, int k_first, int k_last) const {
    coverage const of_a = a.classify(request, head, q_first, q_last, k_first, k_last);
    if (of_a == coverage::empty) return of_a;
    coverage const of_b = b.classify(request, head, q_first, q_last, k_first, k_last);
    return of_a == coverage::full || of_b == coverage::empty ? of_b : of_a;
  }
  TENON_HD constexpr bool keep(int request, int head, int q, int k) const {
    return a.keep(request, head, q, k) && b.keep(request, head, q, k);
  }
  TENON_HD constexpr key_span span(int request, int q_first, int q_last) const {
    key_span const of_a = key_span_of(a, request, q_first, q_last), of_b = key_span_of(b, request, q_first, q_last);
    return {of_a.first > of_b.first ? of_a.first : of_b.first, of_a.last < of_b.last ? of_a.last : of_b.last};
  }
};
template <class A, class B>
both(A, B) -> both<A, B>;

template <attention_mask A, attention_mask B>
TENON_HD constexpr both<A, B> operator&(A a, B b) {
  return {a, b};
}

/// Keys that at least one of the two keeps: a | b. Its span is one run of keys, what lies between the two's included.
template <attention_mask A, attention_mask B>
struct either {
  A a;
  B b;

  static constexpr bool       same_for_all_heads = tenon::same_for_all_heads<A> && tenon::same_for_all_heads<B>;
  TENON_HD constexpr coverage classify(int request, int head, int q_first, int q_last, int k_first, int k_last) const {
    coverage const of_a = a.classify(request, head, q_first, q_last, k_first, k_last);
    if (of_a == coverage::full) return of_a;
    coverage const of_b = b.classify(request, head, q_first, q_last, k_first, k_last);
    return of_a == coverage::empty || of_b == coverage::full ? of_b : of_a;
  }
  TENON_HD constexpr bool keep(int request, int head, int q, int k) const {
    return a.keep(request, head, q, k) || b.keep(request, head, q, k);
  }
  TENON_HD constexpr key_span span(int request, int q_first, int q_last) const {
    key_span const of_a = key_span_of(a, request, q_first, q_last), of_b = key_span_of(b, request, q_first, q_last);
    if (of_a.last <= of_a.first) return of_b;
    if (of_b.last <= of_b.first) return of_a;
    return {of_a.first < of_b.first ? of_a.first : of_b.first, of_a.last < of_b.last ? of_b.last : of_a.last};
  }
};
template <class A, class B>
either(A, B) -> either<A, B>;

template <attention_mask A, attention_mask B>
TENON_HD constexpr either<A, B> operator|(A a, B b) {
  return {a, b};
}

static_assert(attention_mask<no_mask> && attention_mask<causal> && attention_mask<both<causal, sliding_window>>);
static_assert(attention_mask<two_sided_window> && attention_mask<attention_chunks>);
static_assert(attention_mask<either<first_keys, sliding_window>>);

}  // namespace tenon
