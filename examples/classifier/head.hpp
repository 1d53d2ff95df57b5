#pragma once
//  The classifier's end: the mean of every channel over all pixels, and a linear layer.
#include <tenon/core/throw_if.hpp>
#include <tenon/gemm/gemm.hpp>

#include <string>
#include <utility>
#include <vector>

#include "classifier/feature_map.hpp"
#include "classifier/network_file.hpp"

namespace classifier {

struct head {
  static constexpr index_t classes  = 10;
  index_t                  channels = 0;
  std::vector<float>       weight, bias;  // (classes, channels), (classes)

  head() = default;
  head(network_file const& file, index_t inputs)
      : channels(inputs),
        weight(file.floats("head.weight", {classes, inputs})),
        bias(file.floats("head.bias", {classes})) {}

  /// (batch, classes)
  std::vector<float> operator()(tenon::context const& where, feature_map<float> const& x) const {
    index_t const      pixels = x.size * x.size;
    std::vector<float> mean(static_cast<std::size_t>(x.batch * channels)),
        y(static_cast<std::size_t>(x.batch * classes));
    auto const rows = x.pixels();
    for (index_t b = 0; b < x.batch; ++b)
      for (index_t c = 0; c < channels; ++c) {
        float sum = 0;
        for (index_t p = 0; p < pixels; ++p) sum += rows(b * pixels + p, c);
        mean[static_cast<std::size_t>(b * channels + c)] = sum / static_cast<float>(pixels);
      }
    tenon::throw_if(tenon::gemm(
        where, tenon::dense(y.data(), x.batch, classes), tenon::dense(std::as_const(mean).data(), x.batch, channels),
        tenon::dense(weight.data(), classes, channels), {}, tenon::epilogue::bias(tenon::dense(bias.data(), classes))));
    return y;
  }
};

}  // namespace classifier
