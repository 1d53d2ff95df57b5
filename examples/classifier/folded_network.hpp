#pragma once
//  The same classifier with each block folded into one 3 x 3 convolution: the same function in one product,
//  where the branches take two and a pass over their sum.
#include <tenon/compress/fold_rep_vgg.hpp>
#include <tenon/conv/conv2d.hpp>
#include <tenon/core/throw_if.hpp>

#include <utility>
#include <vector>

#include "classifier/rep_vgg_network.hpp"

namespace classifier {

struct folded_layer {
  index_t            stride = 1;
  conv_weight        weight;  // 3 x 3
  std::vector<float> bias;    // (out)

  feature_map<float> operator()(tenon::context const& where, feature_map<float> const& x) const {
    feature_map<float> y(x.batch, tenon::conv2d_extent(x.size, 3, stride, 1, 1), weight.out);
    tenon::throw_if(
        tenon::conv2d(where, y.view(), x.view(), weight.view(), {.stride = {stride, stride}, .padding = {1, 1}},
                      tenon::epilogue::bias(tenon::dense(bias.data(), bias.size())) | tenon::epilogue::relu()));
    return y;
  }
};

inline folded_layer folded(rep_vgg_layer const& l) {
  folded_layer                to{l.stride, l.spatial, std::vector<float>(static_cast<std::size_t>(l.spatial.out))};
  tenon::rep_vgg_block<float> block{.spatial   = {{.w = l.spatial.view(), .norm = l.spatial_norm.view()}},
                                    .pointwise = {{.w = l.pointwise.view(), .norm = l.pointwise_norm.view()}},
                                    .stride    = l.stride,
                                    .order     = tenon::conv_weight_order::ohwi};
  if (l.has_identity()) block.identity = l.identity_norm.view();
  tenon::throw_if(tenon::fold_rep_vgg(to.weight.view(), tenon::dense(to.bias.data(), to.bias.size()), block));
  return to;
}

struct folded_network {
  std::vector<folded_layer> layers;
  head                      end;

  explicit folded_network(rep_vgg_network const& trained) : end(trained.end) {
    for (auto const& l : trained.layers) layers.push_back(folded(l));
  }

  /// `see(i, x)` sees the input x of every layer i.
  template <class See>
  std::vector<float> run(tenon::context const& where, image_set const& images, index_t first, index_t batch,
                         See&& see) const {
    auto x = images.batch<float>(first, batch);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      see(i, std::as_const(x));
      x = layers[i](where, x);
    }
    return end(where, x);
  }
  std::vector<float> operator()(tenon::context const& where, image_set const& images, index_t first,
                                index_t batch) const {
    return run(where, images, first, batch, [](std::size_t, feature_map<float> const&) {});
  }

  std::size_t bytes() const {
    std::size_t n = end.weight.size() + end.bias.size();
    for (auto const& l : layers) n += l.weight.values.size() + l.bias.size();
    return n * sizeof(float);
  }
};

}  // namespace classifier
