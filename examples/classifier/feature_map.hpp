#pragma once
//  What flows between the blocks of the classifier: square images, channels last.
#include <tenon/core/tensor_view.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace classifier {

using tenon::index_t;

template <class T>
struct feature_map {
  index_t        batch = 0, size = 0, channels = 0;
  std::vector<T> values;  // (batch, size, size, channels)

  feature_map() = default;
  feature_map(index_t b, index_t s, index_t c)
      : batch(b), size(s), channels(c), values(static_cast<std::size_t>(b * s * s * c)) {}

  tenon::tensor_view<T, 4>       view() { return tenon::dense(values.data(), batch, size, size, channels); }
  tenon::tensor_view<T const, 4> view() const { return tenon::dense(values.data(), batch, size, size, channels); }
  /// A row per pixel: as an epilogue of conv2d counts them.
  tenon::tensor_view<T, 2>       pixels() { return tenon::dense(values.data(), batch * size * size, channels); }
  tenon::tensor_view<T const, 2> pixels() const { return tenon::dense(values.data(), batch * size * size, channels); }
};

/// Images of 8 x 8 pixels, each 0..16, one byte a pixel.
struct image_set {
  std::vector<std::uint8_t> pixels;  // (count, 8, 8)
  std::vector<std::uint8_t> labels;  // (count), or none

  static constexpr index_t size  = 8;
  static constexpr float   scale = 1.f / 16;  // of a pixel, so that codes of images are exact

  index_t count() const { return static_cast<index_t>(pixels.size()) / (size * size); }

  /// Images first .. first + batch, as numbers or as codes of `scale`.
  template <class T>
  feature_map<T> batch(index_t first, index_t n) const {
    feature_map<T> x(n, size, 1);
    for (std::size_t i = 0; i < x.values.size(); ++i) {
      std::uint8_t const p = pixels[static_cast<std::size_t>(first * size * size) + i];
      if constexpr (sizeof(T) == 1) x.values[i] = static_cast<T>(p);
      else x.values[i] = scale * static_cast<T>(p);
    }
    return x;
  }
};

}  // namespace classifier
