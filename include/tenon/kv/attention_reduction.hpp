#pragma once
//  What becomes of the shares of attention that a key gets from queries: how attention_scores makes a score of them.
//
//    snap_kv             mean share of the window's queries, mean of 5 neighbours; the window itself is always kept
//    h2o                 sum of the shares of all queries, mean over the heads of a group
//    mean_attention      the same over the number of queries that could see the key
//    tova                share of the last query
//    expected_attention  mean share of queries still to come (expected_queries.hpp), plus a little; the norm of the
//                        value comes in as attention_scores' weight
//
//  Higher: keep. One of your own is a struct with what differs from attention_mass:
//
//    struct most_wanted : tenon::attention_mass {  // the largest share that any query gives
//      TENON_HD constexpr float join(float so_far, float share, int, tenon::scored_key const&) const {
//        return tenon::max(so_far, share);
//      }
//    };
//
//  Sources. Li et al. 2024, "SnapKV"; Zhang et al. 2023, "H2O"; Oren et al. 2024, "Transformers are multi-state RNNs"
//  (TOVA); Devoto et al. 2025, "Expected attention".
//  Test tests/kv/attention_scores_test.cpp.   Page docs/operators/kv_scores.md.
#include <tenon/config.hpp>
#include <tenon/core/bit_cast.hpp>
#include <tenon/core/integer.hpp>

#include <concepts>
#include <cstdint>

namespace tenon {

/// A key whose score is made. Queries 0..queries-1 stand at the last positions of the request's `length` tokens, and
/// each sees the keys up to its own.
struct scored_key {
  int key, length;
  int queries;  // of the request
  int group;    // heads per kv head

  /// Queries that see it.
  TENON_HD constexpr int seen_by() const { return min(queries, length - key); }
  /// Whether it is the key of one of the queries.
  TENON_HD constexpr bool in_window() const { return key >= length - queries; }
};

/// Starting from 0, join(so_far, share, query, key) for every head of the group in turn and every query of it that sees
/// the key, both ascending; value(sum, key); the mean over `pool` (odd) neighbouring keys, where keys that do not exist
/// count as 0; score(pooled, key).
template <class R>
concept attention_reduction = std::copyable<R> && requires(R const r, float v, int query, scored_key const& key) {
  { r.join(v, v, query, key) } -> std::same_as<float>;
  { r.value(v, key) } -> std::same_as<float>;
  { r.pool() } -> std::same_as<int>;
  { r.score(v, key) } -> std::same_as<float>;
};

/// Neighbours that may be pooled at most.
inline constexpr int most_pooled = 33;

/// What a score that is not to be beaten is.
inline constexpr float certain_score = bit_cast<float>(0x7f800000u);

/// The sum of all shares.
struct attention_mass {
  TENON_HD constexpr float join(float so_far, float share, int, scored_key const&) const { return so_far + share; }
  TENON_HD constexpr float value(float sum, scored_key const&) const { return sum; }
  TENON_HD constexpr int   pool() const { return 1; }
  TENON_HD constexpr float score(float pooled, scored_key const&) const { return pooled; }
};

/// Mean share over the window's queries and the group, pooled among the keys in front of the window.
struct snap_kv : attention_mass {
  int neighbours;
  TENON_HD explicit constexpr snap_kv(int pooled = 5) : neighbours(pooled) {}

  TENON_HD constexpr float value(float sum, scored_key const& k) const {
    return k.in_window() ? 0.f : sum / static_cast<float>(k.queries * k.group);
  }
  TENON_HD constexpr int   pool() const { return neighbours; }
  TENON_HD constexpr float score(float pooled, scored_key const& k) const {
    return k.in_window() ? certain_score : pooled;
  }
};

/// The mass that a key has got of all queries, for one head.
struct h2o : attention_mass {
  TENON_HD constexpr float value(float sum, scored_key const& k) const { return sum / static_cast<float>(k.group); }
};

/// Mean share over the queries that see the key: early keys, which more queries see, have no advantage.
struct mean_attention : attention_mass {
  TENON_HD constexpr float value(float sum, scored_key const& k) const {
    return sum / static_cast<float>(k.group * k.seen_by());
  }
};

/// The share of the last query. A call with that query alone does no more than it must.
struct tova : attention_mass {
  TENON_HD constexpr float join(float so_far, float share, int query, scored_key const& k) const {
    return query == k.queries - 1 ? so_far + share : so_far;
  }
  TENON_HD constexpr float value(float sum, scored_key const& k) const { return sum / static_cast<float>(k.group); }
};

/// Mean share over the group, plus `least`, which keeps large values in the race: with the queries, spread and weights
/// (norms of values) of expected_queries.hpp.
struct expected_attention : attention_mass {
  float least;
  TENON_HD explicit constexpr expected_attention(float at_least = 0.f) : least(at_least) {}

  TENON_HD constexpr float value(float sum, scored_key const& k) const {
    return sum / static_cast<float>(k.queries * k.group) + least;
  }
};

static_assert(attention_reduction<attention_mass> && attention_reduction<snap_kv> && attention_reduction<h2o> &&
              attention_reduction<mean_attention> && attention_reduction<tova> &&
              attention_reduction<expected_attention>);

}  // namespace tenon
