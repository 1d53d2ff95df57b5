#include "engine/compress/cache_ranges.hpp"

#include <tenon/position/rope_table.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "engine/error.hpp"

namespace tenon::engine {

cache_ranges::cache_ranges(editable_model const& model, std::size_t layer) : config_(model.config()) {
  config_.heads = config_.shapes[layer].heads, config_.kv_heads = config_.shapes[layer].kv_heads;
  auto const& r = config_.rope_scaling;
  if (r.kind == rope_scaling_kind::yarn)
    stretch_ = std::abs(rope_attention_factor({.kind             = tenon::rope_scaling_kind::yarn,
                                               .factor           = r.factor,
                                               .attention_factor = r.attention_factor.value_or(0),
                                               .mscale           = r.mscale,
                                               .mscale_all_dim   = r.mscale_all_dim}));
  if (auto gain = model.find(layer_prefix(layer) + "self_attn.k_norm.weight"); gain && config_.qk_norm) {
    k_gain_ = std::move(gain->values);
    if (config_.norm_from_one)
      for (float& g : k_gain_) g += 1;
  }
}

tap cache_ranges::reader() {
  return [this](tap_site const& s, std::vector<float>& values) {
    if (s.what == stage::k) add_keys(values);
    if (s.what == stage::v)
      for (float const v : values) v_ = std::max(v_, std::abs(static_cast<double>(v)));
    return false;
  };
}

void cache_ranges::add_keys(std::vector<float> const& rows) {
  auto const          width  = static_cast<std::size_t>(config_.head_dim);
  auto const          rotary = static_cast<std::size_t>(config_.rotary_dim());
  std::vector<double> head(width);
  for (std::size_t first = 0; first < rows.size(); first += width) {
    double squares = 0;
    for (std::size_t d = 0; d < width; ++d)
      head[d] = static_cast<double>(rows[first + d]), squares += head[d] * head[d];
    if (!k_gain_.empty())
      for (std::size_t d = 0; d < width; ++d)
        head[d] *= static_cast<double>(k_gain_[d]) / std::sqrt(squares / static_cast<double>(width) + config_.rms_eps);
    for (std::size_t d = 0; d < rotary / 2; ++d)
      k_ = std::max(k_, stretch_ * std::hypot(head[d], head[d + rotary / 2]));
    for (std::size_t d = rotary; d < width; ++d) k_ = std::max(k_, std::abs(head[d]));
  }
}

float cache_ranges::scale_of(double range) {
  return range > 0 ? std::max(static_cast<float>(range / 448), std::numeric_limits<float>::min()) : 1.f;
}

}  // namespace tenon::engine
