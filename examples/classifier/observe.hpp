#pragma once
//  Scales of the layers' inputs from what a calibration set makes of them, by four rules.
#include <tenon/compress/observers.hpp>
#include <tenon/core/throw_if.hpp>

#include <vector>

#include "classifier/folded_network.hpp"

namespace classifier {

/// A histogram of magnitudes for the input of each layer.
inline std::vector<tenon::activation_histogram> observe(tenon::context const& where, folded_network const& network,
                                                        image_set const& images) {
  std::vector<tenon::activation_histogram> seen(network.layers.size());
  network.run(where, images, 0, images.count(),
              [&](std::size_t i, feature_map<float> const& x) { tenon::throw_if(seen[i].add(x.pixels())); });
  return seen;
}

/// Scales of codes of so many bits. Images keep their own, under which they are exact.
inline std::vector<float> input_scales(std::vector<tenon::activation_histogram> const& seen, tenon::range_method method,
                                       int bits) {
  int const          highest = (1 << (bits - 1)) - 1;
  std::vector<float> scales  = {image_set::scale};
  for (std::size_t i = 1; i < seen.size(); ++i) {
    float range = 0;
    tenon::throw_if(tenon::activation_range(range, seen[i], {.method = method, .highest = highest}));
    scales.push_back(tenon::static_scale(range, highest));
  }
  return scales;
}

}  // namespace classifier
