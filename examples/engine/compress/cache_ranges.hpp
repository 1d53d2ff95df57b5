#pragma once
//  Fixed scales of an 8-bit cache, from the keys and values of the calibration texts.
//
//    scale = largest magnitude / 448
//
//  Keys count as they are stored: normed, and rotated. A rotation mixes a pair of columns by an angle that grows with the position,
//  so a pair counts with its length, which is the most that either column has at any position: texts that are longer than those of
//  the calibration have the same range.
#include <cstddef>
#include <vector>

#include "engine/compress/editable_model.hpp"
#include "engine/model/tap.hpp"

namespace tenon::engine {

class cache_ranges {
 public:
  cache_ranges(editable_model const& model, std::size_t layer);

  /// For a pass through the layer; refers to this.
  [[nodiscard]] tap   reader();
  [[nodiscard]] float k_scale() const { return scale_of(k_); }
  [[nodiscard]] float v_scale() const { return scale_of(v_); }

 private:
  static float scale_of(double range);
  void         add_keys(std::vector<float> const& rows);

  model_config       config_;
  std::vector<float> k_gain_;       // (head_dim), or empty: keys are not normed
  double             stretch_ = 1;  // of rotated columns
  double             k_ = 0, v_ = 0;
};

}  // namespace tenon::engine
