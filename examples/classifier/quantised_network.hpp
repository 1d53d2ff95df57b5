#pragma once
//  The folded classifier in integers: codes of weights with a scale per output channel, codes of activations with one
//  scale per layer, sums in int32. Scales come from observers (after training) or from the file (learned in training).
//
//    sum = conv3x3(codes of x, codes of w)                    exact
//    code of y = clamp(round((sum s_x s_w + b) / s_y), 0, highest)
//
//  A product of codes does not care how many bits they had, so four bits run as eight; `bytes` counts them packed.
//  Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference", 2018.
#include <tenon/conv/conv2d.hpp>
#include <tenon/core/throw_if.hpp>
#include <tenon/quant/quantize_on_grid.hpp>
#include <tenon/quant/quantize_weight.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "classifier/folded_network.hpp"

namespace classifier {

/// The epilogue's last stage: a ReLU that ends at the largest code.
struct clamp_stage {
  float          highest;
  TENON_HD float operator()(float v, index_t, index_t) const { return v < 0 ? 0 : v > highest ? highest : v; }
};

struct quantised_layer {
  index_t                  stride = 1, out = 0, in = 0;
  std::vector<std::int8_t> codes;         // (out, 3, 3, in)
  std::vector<float>       scales, bias;  // (out)
  float                    input_scale = 1;
  // What the epilogue does to a sum: v factors + shifts, in units of the next layer's codes.
  std::vector<float> factors, shifts;

  template <class Y>
  feature_map<Y> operator()(tenon::context const& where, feature_map<std::int8_t> const& x, float highest) const {
    feature_map<Y> y(x.batch, tenon::conv2d_extent(x.size, 3, stride, 1, 1), out);
    auto const     stages = tenon::epilogue::scale_shift_columns(tenon::dense(factors.data(), factors.size()),
                                                                 tenon::dense(shifts.data(), shifts.size())) |
                        clamp_stage{highest};
    tenon::throw_if(tenon::conv2d(where, y.view(), x.view(), tenon::dense(codes.data(), out, 3, 3, in),
                                  {.stride = {stride, stride}, .padding = {1, 1}}, stages));
    return y;
  }
};

class quantised_network {
 public:
  /// After training: weights rounded, inputs of layer i on `input_scales[i]`.
  quantised_network(folded_network const& from, int weight_bits, int input_bits, std::vector<float> const& input_scales)
      : weight_bits_(weight_bits), input_bits_(input_bits), end_(from.end) {
    for (std::size_t i = 0; i < from.layers.size(); ++i) {
      auto const&             l = from.layers[i];
      tenon::quantized_weight q;
      tenon::throw_if(
          tenon::quantize_weight(q, l.weight.rows(), format(), {.method = tenon::weight_scale_method::searched}));
      add(q, l.stride, l.weight.in, l.bias, input_scales[i]);
    }
    connect();
  }

  /// From training: codes and scales as the file has them.
  quantised_network(network_file const& file, int weight_bits, int input_bits)
      : weight_bits_(weight_bits), input_bits_(input_bits) {
    for (int i = 0; i < blocks; ++i) {
      std::string const       name = "blocks." + std::to_string(i) + ".";
      conv_weight const       w    = file.convolution(name + "weight", 3);
      auto const              s    = file.floats(name + "weight_scale", {w.out, 1});
      tenon::quantized_weight q;
      tenon::grid_report      report;
      tenon::throw_if(tenon::quantize_on_grid(q, report, w.rows(), format(), tenon::dense(s.data(), w.out, 1)));
      grid_.merge(report);
      add(q, strides[i], w.in, file.floats(name + "bias", {w.out}), file.floats(name + "input_scale", {1})[0]);
    }
    end_ = head(file, layers_.back().out);
    connect();
  }

  std::vector<float> operator()(tenon::context const& where, image_set const& images, index_t first,
                                index_t batch) const {
    auto        x       = images.batch<std::int8_t>(first, batch);
    float const highest = static_cast<float>((1 << (input_bits_ - 1)) - 1);
    for (std::size_t i = 0; i + 1 < layers_.size(); ++i) x = layers_[i].operator()<std::int8_t>(where, x, highest);
    return end_(where, layers_.back().operator()<float>(where, x, std::numeric_limits<float>::infinity()));
  }

  tenon::grid_report const& grid() const { return grid_; }

  std::size_t bytes() const {
    std::size_t n = (end_.weight.size() + end_.bias.size()) * sizeof(float);
    for (auto const& l : layers_)
      n += (l.codes.size() * static_cast<std::size_t>(weight_bits_) + 7) / 8 +
           (l.scales.size() + l.bias.size() + 1) * sizeof(float);
    return n;
  }

 private:
  tenon::weight_format format() const {
    return {.code = weight_bits_ == 4 ? tenon::weight_code::int4 : tenon::weight_code::int8};
  }

  void add(tenon::quantized_weight const& q, index_t stride, index_t in, std::vector<float> const& bias,
           float input_scale) {
    quantised_layer l;
    l.stride = stride, l.out = q.rows, l.in = in, l.bias = bias, l.input_scale = input_scale;
    for (index_t o = 0; o < q.rows; ++o) {
      l.scales.push_back(q.scale(o, 0));
      for (index_t j = 0; j < q.columns; ++j) l.codes.push_back(static_cast<std::int8_t>(q.number(o, j)));
    }
    layers_.push_back(std::move(l));
  }

  /// A layer's sums become the next one's codes; the last one's become numbers.
  void connect() {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      auto&       l    = layers_[i];
      float const next = i + 1 < layers_.size() ? layers_[i + 1].input_scale : 1.f;
      for (std::size_t o = 0; o < l.scales.size(); ++o) {
        l.factors.push_back(l.input_scale * l.scales[o] / next);
        l.shifts.push_back(l.bias[o] / next);
      }
    }
  }

  int                          weight_bits_, input_bits_;
  std::vector<quantised_layer> layers_;
  head                         end_;
  tenon::grid_report           grid_;
};

}  // namespace classifier
