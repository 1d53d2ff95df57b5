#pragma once
//  The rotation of a config as the library takes it.
#include <tenon/position/rope_table.hpp>

#include "engine/files/hf_config.hpp"

namespace tenon::engine {

/// The library's value of a config's rope_scaling.
inline rope_scaling scaling_of(rope_scaling_config const& c) {
  rope_scaling s;
  switch (c.kind) {
    case engine::rope_scaling_kind::none: s.kind = tenon::rope_scaling_kind::none; break;
    case engine::rope_scaling_kind::linear: s.kind = tenon::rope_scaling_kind::linear; break;
    case engine::rope_scaling_kind::llama3: s.kind = tenon::rope_scaling_kind::llama3; break;
    case engine::rope_scaling_kind::yarn: s.kind = tenon::rope_scaling_kind::yarn; break;
  }
  s.factor = c.factor, s.low_freq_factor = c.low_freq_factor, s.high_freq_factor = c.high_freq_factor;
  s.original_max_position = static_cast<double>(c.original_max_position);
  s.beta_fast = c.beta_fast, s.beta_slow = c.beta_slow, s.attention_factor = c.attention_factor.value_or(0);
  s.mscale = c.mscale, s.mscale_all_dim = c.mscale_all_dim, s.truncate = c.truncate;
  return s;
}

}  // namespace tenon::engine
