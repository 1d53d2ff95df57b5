#pragma once
//  Which keys a query sees: what an attention variant's `mask` may be.
//
//  Positions count tokens from the start of the request; a query's own key has its position.
#include <tenon/config.hpp>

#include <concepts>

namespace tenon {

/// What a mask leaves of a tile of queries x keys.
enum class coverage {
  empty,    // no pair is kept: the tile is not read
  full,     // every pair is kept: `keep` is not asked
  partial,  // `keep` is asked for every pair
};

/// classify(request, head, q_first, q_last, k_first, k_last): the tile of queries q_first..q_last and keys k_first..k_last,
/// ends included; `partial` is always a right answer. keep(request, head, q, k): whether query q sees key k. A mask that
/// answers alike for every head may say so: `static constexpr bool same_for_all_heads = true`.
template <class M>
concept attention_mask = std::copyable<M> && requires(M const m, int request, int head, int q, int k) {
  { m.classify(request, head, q, q, k, k) } -> std::same_as<coverage>;
  { m.keep(request, head, q, k) } -> std::same_as<bool>;
};

/// Whether one head's answer is every head's.
template <attention_mask M>
inline constexpr bool same_for_all_heads = requires {
  requires M::same_for_all_heads;
};

/// Every key.
struct no_mask {
  static constexpr bool       same_for_all_heads = true;
  TENON_HD constexpr coverage classify(int, int, int, int, int, int) const { return coverage::full; }
  TENON_HD constexpr bool     keep(int, int, int, int) const { return true; }
};

/// Keys that are not later than the query: k <= q.
struct causal {
  static constexpr bool       same_for_all_heads = true;
  TENON_HD constexpr coverage classify(int, int, int q_first, int q_last, int k_first, int k_last) const {
    if (k_first > q_last) return coverage::empty;
    return k_last <= q_first ? coverage::full : coverage::partial;
  }
  TENON_HD constexpr bool keep(int, int, int q, int k) const { return k <= q; }
};

/// Keys fewer than `window` positions before the query: q - k < window. Says nothing of later keys: causal{} & it.
struct sliding_window {
  int                         window;
  static constexpr bool       same_for_all_heads = true;
  TENON_HD constexpr coverage classify(int, int, int q_first, int q_last, int k_first, int k_last) const {
    if (q_first - k_last >= window) return coverage::empty;
    return q_last - k_first < window ? coverage::full : coverage::partial;
  }
  TENON_HD constexpr bool keep(int, int, int q, int k) const { return q - k < window; }
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
};
template <class A, class B>
both(A, B) -> both<A, B>;

template <attention_mask A, attention_mask B>
TENON_HD constexpr both<A, B> operator&(A a, B b) {
  return {a, b};
}

static_assert(attention_mask<no_mask> && attention_mask<causal> && attention_mask<both<causal, sliding_window>>);

}  // namespace tenon
