#pragma once
//  What every kernel of conv2d takes: a dense product whose A is not stored, but read off an image.
#include <tenon/config.hpp>
#include <tenon/core/tensor_view.hpp>
#include <tenon/gemm/gemm_params.hpp>

namespace tenon {

/// Where a row of A starts in x: its first tap. Padding makes y and x negative.
struct conv2d_pixel {
  index_t offset;  // elements from x's first; may lie outside of x, then nothing is read there
  int     y, x;
};
/// Where element k of a row is, seen from the row's first tap.
struct conv2d_tap {
  index_t offset;
  int     y, x;  // pixels of x
};

/// The index map of A: row i is pixel i of y, column k is (tap of the kernel, channel of the group), channels fastest.
template <class T>
struct conv2d_image {
  T const* data;
  index_t  batch_stride, row_stride, column_stride;  // channels are contiguous
  int      height, width;                            // of x
  int      channels;                                 // of x, per group
  int      out_height, out_width;
  int      kernel_width;
  int      stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;

  TENON_HD constexpr conv2d_pixel pixel(index_t row) const {
    unsigned const i = static_cast<unsigned>(row), line = i / static_cast<unsigned>(out_width);
    unsigned const image = line / static_cast<unsigned>(out_height);
    int const      y     = static_cast<int>(line - image * static_cast<unsigned>(out_height)) * stride_y - padding_y;
    int const      x     = static_cast<int>(i - line * static_cast<unsigned>(out_width)) * stride_x - padding_x;
    return {static_cast<index_t>(image) * batch_stride + y * row_stride + x * column_stride, y, x};
  }
  /// A row past the last one: all its taps are padding.
  TENON_HD static constexpr conv2d_pixel no_pixel() { return {0, -2147483647 - 1, 0}; }

  /// Of element k of a row.
  TENON_HD constexpr conv2d_tap tap(int k) const {
    int const at = k / channels, line = at / kernel_width;
    return tap(line, at - line * kernel_width, k - at * channels);
  }
  /// Of line and column of the kernel.
  TENON_HD constexpr conv2d_tap tap(int line, int column, int channel) const {
    int const y = line * dilation_y, x = column * dilation_x;
    return {y * row_stride + x * column_stride + channel, y, x};
  }
  TENON_HD constexpr bool inside(conv2d_pixel const& p, conv2d_tap const& t) const {
    int const y = p.y + t.y, x = p.x + t.x;
    return y >= 0 && y < height && x >= 0 && x < width;
  }
};

/// The product's d is (pixels of y, out_channels), its b (rows of w, kernel_h kernel_w channels); it has no a. Its tiles are
/// those of all groups.
template <class D, class T, class Pipeline>
struct conv2d_params {
  gemm_params<D, T, Pipeline> product;
  conv2d_image<T>             image;
  index_t                     depth;        // kernel_h kernel_w channels
  index_t                     group_tiles;  // of one group
  index_t                     group_columns;
};

}  // namespace tenon
