#pragma once
//  Scores of keys without queries: what key_scores makes of a key's norm and of its direction.
//
//    knorm       - |k|                                               keys of small norm draw attention
//    key_diff    - cos(k, mean of all normalised keys)               keys unlike the others are kept
//    row_norm      |k|                                               given the values' pages: the norm of v
//
//  Higher: keep. One of your own is a struct of two lines:
//
//    struct far_from_mean {
//      static constexpr bool wants_mean = true;
//      TENON_HD constexpr float operator()(tenon::measured_key const& k) const {
//        return k.norm - k.along / k.mean_norm;
//      }
//    };
//
//  Sources. Devoto et al. 2024, "A simple and effective L2 norm-based strategy for KV cache compression"; Park et al.
//  2025, "KeyDiff".
//  Test tests/kv/key_scores_test.cpp.   Page docs/operators/kv_scores.md.
#include <tenon/config.hpp>

#include <concepts>

namespace tenon {

/// What is known of a key.
struct measured_key {
  float norm;       // |k|
  float along;      // k . m, m the mean of k / |k| over the keys of the head; 0 where the mean is not wanted
  float mean_norm;  // |m|
  int   key, length;
};

template <class M>
concept key_measure = std::copyable<M> && requires(M const m, measured_key const& k) {
  { m(k) } -> std::same_as<float>;
  { M::wants_mean } -> std::convertible_to<bool>;
};

struct knorm {
  static constexpr bool    wants_mean = false;
  TENON_HD constexpr float operator()(measured_key const& k) const { return -k.norm; }
};

struct row_norm {
  static constexpr bool    wants_mean = false;
  TENON_HD constexpr float operator()(measured_key const& k) const { return k.norm; }
};

/// 0 for a key or a mean without a direction.
struct key_diff {
  static constexpr bool    wants_mean = true;
  TENON_HD constexpr float operator()(measured_key const& k) const {
    float const norms = k.norm * k.mean_norm;
    return norms > 0 ? -k.along / norms : 0.f;
  }
};

static_assert(key_measure<knorm> && key_measure<row_norm> && key_measure<key_diff>);

}  // namespace tenon
