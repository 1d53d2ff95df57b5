#pragma once
//  The classifier as it was trained: blocks of three branches, each with its own BatchNorm.
//
//    y = relu(norm(conv3x3(x)) + norm(conv1x1(x)) + norm(x))      the last branch where the shape stays
//
//  Ding et al., "RepVGG: Making VGG-style ConvNets great again", 2021.
#include <tenon/compress/fold_rep_vgg.hpp>
#include <tenon/conv/conv2d.hpp>
#include <tenon/core/throw_if.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "classifier/feature_map.hpp"
#include "classifier/head.hpp"
#include "classifier/network_file.hpp"

namespace classifier {

/// The stride of block i: what the files do not say.
inline constexpr index_t strides[] = {1, 1, 2, 1, 2};
inline constexpr int     blocks    = 5;

/// A BatchNorm as it is stored, and as one factor and one shift per channel.
struct norm {
  static constexpr double eps = 1e-5;  // of training
  std::vector<float>      gamma, beta, mean, variance, factors, shifts;

  norm() = default;
  norm(network_file const& file, std::string const& name, index_t channels)
      : gamma(file.floats(name + ".weight", {channels})),
        beta(file.floats(name + ".bias", {channels})),
        mean(file.floats(name + ".running_mean", {channels})),
        variance(file.floats(name + ".running_var", {channels})) {
    for (std::size_t c = 0; c < gamma.size(); ++c) {
      double const factor = static_cast<double>(gamma[c]) / std::sqrt(static_cast<double>(variance[c]) + eps);
      factors.push_back(static_cast<float>(factor));
      shifts.push_back(static_cast<float>(static_cast<double>(beta[c]) - factor * static_cast<double>(mean[c])));
    }
  }

  tenon::batch_norm<float> view() const {
    auto const of = [](std::vector<float> const& v) { return tenon::dense(v.data(), v.size()); };
    return {of(gamma), of(beta), of(mean), of(variance), eps};
  }
  auto stage() const {
    return tenon::epilogue::scale_shift_columns(tenon::dense(factors.data(), factors.size()),
                                                tenon::dense(shifts.data(), shifts.size()));
  }
};

struct rep_vgg_layer {
  index_t     stride = 1;
  conv_weight spatial, pointwise;
  norm        spatial_norm, pointwise_norm, identity_norm;  // the last one is empty where there is no identity

  bool has_identity() const { return !identity_norm.gamma.empty(); }

  feature_map<float> operator()(tenon::context const& where, feature_map<float> const& x) const {
    feature_map<float> y(x.batch, tenon::conv2d_extent(x.size, 3, stride, 1, 1), spatial.out);
    tenon::throw_if(tenon::conv2d(where, y.view(), x.view(), spatial.view(),
                                  {.stride = {stride, stride}, .padding = {1, 1}}, spatial_norm.stage()));
    tenon::throw_if(tenon::conv2d(where, y.view(), x.view(), pointwise.view(), {.stride = {stride, stride}},
                                  pointwise_norm.stage() | tenon::epilogue::residual(y.pixels())));
    for (std::size_t i = 0; i < y.values.size(); ++i) {
      std::size_t const c = i % static_cast<std::size_t>(y.channels);
      float             v = y.values[i];
      if (has_identity()) v += x.values[i] * identity_norm.factors[c] + identity_norm.shifts[c];
      y.values[i] = tenon::relu(v);
    }
    return y;
  }
};

struct rep_vgg_network {
  std::vector<rep_vgg_layer> layers;
  head                       end;

  explicit rep_vgg_network(network_file const& file) {
    for (int i = 0; i < blocks; ++i) {
      std::string const name = "blocks." + std::to_string(i);
      rep_vgg_layer     l;
      l.stride         = strides[i];
      l.spatial        = file.convolution(name + ".spatial.conv.weight", 3);
      l.pointwise      = file.convolution(name + ".pointwise.conv.weight", 1);
      l.spatial_norm   = norm(file, name + ".spatial.norm", l.spatial.out);
      l.pointwise_norm = norm(file, name + ".pointwise.norm", l.spatial.out);
      if (file.has(name + ".identity.weight")) l.identity_norm = norm(file, name + ".identity", l.spatial.out);
      layers.push_back(std::move(l));
    }
    end = head(file, layers.back().spatial.out);
  }

  std::vector<float> operator()(tenon::context const& where, image_set const& images, index_t first,
                                index_t batch) const {
    auto x = images.batch<float>(first, batch);
    for (auto const& l : layers) x = l(where, x);
    return end(where, x);
  }

  std::size_t bytes() const {
    std::size_t n = end.weight.size() + end.bias.size();
    for (auto const& l : layers)
      n += l.spatial.values.size() + l.pointwise.values.size() +
           4 * (l.spatial_norm.gamma.size() + l.pointwise_norm.gamma.size() + l.identity_norm.gamma.size());
    return n * sizeof(float);
  }
};

}  // namespace classifier
